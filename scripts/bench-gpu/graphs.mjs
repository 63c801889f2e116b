// How long single runs of the graphs take: renderer, audio encoder, motion generator; and the published PyTorch loop.
import {
  audioFeeds,
  bytesOf,
  generatorFeeds,
  loadPack,
  rendererFeeds,
  takesBatch,
  takesSeveralSessions,
} from './pack-models.mjs';
import { startPublished } from './published.mjs';
import { runStage } from './stage.mjs';
import { repeated, summary, takeTurns } from './timing.mjs';

/** Points of the solver's time grid: the service's default. */
const NFE = 10;
/** Frames of the service's default window, of which a fifth is generated again by the next one. */
const WINDOW_FRAMES = 25;
const HOP_SECONDS = 0.8;

runStage(async (options, progress) => {
  const { packs, device, threads, batches, seconds, published } = options;
  const loaded = {};
  for (const [precision, directory] of Object.entries(packs)) {
    progress(`loading ${precision}: ${directory}`);
    loaded[precision] = await loadPack(directory, { device, threads });
  }
  const python = published && (await startPublished(published, device, progress));
  const all = Object.entries(loaded);
  const variants = [
    ...all.flatMap(([precision, pack]) => rendererVariants(precision, pack, batches)),
    ...all.flatMap(([precision, pack]) => audioVariants(precision, pack, batches)),
    ...all.flatMap(([precision, pack]) => generatorVariants(precision, pack, batches)),
    ...(python ? python.variants : []),
  ];
  const measured = await takeTurns(variants, seconds, progress);
  await python?.close();
  const rows = (kind) =>
    measured
      .filter(({ variant }) => variant.kind === kind)
      .map(({ variant, first, times }) => {
        const { median, p95, runs } = summary(times);
        return { ...variant.facts, ms: median, p95, first, runs, ...variant.derive?.(median) };
      });
  return {
    packs: Object.fromEntries(all.map(([precision, pack]) => [precision, describe(pack)])),
    renderer: rows('renderer'),
    audioEncoder: rows('audio_encoder'),
    motionGenerator: rows('motion_generator'),
    published: rows('published'),
    publishedMachine: python?.machine,
  };
});

function describe({ facts, identity }) {
  const [first] = Object.values(identity);
  return {
    name: facts.name,
    frame: `${facts.frame.width}x${facts.frame.height}`,
    identityTensors: Object.keys(identity).length,
    identityType: first.data.constructor.name,
    identityBytes: bytesOf(identity),
  };
}

/** Every batch, of one session and, where the graph takes several, of 4 and of a session for each frame. */
function rendererVariants(precision, pack, batches) {
  return batches.flatMap((batch) => {
    if (!takesBatch(pack.models.renderer, 'motion', batch)) return [];
    const sessions = takesSeveralSessions(pack) ? [...new Set([1, 4, batch])].filter((count) => count <= batch) : [1];
    return sessions.map((count) => {
      const feeds = rendererFeeds(pack, batch, count);
      const bytes = { in: bytesOf(feeds), out: 0 };
      return {
        kind: 'renderer',
        label: `renderer ${precision}, batch ${batch} of ${count} session(s)`,
        facts: { precision, batch, sessions: count },
        measure: repeated(async () => {
          bytes.out = bytesOf(await pack.models.renderer.run(feeds));
        }),
        derive: (ms) => ({
          framesPerSecond: (1000 * batch) / ms,
          bytesInPerFrame: bytes.in / batch,
          bytesOutPerFrame: bytes.out / batch,
        }),
      };
    });
  });
}

function audioVariants(precision, pack, batches) {
  const frames = pack.facts.audio.context_frames + WINDOW_FRAMES;
  return batches
    .filter((batch) => takesBatch(pack.models.audio_encoder, 'waveform', batch))
    .map((batch) => {
      const feeds = audioFeeds(pack, batch, frames);
      return {
        kind: 'audio_encoder',
        label: `audio encoder ${precision}, ${batch} window(s)`,
        facts: { precision, batch, frames },
        measure: repeated(() => pack.models.audio_encoder.run(feeds)),
        derive: (ms) => ({ msPerSecond: ms / (batch * HOP_SECONDS) }),
      };
    });
}

/** One solution of the ODE: nfe - 1 evaluations, as the service's sampler makes them. */
function generatorVariants(precision, pack, batches) {
  const { facts, models } = pack;
  const fullSeconds = (facts.motion.window ?? WINDOW_FRAMES) / facts.fps;
  return batches
    .filter((batch) => takesBatch(models.motion_generator, 'x', batch))
    .map((batch) => {
      const feeds = generatorFeeds(pack, batch);
      return {
        kind: 'motion_generator',
        label: `motion generator ${precision}, ${batch} window(s)`,
        facts: { precision, batch, frames: facts.motion.window ?? WINDOW_FRAMES, nfe: NFE },
        measure: repeated(async () => {
          for (let k = 0; k < NFE - 1; k++) {
            feeds.t.data[0] = k / (NFE - 1);
            await models.motion_generator.run(feeds);
          }
        }),
        derive: (ms) => ({
          msPerSecond: ms / (batch * HOP_SECONDS),
          msPerSecondFullWindows: ms / (batch * fullSeconds),
        }),
      };
    });
}
