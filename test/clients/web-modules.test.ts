import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { FakeService } from './fake-service.js';

const web = resolve(__dirname, '../../clients/web');
// The page's modules are JavaScript, checked by a project of their own.
const { curlLines } = require('../../clients/web/snippets.js');
const { untilThere } = require('../../clients/web/until-there.js');
const { openMedia } = require('../../clients/web/media-access.js');
const { inWords } = require('../../clients/web/words.js');
const { eventInWords } = require('../../clients/web/live/event-list.js');
const { liveCurlLines, liveEmbedding } = require('../../clients/web/live/live-snippets.js');
const { toPcm, bytesOf } = require('../../clients/web/live/pcm.js');
const { sayRecording } = require('../../clients/web/live/say-recording.js');
const { runsOf } = require('../../clients/web/live/sparkline.js');
const { tuneFor } = require('../../clients/web/tuning.js');
const { untilWhole } = require('../../clients/web/live/until-whole.js');
const { VoiceGate } = require('../../clients/web/live/voice-gate.js');
const html = readFileSync(join(web, 'index.html'), 'utf8');

const hasCurl = spawnSync('curl', ['--version']).status === 0;
if (!hasCurl) console.warn('No curl here: the commands that the page shows are not tested.');

describe('the commands for curl', () => {
  let service: FakeService;
  let folder: string;
  beforeEach(async () => {
    service = await FakeService.start();
    folder = mkdtempSync(join(tmpdir(), 'facecast-curl-'));
  });
  afterEach(async () => {
    await service.close();
    rmSync(folder, { recursive: true });
  });

  (hasCurl ? it : it.skip).each([
    ['face.jpg', 'speech.wav'],
    ['me, and you;type=text.png', `it's "fine" \\ $HOME.wav`],
    [' -.png', '@ä.wav'],
  ])('send %s and %s', async (portrait, recording) => {
    writeFileSync(join(folder, portrait), 'a picture');
    writeFileSync(join(folder, recording), 'a recording');
    const here = pathToFileURL(web).href;
    const [init, feed] = curlLines({ crop: true, poseStyle: [0.1, 0, 0] }, { portrait, recording })
      .replaceAll(here, service.url)
      .split('\n');
    const shell = spawn('sh', ['-c', `${init} && ${feed}`], { cwd: folder });
    await once(shell, 'close');
    expect(service.forms.map(({ file }) => [file?.field, file?.bytes.toString()])).toEqual([
      ['image', 'a picture'],
      ['audio_chunk', 'a recording'],
    ]);
    expect(service.forms[0].fields).toEqual({ session_id: 'my-first-talk', crop: 'true', pose_style: '[0.1,0,0]' });
  });
});

describe('the commands for curl of a live session', () => {
  const names = { portrait: 'face.jpg', recording: 'hello.wav' };

  it('go live, say something, interrupt, end, and fetch what was kept', () => {
    const options = { crop: true, chunkDuration: 0.4, live: true, record: true, audioSampleRate: 48000 };
    const lines = liveCurlLines(options, names).split('\n');
    expect(lines).toHaveLength(6);
    expect(lines[0]).toContain('-F image=@face.jpg -F crop=true -F chunk_duration=0.4 -F live=true -F record=true ');
    expect(lines[0]).not.toContain('48000');
    expect(lines[1]).toMatch(/^curl -N .*\/events\/my-live-talk &$/);
    expect(lines[2]).toMatch(/-F audio_chunk=@hello\.wav .*\/feed$/);
    expect(lines[3]).toMatch(/\/interrupt$/);
    expect(lines[4]).toMatch(/is_final_chunk=true .*\/feed$/);
    expect(lines[5]).toMatch(/\/api\/hls\/my-live-talk\/download$/);
  });

  it('fetch nothing where nothing is kept', () => {
    expect(liveCurlLines({ live: true, record: false }, names)).not.toContain('download');
  });

  it('leave it to the playlist how far behind the edge its embedding plays', () => {
    const embedding = liveEmbedding('http://here/multivariant.m3u8');
    expect(embedding).toContain('lowLatencyMode: true');
    const player = readFileSync(join(web, 'player.js'), 'utf8').replaceAll(/\/\*.*?\*\//gs, '');
    for (const source of [embedding, player]) expect(source).not.toContain('liveSyncDuration');
  });
});

describe('the gate of the open microphone', () => {
  const block = (level: number) => [new Int16Array(4).fill(level * 1000), level] as const;
  /** How many of so many blocks of this level get through, and whether an utterance ended. */
  function push(gate: typeof VoiceGate, level: number, blocks: number) {
    let sent = 0;
    let ended = 0;
    for (let count = 0; count < blocks; count++) {
      const result = gate.push(...block(level));
      sent += result.send.length;
      ended += Number(result.ended);
    }
    return { sent, ended };
  }

  it('sends speech with what came just before it, pauses within it, and then the end of the utterance', () => {
    const gate = new VoiceGate();
    expect(push(gate, 0.002, 100)).toEqual({ sent: 0, ended: 0 });
    // The last 7 blocks of silence were kept, and the first loud one; the second opens the gate.
    expect(push(gate, 0.1, 20)).toEqual({ sent: 7 + 20, ended: 0 });
    expect(push(gate, 0.002, 20)).toEqual({ sent: 20, ended: 0 });
    expect(push(gate, 0.1, 1)).toEqual({ sent: 1, ended: 0 });
    expect(push(gate, 0.002, 100)).toEqual({ sent: 35, ended: 1 });
  });

  it('sends the blocks in their order', () => {
    const gate = new VoiceGate();
    const sent: number[] = [];
    for (const [index, level] of [0, 0, 0, 0.1, 0.1, 0.1].entries()) {
      for (const samples of gate.push(Int16Array.of(index), level).send) sent.push(samples[0]);
    }
    expect(sent).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it('stays shut for a click and for a noisy room that it has got used to', () => {
    const gate = new VoiceGate();
    push(gate, 0.002, 50);
    expect(push(gate, 0.5, 1).sent).toBe(0);
    // A minute of a fan opens it once, then it is part of the room.
    push(gate, 0.05, 3000);
    expect(push(gate, 0.05, 500)).toEqual({ sent: 0, ended: 0 });
    expect(push(gate, 0.3, 10).sent).toBeGreaterThan(10);
  });
});

describe('saying a recording', () => {
  /** A line that notes what it is given, with a clock that only `setTimeout` moves. */
  function line() {
    let seconds = 0;
    const sent: Uint8Array[] = [];
    let ended = 0;
    const sleep = jest.spyOn(globalThis, 'setTimeout').mockImplementation(((wake: () => void, milliseconds: number) => {
      seconds += milliseconds / 1000;
      queueMicrotask(wake);
    }) as never);
    return {
      sent,
      sleep,
      get ended() {
        return ended;
      },
      now: () => seconds,
      send: async (bytes: Uint8Array) => void sent.push(bytes),
      endUtterance: async () => void ended++,
    };
  }
  afterEach(() => jest.restoreAllMocks());
  const samples = Int16Array.from({ length: 4050 }, (_, index) => index);

  it('sends every sample once, two seconds ahead of the voice, and says where it ends', async () => {
    const to = line();
    await sayRecording(samples, 1000, to, new AbortController().signal, to.now);
    const all = Buffer.concat(to.sent);
    expect(all.equals(bytesOf(samples))).toBe(true);
    expect(to.sent).toHaveLength(41);
    expect(to.ended).toBe(1);
    // The last piece begins at 4.0 s and goes out at 2.0 s.
    expect(to.now()).toBeCloseTo(2.0, 6);
  });

  it('stops where it is interrupted', async () => {
    const to = line();
    const interruption = new AbortController();
    const send = async (bytes: Uint8Array) => {
      await to.send(bytes);
      if (to.sent.length === 7) interruption.abort();
    };
    const saying = sayRecording(samples, 1000, { ...to, send }, interruption.signal, to.now);
    await expect(saying).rejects.toThrow();
    expect(to.sent).toHaveLength(7);
    expect(to.ended).toBe(0);
  });
});

describe('sound as PCM', () => {
  it('is the mean of the channels, little-endian, cut off at full scale', () => {
    const pcm = toPcm([Float32Array.of(0, 1, -1, 2), Float32Array.of(0.5, 1, -1, 2)]);
    expect([...pcm]).toEqual([8192, 32767, -32767, 32767]);
    expect([...bytesOf(pcm.subarray(0, 2))]).toEqual([0x00, 0x20, 0xff, 0x7f]);
    expect([...toPcm([])]).toEqual([]);
  });
});

describe('the picture of the latency', () => {
  it('has gaps where nothing was known', () => {
    expect(runsOf([undefined, 1, 2, undefined, undefined, 3])).toEqual([
      [
        { index: 1, value: 1 },
        { index: 2, value: 2 },
      ],
      [{ index: 5, value: 3 }],
    ]);
    expect(runsOf([])).toEqual([]);
  });
});

describe('events in words', () => {
  it.each([
    [{ type: 'interrupted', droppedSeconds: 2.34 }, 'Interrupted: 2.3 s of speech dropped'],
    [{ type: 'interrupted', droppedSeconds: 0 }, 'Interrupted: nothing was left to say'],
    [{ type: 'error', detail: 'The encoder died.' }, 'The encoder died.'],
    [{ type: 'something_new' }, 'something_new'],
  ])('%j', (event, words) => expect(eventInWords(event)).toBe(words));
});

describe('asking for the microphone or the camera', () => {
  const { navigator } = globalThis;
  const pretend = (mediaDevices: unknown) =>
    Object.defineProperty(globalThis, 'navigator', { value: { mediaDevices }, configurable: true });
  afterEach(() => Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true }));
  const asked: unknown[] = [];
  const refusing = (name: string) => ({
    getUserMedia: async (constraints: unknown) => {
      asked.push(constraints);
      throw Object.assign(new Error('no'), { name });
    },
  });

  it.each([
    ['camera', 'NotAllowedError', 'camera_denied'],
    ['microphone', 'NotAllowedError', 'microphone_denied'],
    ['microphone', 'NotFoundError', 'microphone_missing'],
    ['camera', 'NotReadableError', 'camera_busy'],
    ['camera', 'SomethingElse', 'camera_busy'],
  ])('%s: %s is %s, and there are words for it', async (device, name, code) => {
    pretend(refusing(name));
    const error = await openMedia(device, { channelCount: 1 }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code });
    expect(asked.pop()).toEqual({ [device === 'camera' ? 'video' : 'audio']: { channelCount: 1 } });
    expect(inWords(error).title).toMatch(new RegExp(`\\b${device}\\b`));
    expect(inWords(error).detail).not.toBe('no');
  });

  it('says that a page must come over HTTPS or from localhost where browsers hide their devices', async () => {
    pretend(undefined);
    const error = await openMedia('microphone', {}).catch((reason: unknown) => reason);
    expect(inWords(error).detail).toMatch(/HTTPS or from localhost/);
  });
});

describe('waiting for the playlist', () => {
  const answers: (number | 'none')[] = [];
  let asked: number;
  const { fetch } = globalThis;
  beforeEach(() => {
    asked = 0;
    globalThis.fetch = async () => {
      asked++;
      const answer = answers.shift() ?? 'none';
      if (answer === 'none') throw new TypeError('fetch failed');
      return new Response(null, { status: answer });
    };
  });
  afterEach(() => {
    globalThis.fetch = fetch;
  });

  const wait = (signal = new AbortController().signal) => untilThere('http://here/playlist.m3u8', signal, 1);

  it('goes on after questions that nobody answers', async () => {
    answers.push(503, 'none', 504, 503, 200);
    await wait();
    expect(asked).toBe(5);
  });

  it('ends when the stream is gone, when nobody answers for long, and when it is told to', async () => {
    answers.push(503, 404);
    await expect(wait()).rejects.toThrow('The stream is not there (404).');
    await expect(wait()).rejects.toThrow('The service does not answer.');
    expect(asked).toBe(2 + 60);
    await expect(wait(AbortSignal.abort())).rejects.toThrow();
    expect(asked).toBe(2 + 60 + 1);
  });
});

describe('waiting for the whole talk', () => {
  const { fetch } = globalThis;
  const texts: string[] = [];
  let asked: number;
  beforeEach(() => {
    asked = 0;
    globalThis.fetch = async () => {
      asked++;
      const text = texts.shift();
      if (text === undefined) throw new TypeError('fetch failed');
      return new Response(text);
    };
  });
  afterEach(() => {
    globalThis.fetch = fetch;
  });
  const wait = (signal = new AbortController().signal) => untilWhole('http://here/playlist.m3u8', signal, 1);

  it('ends with the playlist of all of it, not with that of the last window', async () => {
    texts.push('#EXTM3U\n#EXT-X-ENDLIST\n', '#EXTM3U\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-ENDLIST\n');
    await wait();
    expect(asked).toBe(2);
  });

  it('takes what there is in the end, and stops when it is told to', async () => {
    await wait();
    expect(asked).toBe(20);
    await expect(wait(AbortSignal.abort())).rejects.toThrow();
    expect(asked).toBe(21);
  });
});

describe('the window to be tuned', () => {
  it.each([
    ['recording', 1],
    ['live', 0.32],
  ])("%s: begins at the service's default, where the slider can stand", (kind, usual) => {
    const small = { textContent: '' };
    const input = Object.assign(new EventTarget(), { parentElement: { querySelector: () => small } });
    tuneFor({ elements: { namedItem: () => input } }, kind);
    const { min, max, step, value, defaultValue } = input as unknown as Record<string, string>;
    expect(Number(value)).toBe(usual);
    expect(defaultValue).toBe(value);
    const steps = (Number(value) - Number(min)) / Number(step);
    expect(steps).toBeCloseTo(Math.round(steps), 9);
    expect(small.textContent).toContain(`${min} to ${max} s`);
  });
});

describe('the page', () => {
  it('turns the head as far as the built-in model does, and the eyes all the way', () => {
    for (const name of ['pitch', 'yaw', 'roll']) expect(html).toMatch(rangeOf(name, 0.2));
    for (const name of ['gazeX', 'gazeY']) expect(html).toMatch(rangeOf(name, 1));
  });

  it('names its video, hides what is only to be looked at, and moves only for those who like it', () => {
    expect(html).toMatch(/<video [^>]*aria-label="[^"]+"/);
    expect(html).toMatch(/<canvas [^>]*aria-hidden="true"/);
    expect(html).toMatch(/<figure aria-hidden="true"><canvas /);
    expect(html.match(/<canvas/g)).toHaveLength(2);
    expect(html).not.toContain('aria-pressed');
    const css = ['style.css', 'live/live.css'].map((name) => readFileSync(join(web, name), 'utf8')).join('\n');
    expect(
      css.match(/@media \(prefers-reduced-motion: no-preference\) \{\s*html \{\s*scroll-behavior: smooth/g),
    ).toHaveLength(1);
    expect(css.match(/scroll-behavior/g)).toHaveLength(1);
  });
});

function rangeOf(name: string, limit: number): RegExp {
  return new RegExp(`name="${name}" value="0" min="-${limit}" max="${limit}"`);
}
