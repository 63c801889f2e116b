import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { runTalk } from '../../clients/typescript/run-talk.js';
import { FakeService, type Mishap } from './fake-service.js';

const samples = resolve(__dirname, '../../clients/web/samples');
const files = ['--image', join(samples, 'portrait.jpg'), '--audio', join(samples, 'speech.wav')];

let service: FakeService;
let folder: string;
let printed: string;
let noted: string;

beforeEach(async () => {
  service = await FakeService.start();
  folder = mkdtempSync(join(tmpdir(), 'facecast-talk-'));
  printed = '';
  noted = '';
});
afterEach(async () => {
  await service.close();
  rmSync(folder, { recursive: true });
});

function talk(args: string[], signal = new AbortController().signal): Promise<number> {
  return runTalk(['--server', service.url, '--pace', 'full', ...args], {
    variables: {},
    stdout: { write: (text) => (printed += text) },
    stderr: { write: (text) => (noted += text) },
    signal,
  });
}

const refused: Mishap = { status: 400, body: { code: 'invalid_audio', detail: 'This is no sound.' } };
const answered: Mishap = { status: 200, body: {} };

describe('talk', () => {
  it('saves the talk, then deletes the session', async () => {
    const out = join(folder, 'talk.mp4');
    expect(await talk([...files, '--out', out])).toBe(0);
    expect(readFileSync(out, 'utf8')).toBe('an MP4');
    expect(printed).toContain(`Watch it   ${service.url}/?session=`);
    expect(service.deleted).toHaveLength(1);
    expect(noted).toContain('The session is deleted.');
  });

  it('looks at the folder of --out before anything is made, and keeps a talk that it cannot save', async () => {
    expect(await talk([...files, '--out', join(folder, 'nowhere', 'talk.mp4')])).toBe(2);
    expect(noted).toContain('nowhere is not there or cannot be written.');
    expect(printed).toBe('');
    // A folder of that name is in the way.
    expect(await talk([...files, '--out', folder])).toBe(1);
    expect(noted).toContain('The talk stays at');
    expect(service.deleted).toEqual([]);
  });

  it('keeps the session when the stream is what was asked for', async () => {
    expect(await talk(files)).toBe(0);
    expect(service.deleted).toEqual([]);
  });

  it('says what went wrong before it cleans up, and that it did', async () => {
    // To /health; to init, which needs an answer of its own.
    service.mishaps.push(answered, { status: 200, body: init('refused-talk') }, refused);
    expect(await talk(files)).toBe(1);
    expect(noted).toMatch(/talk: This is no sound\. \(invalid_audio\)\n.*The session is deleted\.\n$/s);
  });

  it('tries to clean up only once, and does not claim what is not so', async () => {
    service.mishaps.push(answered, { status: 200, body: init('stuck-talk') }, refused, 'hang up');
    expect(await talk(files)).toBe(1);
    expect(noted).toMatch(/talk: This is no sound.*The session could not be deleted \(.* cannot be reached\./s);
    expect(noted).not.toContain('The session is deleted');
    expect(service.deleted).toEqual([]);
  });

  it('ends with 130 when it is stopped, 2 when it is used wrongly, 3 when nobody is there', async () => {
    expect(await talk(files, AbortSignal.abort())).toBe(130);
    expect(noted).toBe('Stopped.\n');
    expect(await talk(['--image', 'none.png', '--audio', 'none.wav'])).toBe(2);
    expect(noted).toContain('--audio none.wav: there is no such file.');
    expect(await talk([...files, '--server', 'http://127.0.0.1:9'])).toBe(3);
    expect(noted).toContain('Start the service with "npm start"');
  });
});

function init(id: string) {
  return { session_id: id, hls_url: `/hls/${id}/playlist.m3u8`, chunk_duration: 1, audio_sample_rate: 24000 };
}
