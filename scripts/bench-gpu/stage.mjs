// What the parts of bench-gpu.mjs share: each is a process that gets its input as a message and sends back one result.

/** Runs `work` on the input that the parent sends, and sends back what it returns or why it failed. */
export function runStage(work) {
  process.once('message', async (input) => {
    const progress = (text) => process.send({ progress: text });
    try {
      const result = await work(input, progress);
      process.send({ result }, () => process.exit(0));
    } catch (error) {
      process.send({ error: error.message ?? String(error) }, () => process.exit(1));
    }
  });
}
