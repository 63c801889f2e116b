// The curve of several runs as a picture: lateness of parts, and pictures that came too late, by the number of sessions.
import { MOST_LATENESS_MILLISECONDS } from './summary.mjs';

const FRAMES_PER_SECOND = 25;
const PANEL = { width: 330, height: 200, top: 46, left: 52, gap: 78 };
const HEIGHT = PANEL.top + PANEL.height + 46;
const WIDTH = PANEL.left + 2 * PANEL.width + PANEL.gap + 24;
const LINES = [
  { key: 'p50', label: 'median', at: 146, colour: '#8ab4d8' },
  { key: 'p95', label: '95 %', at: 82, colour: '#3d7fb8' },
  { key: 'p99', label: '99 %', at: 34, colour: '#174a7c' },
];

/**
 * @param runs live sessions as `summarise` returns them. Only those that more sessions were taken in than in any before
 *   are drawn: a service that is full takes no more, however many ask.
 * @returns an SVG document
 */
export function chart(runs) {
  const summaries = runs.filter(
    ({ admitted, latenessMilliseconds }, i) =>
      latenessMilliseconds && runs.slice(0, i).every((before) => before.admitted < admitted),
  );
  const counts = summaries.map(({ admitted }) => admitted);
  const lateness = LINES.map((line) => ({
    ...line,
    values: summaries.map(({ latenessMilliseconds }) => Math.max(0, latenessMilliseconds[line.key])),
  }));
  const shares = summaries.map(
    ({ lateFrames, admitted, seconds }) => (100 * lateFrames) / (admitted * seconds * FRAMES_PER_SECOND),
  );
  const second = PANEL.left + PANEL.width + PANEL.gap;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12" fill="#333">
<title>Part lateness, and pictures that came too late, by the number of live sessions</title>
<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>
${panel(PANEL.left, 'Part lateness, ms', counts, lateness, { mark: MOST_LATENESS_MILLISECONDS, word: 'promised' })}
${panel(second, 'Pictures that came too late, %', counts, [{ label: '', colour: '#b0413e', values: shares }], {})}
</svg>
`;
}

function panel(left, title, counts, lines, { mark, word }) {
  const { width, height, top } = PANEL;
  const most = Math.max(mark ?? 0, ...lines.flatMap(({ values }) => values), 1);
  const step = tick(most);
  const high = step * Math.ceil(most / step);
  const [first, last] = [counts[0], counts.at(-1)];
  const x = (count) => left + (last > first ? ((count - first) / (last - first)) * width : width / 2);
  const y = (value) => top + height * (1 - value / high);
  const parts = [`<text x="${left}" y="${top - 20}" font-weight="bold">${title}</text>`];
  for (let value = 0; value <= high + step / 2; value += step) {
    parts.push(`<path d="M${left} ${round(y(value))}h${width}" stroke="#ddd"/>`);
    parts.push(
      `<text x="${left - 8}" y="${round(y(value) + 4)}" text-anchor="end">${Number(value.toPrecision(3))}</text>`,
    );
  }
  for (const count of counts) {
    parts.push(`<text x="${round(x(count))}" y="${top + height + 18}" text-anchor="middle">${count}</text>`);
  }
  parts.push(`<text x="${left + width / 2}" y="${top + height + 36}" text-anchor="middle">live sessions</text>`);
  if (mark) {
    parts.push(`<path d="M${left} ${round(y(mark))}h${width}" stroke="#b0413e" stroke-dasharray="4 3"/>`);
    parts.push(`<text x="${left + 4}" y="${round(y(mark) - 5)}" fill="#b0413e">${word}</text>`);
  }
  for (const { label, at, colour, values } of lines) {
    const points = values.map((value, i) => [round(x(counts[i])), round(y(value))]);
    parts.push(`<polyline points="${points.join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    for (const [cx, cy] of points) parts.push(`<circle cx="${cx}" cy="${cy}" r="2.5" fill="${colour}"/>`);
    if (label) {
      parts.push(`<text x="${left + width - at}" y="${top - 4}" fill="${colour}" font-weight="bold">${label}</text>`);
    }
  }
  return parts.join('\n');
}

/** A round step that makes about five lines. */
function tick(most) {
  const power = 10 ** Math.floor(Math.log10(most / 5));
  return [1, 2, 5, 10].map((times) => times * power).find((step) => most / step <= 6);
}

function round(value) {
  return Math.round(value * 10) / 10;
}
