// The command line of `npm run eval`.
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

const KNOWN = {
  pack: { type: 'string' },
  portraits: { type: 'string' },
  clips: { type: 'string' },
  out: { type: 'string' },
  json: { type: 'string' },
  only: { type: 'string' },
  quick: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
};

/** The parts, in the order in which they run. */
export const PARTS = ['clips', 'closures', 'quiet', 'life', 'portraits'];

export const HELP = `npm run eval [-- --pack DIR --portraits DIR --clips DIR --out DIR --json FILE --only PARTS --quick]

Lets a model pack speak and measures what it makes: lips against real talking clips, closures in speech with known phone
times, the mouth in silence and noise, head and eyes, likeness; writes a contact sheet and a film for each portrait.

--pack       the pack's folder (models/portrait)
--portraits  a folder of portraits, besides the sample portrait (../shared/data/portraits)
--clips      a folder of talking clips, MP4 with sound (../shared/data/talking)
--out        where tables, sheets and films go (eval-report)
--json       writes all numbers to a file as well
--only       some of ${PARTS.join(',')}, separated by commas
--quick      less of everything and no films: numbers to work by, not to publish

FACECAST_TEST_DATA names another folder in place of ../shared/data. What is missing there is left out.`;

/**
 * @param args words after the script's name
 * @param root the checkout
 * @throws Error that names the option and what it may be
 */
export function readOptions(args, root, environment = process.env) {
  const { values } = parseArgs({ args, options: KNOWN });
  const data = environment.FACECAST_TEST_DATA ?? join(root, '../shared/data');
  const only = values.only?.split(',').map((part) => part.trim()) ?? PARTS;
  const unknown = only.find((part) => !PARTS.includes(part));
  if (unknown !== undefined) throw new Error(`--only ${unknown}: there are the parts ${PARTS.join(', ')}.`);
  const folder = (value, usual) => (value === undefined ? usual : resolve(value));
  return {
    help: values.help,
    quick: values.quick,
    only,
    pack: folder(values.pack, join(root, 'models/portrait')),
    portraits: folder(values.portraits, join(data, 'portraits')),
    clips: folder(values.clips, join(data, 'talking')),
    out: folder(values.out, join(root, 'eval-report')),
    json: values.json === undefined ? undefined : resolve(values.json),
  };
}
