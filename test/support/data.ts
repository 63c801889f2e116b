import { existsSync } from 'node:fs';
import { resolve } from 'node:path';

/** The folder of real faces, speech and talking clips; not part of the repository. */
export const dataFolder = process.env.FACECAST_TEST_DATA ?? resolve(__dirname, '../../../shared/data');

/** True when the folder is there. */
export const hasData = existsSync(dataFolder);

if (!hasData) {
  console.warn(`No test data at ${dataFolder}: tests on real faces and speech are skipped (set FACECAST_TEST_DATA).`);
}

/** `describe` on real material: skipped, with the word above, where the folder is missing. */
export const describeWithData = hasData ? describe : describe.skip;

/** Absolute path of a file of the test data, such as `portraits/source_2.png`. */
export function dataPath(name: string): string {
  return resolve(dataFolder, name);
}
