// Writes the sha256 of every graph into a pack's pack.json. Run it after an export:
//   node scripts/seal-pack.mjs models/portrait
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const folder = process.argv[2];
if (!folder || folder === '--help') {
  console.log(
    'usage: node scripts/seal-pack.mjs FOLDER\nWrites the sha256 of every graph that FOLDER/pack.json names into it.',
  );
  process.exit(folder ? 0 : 1);
}
const path = join(folder, 'pack.json');
const pack = JSON.parse(await readFile(path, 'utf8'));
for (const [name, graph] of Object.entries(pack.graphs)) {
  graph.sha256 = createHash('sha256')
    .update(await readFile(join(folder, graph.file)))
    .digest('hex');
  console.log(`${graph.sha256}  ${name}`);
}
await writeFile(path, `${JSON.stringify(pack, null, 2)}\n`);
