// Lets a model pack speak, measures what it makes and shows it. `npm run eval -- --help` tells how.
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { commandLine } from './command-line.mjs';
import { evaluateClosures, readUtterances } from './eval/closures.mjs';
import { FaceEmbedder } from './eval/identity.mjs';
import { evaluateLiveliness } from './eval/liveliness.mjs';
import { readSound } from './eval/media.mjs';
import { HELP, readOptions } from './eval/options.mjs';
import { evaluatePortraits, listPortraits, readPortraits } from './eval/portraits.mjs';
import { evaluateQuiet } from './eval/quiet.mjs';
import { asMarkdown, asText } from './eval/rows.mjs';
import { writeStrips } from './eval/sheets.mjs';
import { SOUND_NAMES } from './eval/sounds.mjs';
import { Subject } from './eval/subject.mjs';
import { evaluateClips, listClips } from './eval/talking-clips.mjs';

const root = resolve(import.meta.dirname, '..');
const SAMPLES = join(root, 'clients/web/samples');

const options = commandLine('eval', HELP, (args) => readOptions(args, root));
if (!existsSync(join(options.pack, 'pack.json'))) stop(`--pack ${options.pack}: there is no pack.json in that folder.`);

const started = performance.now();
await mkdir(options.out, { recursive: true });
const subject = await Subject.load(options.pack).catch((error) => stop(error.message));
// Quick numbers are of fewer recordings, and compare with quick ones only.
const firstPack = JSON.parse(await readFile(join(import.meta.dirname, 'eval/first-pack.json'), 'utf8'));
const reference = options.quick ? firstPack.quick : firstPack.full;
const portraits = await readPortraits(
  subject,
  [join(SAMPLES, 'portrait.jpg'), ...(await listPortraits(options.portraits))],
  progress,
);
if (portraits.length === 1) progress(`there are no portraits in ${options.portraits}: only the sample speaks`);
const [sample] = portraits;
const utterances = await readUtterances(join(root, 'models/evaluation/speech'));

/** What each part does, and why it cannot. */
const PARTS = {
  clips: {
    title: 'Lips against real talking clips',
    missing: async () => (await listClips(options.clips)).length === 0 && `there are no .mp4 files in ${options.clips}`,
    run: async () => {
      const clips = await listClips(options.clips);
      return evaluateClips(subject, sample.picture, options.quick ? clips.slice(0, 2) : clips, progress);
    },
  },
  closures: {
    title: 'Closures in unseen synthetic voices',
    missing: () => utterances.length === 0 && 'models/evaluation/speech is missing',
    run: async () => {
      const chosen = options.quick ? utterances.filter((_, i) => i % 5 === 0) : utterances;
      const result = await evaluateClosures(subject, portraits, chosen, progress);
      for (const [portrait, strips] of result.strips) {
        await writeStrips(join(options.out, `lips-${portrait}.jpg`), strips, subject.size);
      }
      return result;
    },
  },
  quiet: {
    title: 'Where nobody speaks',
    run: () => evaluateQuiet(subject, sample.picture, options.quick ? ['silence', 'siren'] : SOUND_NAMES, progress),
  },
  life: {
    title: 'Head, eyes and dials',
    missing: () => utterances.length === 0 && 'models/evaluation/speech is missing',
    run: () => evaluateLiveliness(subject, sample.picture, utterances, options.quick ? 60 : 120, progress),
  },
  portraits: {
    title: 'Likeness and picture',
    run: async () => {
      const wave = await readSound(join(SAMPLES, 'speech.wav'));
      const embedder = await FaceEmbedder.load();
      const chosen = options.quick ? portraits.slice(0, 3) : portraits;
      const how = { out: options.out, film: !options.quick };
      const seen = { portraits: chosen, clips: await listClips(options.clips), wave };
      return evaluatePortraits(subject, embedder, seen, how, progress).finally(() => embedder.close());
    },
  },
};

const parts = [];
for (const key of options.only) parts.push({ key, title: PARTS[key].title, ...(await runPart(PARTS[key])) });
await subject.close();
await report();

/** A part's rows, or why there are none: one that fails does not take the others along. */
async function runPart({ title, missing, run }) {
  const skipped = await missing?.();
  progress(`${title}${skipped ? `: left out, ${skipped}` : ''}`);
  if (skipped) return { rows: [], skipped };
  try {
    return await run();
  } catch (error) {
    process.exitCode = 1;
    progress(`${title}: failed, ${error.message}`);
    return { rows: [], skipped: `it failed: ${error.message}` };
  }
}

async function report() {
  const { name, version } = subject.pack.facts;
  const seconds = Math.round((performance.now() - started) / 1000);
  const head = `${name} ${version}, ${portraits.length} portraits, ${options.quick ? 'quick, ' : ''}${seconds} s`;
  console.log(`\n${head}\n\n${asText(parts, reference)}`);
  await writeFile(join(options.out, 'report.md'), `${head}\n\n${asMarkdown(parts, reference)}`);
  const numbers = Object.fromEntries(parts.flatMap(({ rows }) => rows.map(({ key, value }) => [key, value])));
  const json = {
    pack: name,
    version,
    quick: options.quick,
    seconds,
    numbers,
    parts: parts.map(({ strips, ...part }) => part),
  };
  const text = `${JSON.stringify(json, null, 2)}\n`;
  await writeFile(join(options.out, 'report.json'), text);
  if (options.json) await writeFile(options.json, text);
  console.log(`Tables, sheets and films are in ${options.out}`);
}

/** One line on the terminal that the next one replaces; lines of their own elsewhere. */
function progress(words) {
  const time = `${Math.round((performance.now() - started) / 1000)} s`.padStart(6);
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${time}  ${words}`);
  else process.stderr.write(`${time}  ${words}\n`);
}

function stop(message) {
  console.error(`eval: ${message} See npm run eval -- --help`);
  process.exit(2);
}
