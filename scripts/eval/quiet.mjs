// Part 3: how far the mouth opens where nobody speaks.
import { FaceTracker } from './face-measure.mjs';
import { toRgb } from './pictures.mjs';
import { row } from './rows.mjs';
import { makeSound } from './sounds.mjs';
import { bends, mean, quantile } from './statistics.mjs';
import { TOKENS } from './tokens.mjs';

const SECONDS = 8;
/** Seconds of silence that are drawn and measured on the frames. */
const DRAWN_SECONDS = 4;

/** @returns `{rows, details}` */
export async function evaluateQuiet(subject, portrait, names, progress) {
  const rows = [];
  const details = [];
  for (const name of names) {
    progress(name);
    const avatar = await subject.open(portrait);
    const tokens = await subject.listen(avatar, makeSound(name, SECONDS));
    const opening = subject.curve(tokens, 'open');
    const [middle, most] = [mean(opening), quantile(opening, 0.95)];
    details.push({ name, mean: middle, most: quantile(opening, 1), share95: most });
    const target = name === 'silence' ? { most: 0.01 } : { most: 0.05 };
    rows.push(
      row(`quiet.${name}`, `opening token in ${name}: mean`, middle, 'fine', {
        target,
        beside: `95 % of frames below ${most.toFixed(3)}`,
      }),
    );
    if (name === 'silence') rows.push(...(await drawnSilence(subject, avatar, tokens)));
    await avatar.close();
  }
  return { rows, details };
}

async function drawnSilence(subject, avatar, tokens) {
  const { width, height } = subject.size;
  const tracker = new FaceTracker(subject.faces);
  const measure = async (frame) => tracker.measure(toRgb(frame, width, height));
  const rest = await measure(await subject.drawPose(avatar, {}));
  const faces = [];
  for await (const frame of subject.draw(avatar, tokens.subarray(0, DRAWN_SECONDS * 25 * TOKENS.length))) {
    const face = await measure(frame);
    if (face) faces.push(face);
  }
  const gaps = faces.map((face) => face.opening - rest.opening);
  const nose = [0, 1].map((axis) => bends(faces.map((face) => face.nose[axis] / rest.unit)));
  const beside = (values) => `95 % below ${quantile(values, 0.95).toFixed(3)}`;
  return [
    row('quiet.gap', 'gap in silence, frames, more than at rest: mean, face units', mean(gaps), 'fine', {
      target: { most: 0.01 },
      beside: beside(gaps),
    }),
    row('quiet.lips', 'bend of the gap in silence, frames, face units', mean(bends(gaps)), 'fine'),
    row('quiet.nose', 'bend of the nose tip in silence, frames, face units', mean(nose.flat()), 'fine'),
  ];
}
