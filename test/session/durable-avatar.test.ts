import type { Avatar, AvatarEngine, Motion, MotionWindow } from '../../src/avatar/engine.js';
import { AppError } from '../../src/errors.js';
import { createLogger } from '../../src/log.js';
import { DurableAvatar, type DurableAvatarOptions } from '../../src/session/durable-avatar.js';

const window: MotionWindow = {
  startFrame: 7,
  frames: 2,
  overlapFrames: 0,
  contextFrames: 0,
  waveform: new Float32Array(1280).fill(0.5),
};
const motion: Motion = { startFrame: 0, frames: 1, tokens: new Float32Array(1) };
const died = () => new AppError('internal', 'The inference worker of this session died.');

/** Avatars that die when they are told to, in the middle of a call. */
class MortalEngine implements AvatarEngine {
  readonly description = {} as AvatarEngine['description'];
  readonly ready = true;
  readonly opened: MortalAvatar[] = [];
  /** Answers to the next calls of `open`, instead of an avatar. */
  refusals: AppError[] = [];

  async open(): Promise<Avatar> {
    const refusal = this.refusals.shift();
    if (refusal) throw refusal;
    const avatar = new MortalAvatar();
    this.opened.push(avatar);
    return avatar;
  }

  async measureCost(): Promise<number> {
    return 0.1;
  }

  async close(): Promise<void> {}
}

class MortalAvatar implements Avatar {
  readonly warnings = ['a warning'];
  onLost: Avatar['onLost'];
  dies = false;
  closed = false;

  async generateMotion({ startFrame, frames, waveform }: MotionWindow): Promise<Motion> {
    this.#dieIfDue();
    const loudest = Math.max(...waveform);
    // As a worker thread takes it.
    structuredClone(waveform.buffer, { transfer: [waveform.buffer] });
    return { startFrame, frames, tokens: new Float32Array(frames).fill(loudest) };
  }

  async render({ frames }: Motion): Promise<Uint8Array> {
    this.#dieIfDue();
    return new Uint8Array(frames);
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  #dieIfDue(): void {
    if (!this.dies) return;
    this.onLost?.(died());
    throw died();
  }
}

let engine: MortalEngine;
let portraits: number;

const open = () => DurableAvatar.open(options());

function options(): DurableAvatarOptions {
  engine = new MortalEngine();
  portraits = 0;
  return {
    engine,
    portrait: async () => {
      portraits++;
      return { width: 1, height: 1, data: new Uint8Array(3) };
    },
    avatar: { crop: true, seed: 1, nfe: 5, cfgScale: 1 },
    logger: createLogger('silent'),
  };
}

it('what was asked of an avatar that died is answered by the next, with the samples it was asked with', async () => {
  const avatar = await open();
  expect(avatar.warnings).toEqual(['a warning']);
  engine.opened[0]!.dies = true;
  engine.refusals = [new AppError('not_ready', 'starting'), new AppError('not_ready', 'starting')];
  const [made, drawn] = await Promise.all([avatar.generateMotion(window, 0), avatar.render(motion, 0)]);
  expect(made).toMatchObject({ startFrame: 7, frames: 2, tokens: Float32Array.of(0.5, 0.5) });
  expect(drawn).toHaveLength(1);
  expect(window.waveform).toHaveLength(1280);
  expect(engine.opened).toHaveLength(2);
  expect(portraits).toBe(4);
  await avatar.close();
  expect(engine.opened[1]!.closed).toBe(true);
});

it('gives up where it is this portrait that kills workers', async () => {
  const avatar = await open();
  const lost = new Promise<AppError>((resolve) => {
    avatar.onLost = resolve;
  });
  for (let life = 0; life < 2; life++) {
    engine.opened[life]!.dies = true;
    if (life === 0) await avatar.render(motion, 0);
  }
  await avatar.render(motion, 0).catch(() => undefined);
  engine.opened.at(-1)!.dies = true;
  await expect(avatar.render(motion, 0)).rejects.toThrow('The inference worker of this session died.');
  expect((await lost).code).toBe('internal');
});

it("an error of the call itself is the caller's, and costs no avatar", async () => {
  const avatar = await open();
  engine.opened[0]!.render = async () => {
    throw new AppError('internal', 'a tensor does not fit');
  };
  await expect(avatar.render(motion, 0)).rejects.toThrow('a tensor does not fit');
  expect(engine.opened).toHaveLength(1);
});

it('what is opened for a session that has ended meanwhile does not stay', async () => {
  const avatar = await open();
  engine.refusals = [new AppError('not_ready', 'starting')];
  engine.opened[0]!.dies = true;
  const drawing = avatar.render(motion, 0).catch((error) => error);
  await avatar.close();
  await drawing;
  expect(engine.opened.slice(1).every(({ closed }) => closed)).toBe(true);
});

it('of a session that comes back is opened when the model is there, however long that takes, and holds no portrait before', async () => {
  let serve!: () => void;
  const serving = new Promise<void>((resolve) => {
    serve = resolve;
  });
  const clock = jest.spyOn(performance, 'now');
  try {
    const avatar = DurableAvatar.reopen(options(), serving);
    const drawn = avatar.render(motion, 0);
    await new Promise(setImmediate);
    expect(portraits).toBe(0);
    // Ten minutes later: patience begins only now.
    const later = performance.now() + 600_000;
    clock.mockImplementation(() => later);
    engine.refusals = [new AppError('not_ready', 'starting')];
    serve();
    expect(await drawn).toHaveLength(1);
    expect(portraits).toBe(2);
    await avatar.close();
  } finally {
    clock.mockRestore();
  }
});
