import { mkdirSync, readdirSync, rmdirSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { HpsError } from '../errors.js';
import { outputError, printable } from './output-error.js';
import { abandonStaging, registerStaging, stagingName, sweepStaging } from './staging.js';

/** No file has this name: what is locked is the folder itself. */
const TARGET = '.';

/**
 * Runs `use` while no other process does so over the same folder, which is made where it is not there: a folder made here that is
 * empty afterwards goes again.
 * @throws HpsError OUTPUT_BUSY with the process that has it; OUTPUT_INVALID for what cannot be a folder
 */
export async function withLockedFolder<T>(path: string, use: () => Promise<T>): Promise<T> {
  const folder = resolve(path);
  const name = basename(folder);
  const lock = join(folder, stagingName(TARGET));
  let made: string | undefined;
  try {
    made = mkdirSync(folder, { recursive: true });
    mkdirSync(lock);
  } catch (error) {
    throw outputError(name, error);
  }
  registerStaging(lock);
  try {
    refuseSecond(name, sweepStaging(folder, TARGET, basename(lock)));
    return await use();
  } finally {
    abandonStaging(lock);
    if (made !== undefined) removeEmpty(folder, made);
  }
}

/** Removes a folder and those around it, up to `outermost`, as long as they are empty. */
function removeEmpty(folder: string, outermost: string): void {
  if (readdirSync(folder).length > 0) return;
  rmdirSync(folder);
  if (folder !== outermost) removeEmpty(dirname(folder), outermost);
}

function refuseSecond(name: string, pid: number | undefined): void {
  if (pid === undefined) return;
  throw new HpsError('OUTPUT_BUSY', `${printable(name)}: process ${pid} is at work in this folder`, {
    hint: 'Wait until it is done, or give another folder.',
    details: { folder: name, pid },
  });
}
