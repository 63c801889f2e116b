import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { WaveFile } from 'wavefile';
import { FakeService } from './fake-service.js';

const root = resolve(__dirname, '../..');
const program = join(root, 'clients/python/facecast_client.py');
const portrait = join(root, 'clients/web/samples/portrait.jpg');
const speech = join(root, 'clients/web/samples/speech.wav');

const python = ['/usr/bin/python3', 'python3'].find(
  (command) => spawnSync(command, ['-c', 'import requests']).status === 0,
);
if (!python) console.warn('No Python with requests here: the Python client is not tested.');
const describeWithPython = python ? describe : describe.skip;

describeWithPython('the Python client', () => {
  let service: FakeService;
  let folder: string;
  const runPython = (args: string[], environment: Record<string, string> = {}) => {
    const running = promisify(execFile)(python!, ['-B', ...args], { env: { ...process.env, ...environment } });
    running.child.stdin?.end(); // no terminal
    return running;
  };
  const run = (...args: string[]) => runPython([program, ...args, '--server', service.url]);
  /** Runs statements that have an open session in `client`. @returns what they print */
  const withSession = async (...statements: string[]) => {
    const code = [
      'from facecast_client import *',
      `client = FacecastClient('${service.url}', max_attempts=2)`,
      "client.init_session(b'a picture')",
      ...statements,
    ].join('\n');
    return (await runPython(['-c', code], { PYTHONPATH: join(root, 'clients/python') })).stdout;
  };

  beforeEach(async () => {
    service = await FakeService.start();
    folder = mkdtempSync(join(tmpdir(), 'facecast-python-'));
  });
  afterEach(async () => {
    await service.close();
    rmSync(folder, { recursive: true });
  });

  it('speaks a WAV in pieces, waits, downloads and cleans up', async () => {
    const out = join(folder, 'talk.mp4');
    const { stdout } = await run(portrait, speech, '--chunk-seconds', '4', '--out', out);
    expect(stdout).toContain(`${service.url}/?session=made-by-the-fake`);
    expect(readFileSync(out, 'utf8')).toBe('an MP4');
    expect(service.forms[0].fields).toEqual({ crop: 'True' });
    expect(service.forms[0].file?.bytes.equals(readFileSync(portrait))).toBe(true);
    expect(service.feeds.map(({ fields, file }) => [fields.chunk_index, fields.is_final_chunk, !!file])).toEqual([
      ['0', 'False', true],
      ['1', 'False', true],
      ['2', 'False', true],
      ['3', 'True', false],
    ]);
    const samples = service.feeds.slice(0, 3).map(({ file }) => file!.bytes.subarray(44));
    expect(Buffer.concat(samples).equals(readFileSync(speech).subarray(44))).toBe(true);
    expect(service.deleted).toEqual(['made-by-the-fake']);
  });

  it('waits as Retry-After says', async () => {
    const begin = Date.now();
    service.mishaps.push({ status: 429, body: { code: 'too_many_sessions' }, headers: { 'Retry-After': '1' } });
    await run(portrait, speech, '--chunk-seconds', '10', '--out', join(folder, 'talk.mp4'));
    expect(Date.now() - begin).toBeGreaterThanOrEqual(1000);
    expect(service.forms.filter(({ path }) => path.endsWith('/init'))).toHaveLength(2);
  });

  it('says what the service refused', async () => {
    service.mishaps.push({ status: 422, body: { code: 'face_not_found', detail: 'There is no face.' } });
    await expect(run(portrait, speech)).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('There is no face. (face_not_found)'),
    });
  });

  it('sends a chunk again when its answer was lost, and it counts once', async () => {
    service.mishaps.push({ status: 200, body: init }, 'lose the answer');
    await withSession("client.feed_audio_chunk(b'one')", "client.feed_audio_chunk(b'two')");
    expect(service.feeds.map(({ fields }) => fields.chunk_index)).toEqual(['0', '0', '1']);
    expect(service.accepted.map(({ file }) => file?.bytes.toString())).toEqual(['one', 'two']);
  });

  it('takes only the same chunk when nobody knows whether it arrived', async () => {
    service.mishaps.push({ status: 200, body: init }, 'lose the answer', 'hang up');
    const printed = await withSession(
      'try:',
      "    client.feed_audio_chunk(b'one')",
      'except requests.ConnectionError:',
      '    print("no answer")',
      'try:',
      "    client.feed_audio_chunk(b'two')",
      'except FacecastError as error:',
      '    print(error.code)',
      "client.feed_audio_chunk(b'one')",
      "client.feed_audio_chunk(b'two')",
    );
    expect(printed.split('\n')).toEqual(['no answer', 'chunk_unclear', '']);
    expect(service.accepted.map(({ file }) => file?.bytes.toString())).toEqual(['one', 'two']);
  });

  it('opens a live session and interrupts it', async () => {
    const printed = await withSession(
      "print(client.init_session(b'a picture', live=True, session_id='python-live')['live'])",
      'print(client.interrupt())',
    );
    expect(printed.split('\n')).toEqual(['True', '2.5', '']);
    const [opened, interrupted] = service.forms.slice(-2);
    // Python's words for it; the service takes them.
    expect(opened.fields).toMatchObject({ live: 'True', session_id: 'python-live' });
    expect(interrupted).toMatchObject({
      path: '/api/audio-driven/chunked/interrupt',
      fields: { session_id: 'python-live' },
    });
  });

  it('says why a session cannot be interrupted', async () => {
    service.mishaps.push({ status: 200, body: init }, { status: 409, body: { code: 'not_live', detail: 'No.' } });
    const printed = await withSession(
      'try:',
      '    client.interrupt()',
      'except FacecastError as error:',
      '    print(error.code)',
    );
    expect(printed).toBe('not_live\n');
  });

  it('understands errors that are none of the service, and a date as Retry-After', async () => {
    const date = new Date(Date.now() + 100_000).toUTCString();
    const later = { status: 503, headers: { 'Retry-After': date } };
    service.mishaps.push(
      { status: 200, body: init },
      { status: 400, body: ['no'] },
      { status: 404, body: '"gone"' },
      { ...later, body: { code: 'draining' } },
      { status: 200, body: '<h1>Welcome</h1>' },
    );
    const printed = await withSession(
      'client.max_attempts = 1',
      'for _ in range(4):',
      '    try:',
      '        client.get_status()',
      '    except FacecastError as error:',
      '        wait = error.retry_after_seconds',
      '        print(error.code, error.status, wait and 90 < wait <= 100)',
    );
    expect(printed.split('\n')).toEqual([
      'bad_response 400 None',
      'bad_response 404 None',
      'draining 503 True',
      'bad_response 200 None',
      '',
    ]);
  });

  it('says that it cannot cut a WAV of floats', async () => {
    const wav = new WaveFile();
    wav.fromScratch(1, 16000, '32f', [0, 0.5]);
    const path = join(folder, 'float.wav');
    writeFileSync(path, wav.toBuffer());
    await expect(run(portrait, path)).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^\S*float\.wav: only WAV files of whole-number PCM can be cut/),
    });
    expect(service.deleted).toEqual(['made-by-the-fake']);
  });

  it('does not wait for Enter where there is no terminal', async () => {
    const { stdout } = await run(portrait, speech);
    expect(stdout).toContain('275 frames');
    expect(stdout).toContain('deleted; --out saves the talk.');
    expect(service.deleted).toEqual(['made-by-the-fake']);
  });
});

const init = { session_id: 'python-talk', hls_url: '/hls/python-talk/playlist.m3u8' };
