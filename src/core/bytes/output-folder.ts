import { lstatSync, mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { HpsError } from '../errors.js';
import { invalidOutput, outputError, printable } from './output-error.js';
import { abandonStaging, makeReplaced, REPLACED, registerStaging, stagingName, sweepStaging } from './staging.js';

export interface OutputFolderOptions {
  /** Replace a folder of the same kind. */
  readonly force: boolean;
  /** The file that tells a folder of this kind from the user's other folders: only one that has it is ever replaced. */
  readonly marker: string;
}

/**
 * Runs `write` over a new folder and moves that into place, or removes it when `write` throws: the target appears whole or not
 * at all. An empty folder in its place is taken; another one only with `force`, and only if `marker` shows what it is.
 *
 * @param write - receives the folder to write into
 * @throws HpsError OUTPUT_EXISTS; OUTPUT_INVALID for a path that cannot be used; OUTPUT_BUSY where another process writes it;
 *   OUTPUT_WRITE_FAILED (exit 74) where the disk is full or fails
 */
export async function withAtomicFolder<T>(
  path: string,
  options: OutputFolderOptions,
  write: (folder: string) => Promise<T>,
): Promise<T> {
  const target = resolve(path);
  const [parent, name] = [dirname(target), basename(target)];
  try {
    if (path === '' || path.includes('\0') || name === '') {
      throw invalidOutput(name, 'not the path of a folder', 'Give the path of the folder to write.');
    }
    statSync(join(parent, '.')); // ENOENT or ENOTDIR
    const staging = stagingName(name);
    const folder = join(parent, staging);
    mkdirSync(folder);
    registerStaging(folder);
    try {
      refuseSecondWriter(name, sweepStaging(parent, name, staging));
      checkTarget(target, options);
      mkdirSync(join(folder, name));
      const result = await write(join(folder, name));
      moveIntoPlace(folder, target);
      return result;
    } finally {
      abandonStaging(folder); // after the move, what it replaced; before it, everything
    }
  } catch (error) {
    throw outputError(name, error);
  }
}

/** The old folder first goes into the staging folder, from where it returns if this process dies before the new one is in place. */
function moveIntoPlace(folder: string, target: string): void {
  const name = basename(target);
  if (lstatSync(target, { throwIfNoEntry: false })) {
    makeReplaced(folder);
    renameSync(target, join(folder, REPLACED, name));
  }
  renameSync(join(folder, name), target);
}

function checkTarget(target: string, { force, marker }: OutputFolderOptions): void {
  const name = basename(target);
  const stat = lstatSync(target, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (stat.isSymbolicLink()) throw invalidOutput(name, 'is a symbolic link', 'Give the path of the folder itself.');
  if (!stat.isDirectory()) throw invalidOutput(name, 'is a file', 'Give the path of a folder that is new or empty.');
  const names = readdirSync(target);
  if (names.length === 0) return;
  if (!names.includes(marker)) {
    throw invalidOutput(
      name,
      `is not empty and has no ${marker}`,
      'Give a new folder: only one that an earlier run has written is ever replaced.',
    );
  }
  if (force) return;
  throw new HpsError('OUTPUT_EXISTS', `${printable(name)}: exists already`, {
    hint: 'Set `force` to replace it, or another path.',
    details: { file: name },
  });
}

function refuseSecondWriter(name: string, pid: number | undefined): void {
  if (pid === undefined) return;
  throw new HpsError('OUTPUT_BUSY', `${printable(name)}: is being written by process ${pid}`, {
    hint: 'Wait until it is done, or give another path.',
    details: { file: name, pid },
  });
}
