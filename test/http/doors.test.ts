import { DecodeTurns } from '../../src/audio/decode-turns.js';
import { readConfig } from '../../src/config.js';
import type { AppError } from '../../src/errors.js';
import { ApiKeys, keyInHeaders } from '../../src/http/api-keys.js';
import { inlineScriptHashes } from '../../src/http/security-headers.js';
import { playlistWithQuery, UrlSigner, withQuery } from '../../src/http/signed-urls.js';
import { UploadMemory } from '../../src/http/upload-memory.js';

describe('settings', () => {
  it('are open and unsigned by default, with limits', () => {
    expect(readConfig({})).toMatchObject({
      ...{ apiKeys: [], hlsSigningKey: undefined, hlsUrlMinutes: 1440, corsOrigin: '*', trustedProxies: 0 },
      ...{ initsPerMinute: 60, requestsPerMinute: 60000, maxConnections: 10000, maxUploadMegabytes: 320 },
    });
  });

  it('take lists', () => {
    const keys = ['0123456789abcdef', 'another-key-of-some-length'];
    expect(readConfig({ API_KEYS: keys.join(', ') }).apiKeys).toEqual(keys);
    const origins = 'https://example.org,http://localhost:3000';
    expect(readConfig({ CORS_ORIGIN: origins }).corsOrigin).toBe(origins);
  });

  it.each([
    ['API_KEYS', 'fifteen-letters', /API_KEYS=… must be keys of 16 to 256 visible ASCII characters/],
    ['API_KEYS', '0123456789abcdef,', /API_KEYS=… must be keys/],
    ['API_KEYS', '0123456789 abcdefg', /API_KEYS=… must be keys/],
    ['HLS_SIGNING_KEY', 'much too short', /HLS_SIGNING_KEY=… must have at least 32 characters/],
    ['HLS_URL_MINUTES', '0', /HLS_URL_MINUTES=0 must be a number from 0.01 to 525600/],
    ['CORS_ORIGIN', 'https://example.org/', /must be \* or origins such as https:\/\/example.org/],
    ['CORS_ORIGIN', 'example.org', /must be \* or origins/],
    ['CORS_ORIGIN', '*,https://example.org', /must be \* or origins/],
    ['RATE_LIMIT_INIT', '-1', /RATE_LIMIT_INIT=-1 must be a whole number from 0 to 1000000/],
    ['TRUST_PROXY', 'yes', /TRUST_PROXY=yes must be a whole number from 0 to 10/],
    ['MAX_CONNECTIONS', '9', /MAX_CONNECTIONS=9 must be a whole number from 10/],
    ['MAX_UPLOAD_MB', '31', /MAX_UPLOAD_MB=31 must be a whole number from 32/],
  ])('%s=%s is refused, and a secret is not repeated', (name, value, message) => {
    expect(() => readConfig({ [name]: value })).toThrow(message);
  });
});

describe('ApiKeys', () => {
  const keys = new ApiKeys(['the first of two keys', 'the second of two keys']);

  it('knows its own, by number', () => {
    expect(keys.indexOf('the first of two keys')).toBe(0);
    expect(keys.indexOf('the second of two keys')).toBe(1);
    for (const wrong of ['', 'the first of two key', 'the third of two keys', undefined])
      expect(keys.indexOf(wrong)).toBe(-1);
  });

  it('lets everybody in where there are none', () => {
    expect(() => new ApiKeys([]).check(undefined)).not.toThrow();
    expect(() => keys.check(undefined)).toThrow(/asks for an API key/);
    expect(() => keys.check('wrong')).toThrow(expect.objectContaining({ code: 'unauthorized' }));
  });

  it('are found in headers of two names', () => {
    expect(keyInHeaders({ authorization: 'Bearer abc' })).toBe('abc');
    expect(keyInHeaders({ authorization: 'bearer  abc' })).toBe('abc');
    expect(keyInHeaders({ authorization: 'Basic abc' })).toBeUndefined();
    expect(keyInHeaders({ authorization: 'Basic abc', 'x-api-key': 'def' })).toBe('def');
    expect(keyInHeaders({ 'x-api-key': '' })).toBeUndefined();
  });
});

describe('UrlSigner', () => {
  const signer = new UrlSigner('a key for signing of 32 letters!', 10);
  const now = 1_700_000_000_000;
  const queryOf = (text: string) => Object.fromEntries(new URLSearchParams(text));
  const signed = queryOf(signer.query('session-1', now));

  it('accepts what it has signed, for ten minutes', () => {
    expect(signed.exp).toBe('1700000600');
    expect(signer.check('session-1', signed, now)).toBe(signer.query('session-1', now));
    expect(signer.check('session-1', signed, now + 599_999)).toContain('exp=1700000600');
    expect(() => signer.check('session-1', signed, now + 600_000)).toThrow(/expired/);
  });

  it.each<[string, string, Record<string, string | string[]>]>([
    ['no signature', 'session-1', {}],
    ['only an expiry', 'session-1', { exp: signed.exp! }],
    ['another session', 'session-2', signed],
    ['a later expiry', 'session-1', { ...signed, exp: '1800000600' }],
    ['another signature', 'session-1', { ...signed, sig: `A${signed.sig!.slice(1)}` }],
    ['a shorter one', 'session-1', { ...signed, sig: signed.sig!.slice(4) }],
    ['two of them', 'session-1', { ...signed, sig: [signed.sig!, signed.sig!] }],
    ['an expiry that is no number', 'session-1', { ...signed, exp: `${signed.exp}.5` }],
    ['that of another key', 'session-1', queryOf(new UrlSigner('another key', 10).query('session-1', now))],
  ])('refuses %s', (_what, session, query) => {
    const check = () => signer.check(session, query, now);
    expect(check).toThrow(expect.objectContaining({ code: 'invalid_signature', status: 403 }));
  });

  it('goes on in every address of a playlist, beside what they carry already', () => {
    const playlist =
      '#EXTM3U\n#EXT-X-MAP:URI="init.mp4?e=x"\n#EXT-X-PART:DURATION=0.2,URI="p.m4s",INDEPENDENT=YES\n#EXTINF:1,\ns.m4s?e=x\n';
    expect(playlistWithQuery(playlist, 'q=1')).toBe(
      '#EXTM3U\n#EXT-X-MAP:URI="init.mp4?e=x&q=1"\n#EXT-X-PART:DURATION=0.2,URI="p.m4s?q=1",INDEPENDENT=YES\n#EXTINF:1,\ns.m4s?e=x&q=1\n',
    );
    expect(playlistWithQuery(playlist, undefined)).toBe(playlist);
    expect(withQuery('/a', undefined)).toBe('/a');
  });
});

describe('UploadMemory', () => {
  it('refuses the largest that is still arriving, and nothing that is whole', () => {
    const memory = new UploadMemory(100);
    const refused: string[] = [];
    const open = (name: string) => memory.open(({ code }) => refused.push(`${name} ${code}`));
    const [whole, large, small] = [open('whole'), open('large'), open('small')];
    whole.add(Buffer.alloc(50));
    expect(whole.whole()).toHaveLength(50);
    large.add(Buffer.alloc(40));
    small.add(Buffer.alloc(10));
    expect(refused).toEqual([]);
    small.add(Buffer.alloc(1));
    expect(refused).toEqual(['large overloaded']);
    expect(memory.bytes).toBe(61);
    // It is not wanted any more, whatever comes.
    large.add(Buffer.alloc(40));
    expect(memory.bytes).toBe(61);
    small.add(Buffer.alloc(40));
    expect(refused).toEqual(['large overloaded', 'small overloaded']);
    for (const upload of [whole, whole, large, small]) upload.release();
    expect(memory.bytes).toBe(0);
  });
});

describe('DecodeTurns', () => {
  it('lets so many work at a time, in the order they came', async () => {
    const turns = new DecodeTurns(2);
    const begun: number[] = [];
    const ends: (() => void)[] = [];
    const work = (i: number) =>
      turns.run(async () => {
        begun.push(i);
        await new Promise<void>((resolve) => ends.push(resolve));
        if (i === 1) throw new Error('one fails');
      });
    const all = [0, 1, 2, 3].map(work);
    await turn();
    expect(begun).toEqual([0, 1]);
    ends[1]!();
    await expect(all[1]).rejects.toThrow('one fails');
    expect(begun).toEqual([0, 1, 2]);
    ends[0]!();
    await all[0];
    await turn();
    expect(begun).toEqual([0, 1, 2, 3]);
    for (const end of ends) end();
    await Promise.all([all[2], all[3]]);
    await turns.run(async () => begun.push(4));
    expect(begun).toHaveLength(5);
  });

  it('does not let anybody wait for ever', async () => {
    const turns = new DecodeTurns(1, 20);
    let end = () => {};
    const first = turns.run(() => new Promise<void>((resolve) => (end = resolve)));
    const refusal: AppError = await turns.run(async () => undefined as never).catch((error) => error);
    expect(refusal).toMatchObject({ code: 'overloaded', retryAfterSeconds: 5 });
    end();
    await first;
    expect(await turns.run(async () => 'mine')).toBe('mine');
  });

  const turn = () => new Promise((resolve) => setImmediate(resolve));
});

it('inline scripts are named by their hash, others not', () => {
  const html = '<script src="a.js"></script><script type="importmap">{}</script>';
  // printf '{}' | openssl dgst -sha256 -binary | base64
  expect(inlineScriptHashes(html)).toEqual(["'sha256-RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o='"]);
});
