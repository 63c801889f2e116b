import { parseTalkOptions, UsageError } from '../../clients/typescript/talk-options.js';
import { StatusLine } from '../../clients/typescript/talk-status-line.js';

const needed = ['--image', 'face.jpg', '--audio', 'speech.mp3'];

describe('parseTalkOptions', () => {
  it('has a default for all but the two files', () => {
    expect(parseTalkOptions(needed, {})).toEqual({
      image: 'face.jpg',
      audio: 'speech.mp3',
      server: 'http://localhost:9999',
      out: undefined,
      keep: false,
      pace: 'realtime',
      chunkSeconds: 1,
      init: { crop: true },
    });
  });

  it('reads every option, negative numbers as well', () => {
    const args =
      '--server http://host:1/ --out a.mp4 --keep --pace full --chunk-seconds 0.5 --seed -3 --nfe 12 --cfg-scale 1.5 --chunk-duration 2 --sample-rate 8000 --no-crop --pose -0.1,0.2,0 --gaze -1,0.5 --size 256';
    expect(parseTalkOptions([...needed, ...args.split(' ')], {})).toEqual({
      image: 'face.jpg',
      audio: 'speech.mp3',
      server: 'http://host:1',
      out: 'a.mp4',
      keep: true,
      pace: 'full',
      chunkSeconds: 0.5,
      init: {
        crop: false,
        seed: -3,
        nfe: 12,
        cfgScale: 1.5,
        chunkDuration: 2,
        audioSampleRate: 8000,
        poseStyle: [-0.1, 0.2, 0],
        gazeStyle: [-1, 0.5],
        size: 256,
      },
    });
  });

  it('takes the server from the environment, unless it is named', () => {
    const environment = { FACECAST_SERVER: 'https://there' };
    expect(parseTalkOptions(needed, environment)).toMatchObject({ server: 'https://there' });
    expect(parseTalkOptions(needed, { FACECAST_API_KEY: 'secret' })).toMatchObject({ apiKey: 'secret' });
    expect(parseTalkOptions([...needed, '--server', 'http://here'], environment)).toMatchObject({
      server: 'http://here',
    });
  });

  it('knows when help is wanted', () => {
    expect(parseTalkOptions(['--help'], {})).toBe('help');
  });

  it.each([
    [['--audio', 'a.wav'], '--image is missing'],
    [['--image', 'a.png'], '--audio is missing'],
    [[...needed, '--pace', 'slow'], '--pace is'],
    [[...needed, '--nfe', 'many'], '--nfe must be a number'],
    [[...needed, '--pose', '1,2'], '--pose takes 3 numbers'],
    [[...needed, '--gaze', '1,'], '--gaze must be a number'],
    [[...needed, '--server', 'localhost'], '--server must be a URL'],
    [[...needed, '--chunk-seconds', '0'], '--chunk-seconds must be more than 0'],
    [[...needed, '--loud'], '--loud'],
  ])('says what is wrong with %j', (args, message) => {
    expect(() => parseTalkOptions(args, {})).toThrow(UsageError);
    expect(() => parseTalkOptions(args, {})).toThrow(message);
  });
});

describe('StatusLine', () => {
  it('rewrites its line on a terminal, cut to its width', () => {
    const written: string[] = [];
    const line = new StatusLine({ isTTY: true, columns: 24, write: (text) => written.push(text) });
    line.show('one');
    line.show('a text that is longer than the terminal is wide');
    line.end();
    line.end();
    expect(written).toEqual(['\r\u001b[Kone', '\r\u001b[Ka text that is longer t', '\r\u001b[K']);
  });

  it('writes few plain lines where there is no terminal', () => {
    const written: string[] = [];
    let now = 0;
    const line = new StatusLine({ write: (text) => written.push(text) }, () => now);
    for (now = 0; now <= 10_000; now += 1000) line.show(`at ${now}`);
    line.end();
    expect(written).toEqual(['at 0\n', 'at 5000\n', 'at 10000\n']);
  });
});
