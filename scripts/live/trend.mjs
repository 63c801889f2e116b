// Whether a number that is looked at again and again changes.

/**
 * The straight line through points that has the least squares.
 * @param points `[[x, y], …]`, at least two with different x
 * @returns what y gains for one x more
 */
export function slope(points) {
  const mean = (at) => points.reduce((sum, point) => sum + point[at], 0) / points.length;
  const [x, y] = [mean(0), mean(1)];
  let [xx, xy] = [0, 0];
  for (const point of points) {
    xx += (point[0] - x) ** 2;
    xy += (point[0] - x) * (point[1] - y);
  }
  if (!(xx > 0)) throw new RangeError('A slope needs two points beside each other.');
  return xy / xx;
}
