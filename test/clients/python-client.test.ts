import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
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
  const run = async (...args: string[]) =>
    promisify(execFile)(python!, ['-B', program, ...args, '--server', service.url], { encoding: 'utf8' });

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
});
