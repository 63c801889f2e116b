// Times of runs, taken in turns.

/** Milliseconds that one turn of a variant lasts at least. */
const TURN = 100;

/**
 * Warms every variant up and then lets them take turns until each has been measured for `seconds`: a machine that is
 * slowed down by others slows all of them.
 * @param variants each with `measure(milliseconds)`, which runs for so long, once at least, and gives the times of its runs
 * @returns each with its `first` run, which is the slow one, and `times` of the later ones, in milliseconds
 */
export async function takeTurns(variants, seconds, progress) {
  const states = [];
  for (const variant of variants) {
    progress(`warming up: ${variant.label}`);
    const [first] = await variant.measure(0);
    await variant.measure(0);
    states.push({ variant, first, times: [], spent: 0 });
  }
  progress(`measuring ${variants.length} variants for ${seconds} s each`);
  const due = () => states.filter(({ spent }) => spent < seconds * 1000);
  for (let turn = due(); turn.length > 0; turn = due()) {
    for (const state of turn) {
      const times = await state.variant.measure(Math.min(TURN, seconds * 1000));
      for (const time of times) {
        state.times.push(time);
        state.spent += time;
      }
    }
  }
  return states.map(({ variant, first, times }) => ({ variant, first, times }));
}

/** A variant's `measure` that awaits `run` again and again. */
export function repeated(run) {
  return async (milliseconds) => {
    const times = [];
    let spent = 0;
    do {
      const start = performance.now();
      await run();
      times.push(performance.now() - start);
      spent += times.at(-1);
    } while (spent < milliseconds);
    return times;
  };
}

/** The middle, the slow end and the number of some times. */
export function summary(times) {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  return { median: at(0.5), p95: at(0.95), runs: sorted.length };
}
