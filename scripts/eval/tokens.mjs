// What the numbers of a motion token mean, in the order of models/portrait/README.md.

export const TOKENS = [
  ...['jaw', 'open', 'width', 'round', 'protrude', 'lip_closure', 'tuck', 'upper_raise', 'lower_drop', 'teeth'],
  ...['tongue_tip', 'tongue_out', 'tongue_back', 'stretch', 'press', 'speech', 'voiced', 'nasal'],
  ...['brow_up', 'brow_down', 'squint', 'smile', 'blink_left', 'blink_right', 'gaze_x', 'gaze_y'],
  ...['pitch', 'yaw', 'roll', 'shift_x', 'shift_y'],
];

/** @throws Error when the pack's tokens are not those that this evaluation knows. */
export function checkTokens({ name, motion }) {
  if (motion.tokens === TOKENS.length && motion.token_scale) return;
  throw new Error(
    `--pack: the pack ${name} has ${motion.tokens} motion tokens${motion.token_scale ? '' : ' without token_scale'}. ` +
      `Only packs with the ${TOKENS.length} tokens and the token_scale of the portrait pack can be evaluated.`,
  );
}

/** One token over the frames, in its own unit. */
export function curve(tokens, scale, name) {
  const index = TOKENS.indexOf(name);
  if (index < 0) throw new RangeError(`no motion token is called ${name}`);
  const frames = tokens.length / TOKENS.length;
  return Float64Array.from({ length: frames }, (_, i) => tokens[i * TOKENS.length + index] / scale[index]);
}

/** A frame's tokens as the renderer takes them; what is not named is 0. */
export function pose(values, scale) {
  const tokens = new Float32Array(TOKENS.length);
  for (const [name, value] of Object.entries(values)) {
    const index = TOKENS.indexOf(name);
    if (index < 0) throw new RangeError(`no motion token is called ${name}`);
    tokens[index] = value * scale[index];
  }
  return tokens;
}
