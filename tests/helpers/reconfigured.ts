import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { tempFolder } from './temp.js';

/** A copy of a folder whose configuration says otherwise in some fields; for one test. */
export function reconfigured(folder: string, change: object, file = 'config.json'): string {
  const copy = join(tempFolder(), basename(folder));
  cpSync(folder, copy, { recursive: true });
  const path = join(copy, file);
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...change }));
  return copy;
}
