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
});
