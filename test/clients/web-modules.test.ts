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

describe('the page', () => {
  it('turns the head as far as the built-in model does, and the eyes all the way', () => {
    for (const name of ['pitch', 'yaw', 'roll']) expect(html).toMatch(rangeOf(name, 0.2));
    for (const name of ['gazeX', 'gazeY']) expect(html).toMatch(rangeOf(name, 1));
  });

  it('names its video, hides what is only to be looked at, and moves only for those who like it', () => {
    expect(html).toMatch(/<video [^>]*aria-label="[^"]+"/);
    expect(html).toMatch(/<canvas [^>]*aria-hidden="true"/);
    expect(html).not.toContain('aria-pressed');
    const css = readFileSync(join(web, 'style.css'), 'utf8');
    expect(
      css.match(/@media \(prefers-reduced-motion: no-preference\) \{\s*html \{\s*scroll-behavior: smooth/g),
    ).toHaveLength(1);
    expect(css.match(/scroll-behavior/g)).toHaveLength(1);
  });
});

function rangeOf(name: string, limit: number): RegExp {
  return new RegExp(`name="${name}" value="0" min="-${limit}" max="${limit}"`);
}
