// GPU memory of the graphs of one pack, step by step. The engine's own, with its sessions, is in sessions.mjs.
import { gpuMemory } from './nvidia-smi.mjs';
import { loadPack, rendererFeeds, takesBatch, takesSeveralSessions } from './pack-models.mjs';
import { residentMegabytes } from './processes.mjs';
import { runStage } from './stage.mjs';

runStage(async ({ precision, directory, device, threads, batches }, progress) => {
  progress(`memory of ${precision}: ${directory}`);
  const resident = async () => ({
    gpu: await gpuMemory([process.pid]),
    residentMegabytes: await residentMegabytes([process.pid]),
  });
  const steps = [];
  const note = async (step) => steps.push({ step, ...(await resident()) });
  await note('before loading');
  const pack = await loadPack(directory, { device, threads });
  await note('four graphs loaded, one portrait encoded');
  const largest = batches.filter((batch) => takesBatch(pack.models.renderer, 'motion', batch)).at(-1);
  await pack.models.renderer.run(rendererFeeds(pack, largest, 1));
  await note(`after a batch of ${largest} frames of 1 session`);
  if (takesSeveralSessions(pack) && largest > 1) {
    await pack.models.renderer.run(rendererFeeds(pack, largest, largest));
    await note(`after a batch of ${largest} frames of ${largest} sessions`);
  }
  return { steps };
});
