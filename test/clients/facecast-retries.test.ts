import { FacecastClient, type FacecastClientOptions } from '../../clients/typescript/facecast-client.js';
import { SERVICE_ERROR_CODES } from '../../clients/typescript/facecast-error.js';
import { ERROR_STATUS } from '../../src/errors.js';
import { FakeService } from './fake-service.js';
import { ManualClock } from './manual-clock.js';

const portrait = new Blob([new Uint8Array([1, 2, 3])], { type: 'image/png' });
const one = Buffer.from('one');
const two = Buffer.from('two');

let service: FakeService;
let clock: ManualClock;

beforeEach(async () => {
  service = await FakeService.start();
  clock = new ManualClock();
});
afterEach(() => service.close());

function client(options: FacecastClientOptions = {}): FacecastClient {
  return new FacecastClient(service.url, { clock, ...options });
}

function indices(): (string | undefined)[] {
  return service.feeds.map(({ fields }) => fields.chunk_index);
}

describe('an init whose answer was lost', () => {
  it('is begun anew when the service has given it up', async () => {
    service.mishaps.push('give up');
    const session = await client().init(portrait);
    // Lost, in use (but no session is there), opened.
    expect(service.forms.map(({ fields }) => fields.session_id)).toEqual([session.id, session.id, session.id]);
    expect(clock.sleeps).toEqual([0.5, 0.5]);
    expect(session.warnings).toEqual(['a centred face is assumed']);
    expect((await session.status()).session_id).toBe(session.id);
  });

  it('fails when its id stays in use without a session, after the last try', async () => {
    const taken = { status: 409, body: { code: 'session_exists' } };
    const gone = { status: 404, body: { code: 'session_not_found' } };
    service.mishaps.push('hang up', taken, gone, taken, gone, taken, gone);
    await expect(client({ maxAttempts: 3 }).init(portrait)).rejects.toMatchObject({ code: 'session_exists' });
    expect(service.forms).toHaveLength(4);
  });
});

describe('a chunk of which nobody knows whether it arrived', () => {
  it('is the only one that is taken next', async () => {
    const session = await client({ maxAttempts: 1 }).init(portrait);
    service.mishaps.push('lose the answer');
    await expect(session.feed(one)).rejects.toMatchObject({ code: 'network' });
    await expect(session.feed(two)).rejects.toMatchObject({ code: 'chunk_unclear' });
    await expect(session.feed(one, { final: true })).rejects.toMatchObject({ code: 'chunk_unclear' });
    await expect(session.finish()).rejects.toMatchObject({ code: 'chunk_unclear' });
    await session.feed(one);
    await session.feed(two);
    expect(indices()).toEqual(['0', '0', '1']);
    expect(service.accepted.map(({ file }) => file?.bytes.toString())).toEqual(['one', 'two']);
  });

  it('may also be one whose call was aborted, but not one that was never sent', async () => {
    const session = await client().init(portrait);
    service.mishaps.push('answer slowly');
    await expect(session.feed(one, { signal: AbortSignal.timeout(200) })).rejects.toMatchObject({
      name: 'TimeoutError',
    });
    await expect(session.feed(two)).rejects.toMatchObject({ code: 'chunk_unclear' });
    await session.feed(one);
    await expect(session.feed(one, { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' });
    await session.feed(two);
    expect(service.accepted.map(({ file }) => file?.bytes.toString())).toEqual(['one', 'two']);
  });

  it('leaves the way free once the service has refused it', async () => {
    const session = await client({ maxAttempts: 1 }).init(portrait);
    service.mishaps.push('hang up', { status: 400, body: { code: 'invalid_audio', detail: 'no known format' } });
    await expect(session.feed(one)).rejects.toMatchObject({ code: 'network' });
    await expect(session.feed(one)).rejects.toMatchObject({ code: 'invalid_audio' });
    await session.feed(two);
    expect(indices()).toEqual(['0', '0', '0']);
  });
});

describe('waiting', () => {
  it('obeys a long Retry-After, and bounds its own back-off only', async () => {
    const later = { status: 503, body: { code: 'not_ready' } };
    service.mishaps.push({ ...later, headers: { 'Retry-After': '90' } }, ...new Array(7).fill(later));
    await client({ maxAttempts: 9 }).init(portrait);
    expect(clock.sleeps).toEqual([90, 1, 2, 4, 8, 16, 30, 30]);
  });

  it('counts only the time until an answer begins', async () => {
    const session = await client({ timeoutSeconds: 0.5, maxAttempts: 1 }).init(portrait);
    service.mishaps.push('answer slowly', 'answer slowly');
    expect(await (await session.download()).text()).toBe('an MP4');
    expect((await session.status()).session_id).toBe(session.id);
  });

  it('gives an upload the time that it needs', async () => {
    const slow: typeof fetch = async (url, options) => {
      await new Promise((resolve) => setTimeout(resolve, 200));
      options?.signal?.throwIfAborted();
      return fetch(url, options);
    };
    const impatient = client({ fetch: slow, timeoutSeconds: 0.05, maxAttempts: 1 });
    await expect(impatient.init(portrait)).rejects.toMatchObject({ code: 'timeout' });
    await impatient.init(new Blob([new Uint8Array(1_000_000)]));
  });
});

describe('an answer that breaks off', () => {
  it('is no answer: the request is sent again', async () => {
    const session = await client().init(portrait);
    service.mishaps.push('break off', 'break off');
    await session.feed(one);
    expect(indices()).toEqual(['0', '0', '0']);
    service.mishaps.push('break off');
    expect(await (await session.download()).text()).toBe('an MP4');
  });

  it('is a network error, not a bad response', async () => {
    const session = await client({ maxAttempts: 1 }).init(portrait);
    service.mishaps.push('break off', 'break off', { status: 200, body: '<h1>Welcome</h1>' });
    await expect(session.download()).rejects.toMatchObject({ name: 'FacecastError', code: 'network' });
    await expect(session.status()).rejects.toMatchObject({ name: 'FacecastError', code: 'network' });
    await expect(session.status()).rejects.toMatchObject({ name: 'FacecastError', code: 'bad_response' });
  });
});

describe('cleanup', () => {
  it('tries as often as it is told', async () => {
    const session = await client().init(portrait);
    service.mishaps.push('hang up');
    await expect(session.cleanup({ maxAttempts: 1 })).rejects.toMatchObject({ code: 'network' });
    expect(clock.sleeps).toEqual([]);
  });
});

describe('headerless PCM', () => {
  it.each([
    ['audio/L16;rate=16000', 'rate is 16000'],
    ['audio/l16; channels=2', 'channels is 2'],
  ])('is not fed as %s to a session of 24000 Hz', async (contentType, detail) => {
    const session = await client().init(portrait);
    for (const refused of [session.feed(one, { contentType }), session.stream(one, { contentType })]) {
      await expect(refused).rejects.toMatchObject({
        code: 'invalid_audio',
        detail: expect.stringContaining(detail),
      });
    }
    expect(service.feeds).toEqual([]);
  });

  it('may say what the session knows already, and is cut by that', async () => {
    const session = await client().init(portrait);
    await session.stream(Buffer.alloc(2 * 36000), { pace: 'full', contentType: 'audio/L16;rate=24000;channels=1' });
    expect(service.feeds.map(({ file }) => file?.bytes.length)).toEqual([48000, 24000]);
  });
});

describe('the error codes', () => {
  it("are the service's", () => {
    expect([...SERVICE_ERROR_CODES].sort()).toEqual(Object.keys(ERROR_STATUS).sort());
  });
});
