import { readConfig } from '../src/config.js';

describe('readConfig', () => {
  it('gives the documented defaults', () => {
    expect(readConfig({})).toMatchObject({
      port: 9999,
      host: '0.0.0.0',
      hlsDirectory: 'hls',
      modelPack: 'portrait',
      device: 'auto',
      sessionIdleMinutes: 50,
      drainSeconds: 30,
      workerTimeoutSeconds: 60,
      partMilliseconds: 200,
      tls: undefined,
    });
  });

  it('takes an empty variable as absent', () => {
    expect(readConfig({ PORT: '', INFERENCE_WORKERS: '' }).port).toBe(9999);
  });

  it('names every variable that does not fit, and what is allowed', () => {
    expect(() => readConfig({ PORT: '99999', DEVICE: 'tpu', BATCH_FRAMES: '65', MODEL_PACK: '../secrets' })).toThrow(
      /PORT=99999 must be a whole number from 0 to 65535[\s\S]*MODEL_PACK=\.\.\/secrets[\s\S]*DEVICE=tpu must be auto, cpu, cuda or tensorrt[\s\S]*BATCH_FRAMES=65 must be a whole number from 1 to 64/,
    );
  });

  it('takes parts of whole frames only', () => {
    expect(readConfig({ PART_MS: '80' }).partMilliseconds).toBe(80);
    expect(readConfig({ PART_MS: '1000' }).partMilliseconds).toBe(1000);
    for (const wrong of ['40', '1040', '210', '200.0', '-200', 'short']) {
      expect(() => readConfig({ PART_MS: wrong })).toThrow(
        `PART_MS=${wrong} must be a whole number of milliseconds from 80 to 1000, in steps of 40`,
      );
    }
  });

  it('takes a certificate and its key, both or neither', () => {
    expect(readConfig({ TLS_CERT: 'a.pem', TLS_KEY: 'b.pem' }).tls).toEqual({ certificate: 'a.pem', key: 'b.pem' });
    expect(readConfig({ TLS_CERT: '', TLS_KEY: '' }).tls).toBeUndefined();
    expect(() => readConfig({ TLS_CERT: 'a.pem' })).toThrow(/TLS_KEY= must be set too, because TLS_CERT is/);
    expect(() => readConfig({ TLS_KEY: 'b.pem', TLS_CERT: '' })).toThrow(
      /TLS_CERT= must be set too, because TLS_KEY is/,
    );
  });
});
