import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { HpsError, systemErrorCode } from '../errors.js';
import { printable } from './output-error.js';

const FAULTS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such folder',
  ENOTDIR: 'it is not a folder',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'the file system is read-only',
  ENOSPC: 'no space is left on the device',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'the file is larger than is allowed',
  EIO: 'the device failed',
};

/** Faults of the disk, whatever file was written; the others are of the folder where the error names a path in it. */
const DISK_FAULTS: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG', 'EIO']);

/**
 * A new folder for temporary files, which the caller removes.
 * @throws HpsError OUTPUT_WRITE_FAILED (exit 74) where the system's folder for them cannot be used
 */
export async function makeTemporaryFolder(purpose: string): Promise<string> {
  try {
    return await mkdtemp(join(tmpdir(), `hpsv3-${purpose}-`));
  } catch (error) {
    throw unusable(error);
  }
}

/**
 * Gives `use` a folder for temporary files and removes it afterwards.
 * @throws HpsError OUTPUT_WRITE_FAILED where it cannot be made or is full
 */
export async function withTemporaryFolder<T>(purpose: string, use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await makeTemporaryFolder(purpose);
  try {
    return await use(folder);
  } catch (error) {
    throw temporaryError(folder, error);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What an error means where files of `folder` are written: OUTPUT_WRITE_FAILED for a failed system call on one, else itself. */
export function temporaryError(folder: string, error: unknown): unknown {
  const code = error instanceof HpsError ? undefined : systemErrorCode(error);
  if (code === undefined || !Object.hasOwn(FAULTS, code)) return error;
  const { path, dest } = error as { path?: string; dest?: string };
  const isOfFolder = DISK_FAULTS.has(code) || [path, dest].some((each) => each?.startsWith(folder));
  return isOfFolder ? unusable(error) : error;
}

function unusable(cause: unknown): HpsError {
  const code = systemErrorCode(cause) ?? 'unknown';
  const [variable = 'the default'] = ['TMPDIR', 'TMP', 'TEMP'].filter((name) => process.env[name]);
  const name = printable(basename(tmpdir()));
  return new HpsError(
    'OUTPUT_WRITE_FAILED',
    `temporary files cannot be written into ${name} (${variable}): ${FAULTS[code] ?? code}`,
    {
      hint: 'Set TMPDIR to a folder that can be written and has space; see `hpsv3 doctor`.',
      details: { folder: name, variable, cause: code },
      cause,
    },
  );
}
