import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkFfmpeg, runFfmpeg } from '../../src/hls/ffmpeg.js';

describe('checkFfmpeg', () => {
  it('finds the FFmpeg of this machine and its version', async () => {
    expect(await checkFfmpeg()).toMatch(/^\S+$/);
  });

  it('says how to install FFmpeg where there is none', async () => {
    await expect(checkFfmpeg('/nowhere/ffmpeg')).rejects.toThrow(
      /could not be run as "\/nowhere.*apt-get install ffmpeg/,
    );
  });

  it('names the encoders that are missing', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'facecast-test-'));
    const path = join(folder, 'ffmpeg');
    // libx264rgb and "aac" in a description are not what is asked for
    writeFileSync(path, "#!/bin/sh\necho ' V....D libx264rgb  RGB'\necho ' A....D libfdk_aac  aac'\n");
    chmodSync(path, 0o755);
    try {
      await expect(checkFfmpeg(path)).rejects.toThrow('lacks the encoder libx264 and aac. Install');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('runFfmpeg', () => {
  it("rejects with FFmpeg's own words", async () => {
    await expect(runFfmpeg(['-i', '/nowhere/talk.mp4', '-f', 'null', '-']).done).rejects.toThrow(/No such file/);
  });
});
