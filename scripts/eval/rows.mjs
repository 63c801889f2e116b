// What the evaluation says: rows of a table, one number each.

/**
 * One measured number.
 * @param row.key names it in the JSON and among the reference numbers
 * @param row.format `ratio` (two digits), `fine` (three), `percent`, `decibel`, `count` (one digit)
 * @param row.target `{least}` or `{most}`, where there is one
 * @param row.beside the same, measured by something simpler, in words
 */
export function row(key, name, value, format, { target, beside = '' } = {}) {
  return { key, name, value: Number.isFinite(value) ? value : null, format, target, beside };
}

const FORMATS = {
  ratio: (value) => value.toFixed(2),
  fine: (value) => value.toFixed(3),
  percent: (value) => `${(100 * value).toFixed(1)} %`,
  decibel: (value) => `${value.toFixed(1)} dB`,
  count: (value) => value.toFixed(1),
};

export function formatted(value, format) {
  // Without the minus of what is rounded to nothing.
  return value === null || value === undefined ? '-' : FORMATS[format](value).replace(/^-(0(\.0*)?)(?!\.?\d)/, '$1');
}

export function meetsTarget({ value, target }) {
  if (!target || value === null) return undefined;
  return target.least !== undefined ? value >= target.least : value <= target.most;
}

function targetWords({ target, format }) {
  if (!target) return '';
  const [word, value] = target.least !== undefined ? ['at least', target.least] : ['at most', target.most];
  return `${word} ${formatted(value, format)}`;
}

/** Cells of every row: measure, value, the first pack's, what is simpler, target, whether it is met. */
function cells(one, reference) {
  const met = meetsTarget(one);
  const first = reference?.[one.key];
  return [
    one.name,
    formatted(one.value, one.format),
    first === undefined ? '' : formatted(first, one.format),
    one.beside,
    targetWords(one),
    met === undefined ? '' : met ? 'yes' : 'no',
  ];
}

const HEAD = ['', 'this pack', 'first pack', 'beside', 'target', 'met'];

/** @param parts `[{title, rows, skipped}]` @param reference numbers of the first pack by key */
export function asText(parts, reference) {
  const tables = parts.map((part) => part.rows.map((one) => cells(one, reference)));
  const widths = HEAD.map((word, c) => Math.max(word.length, ...tables.flat().map((line) => line[c].length)));
  const line = (values) => `  ${values.map((value, c) => value.padEnd(widths[c])).join('  ')}`.trimEnd();
  const blocks = parts.map(({ title, skipped }, i) =>
    [title, ...(skipped ? [`  left out: ${skipped}`] : [line(HEAD), ...tables[i].map(line)])].join('\n'),
  );
  return `${blocks.join('\n\n')}\n`;
}

export function asMarkdown(parts, reference) {
  const line = (values) => `| ${values.join(' | ')} |`;
  const blocks = parts.map(({ title, rows, skipped }) =>
    skipped
      ? `**${title}**: left out, ${skipped}\n`
      : [
          `**${title}**\n`,
          line(['measure', ...HEAD.slice(1)]),
          line(HEAD.map(() => '---')),
          ...rows.map((one) => line(cells(one, reference))),
          '',
        ].join('\n'),
  );
  return blocks.join('\n');
}
