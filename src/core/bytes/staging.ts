import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, join } from 'node:path';
import { systemErrorCode } from '../errors.js';

/** Inside a staging folder: the files that a commit of several replaces, until all of the new ones are in place. */
export const REPLACED = '.replaced';

const hex = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 8);

/**
 * Staging folders lie beside their target (renaming works within one file system only) and say who writes what:
 * `.tmp-PID-HOST-TARGET-RANDOM`, host and target as hashes. The name is all there is to a lock, so taking it is one mkdir.
 */
const PATTERN = /^\.tmp-(\d+)-([0-9a-f]{8})-([0-9a-f]{8})-[0-9a-f]{8}$/;

export const stagingName = (target: string): string =>
  `.tmp-${process.pid}-${hex(hostname())}-${hex(target)}-${randomBytes(4).toString('hex')}`;

export const isStaging = (name: string): boolean => PATTERN.test(name);

/** Staging folders this process has open, by their names, which are theirs alone: a path may be spelled in several ways. */
const OPEN = new Map<string, string>();

export const registerStaging = (folder: string): void => {
  OPEN.set(basename(folder), folder);
};

/** Undoes a commit that was cut short, and removes the folder. Sync, so that a signal handler can do it. */
export function abandonStaging(folder: string): void {
  OPEN.delete(basename(folder));
  try {
    restoreReplaced(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** For a signal handler: leaves no temporary file of this process behind, and every target as it was. */
export function cleanTemporaryFiles(): void {
  for (const folder of [...OPEN.values()]) {
    try {
      abandonStaging(folder);
    } catch {
      // The next run in that folder tries again; the other folders still have their turn.
    }
  }
}

/** A commit is complete once no new file is left in the staging folder; before that the old ones go back. */
function restoreReplaced(folder: string): void {
  const names = readNames(folder);
  if (!names.includes(REPLACED) || names.length === 1) return;
  for (const name of readNames(join(folder, REPLACED)))
    renameSync(join(folder, REPLACED, name), join(folder, '..', name));
}

function readNames(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Makes room for the files that a commit of several replaces. */
export const makeReplaced = (folder: string): void => mkdirSync(join(folder, REPLACED));

/**
 * Removes what processes that are gone left in a folder.
 * @returns the process that is writing `target` right now, or undefined
 */
export function sweepStaging(parent: string, target: string, own: string): number | undefined {
  let writer: number | undefined;
  for (const name of readNames(parent)) {
    const match = PATTERN.exec(name);
    if (name === own || match === null || match[2] !== hex(hostname())) continue; // another machine's processes cannot be seen
    const pid = Number(match[1]);
    const folder = join(parent, name);
    const alive = pid === process.pid ? OPEN.has(name) : isAlive(pid);
    if (!alive) abandonStaging(folder);
    else if (match[3] === hex(target)) writer = pid;
  }
  return writer;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemErrorCode(error) !== 'ESRCH';
  }
}
