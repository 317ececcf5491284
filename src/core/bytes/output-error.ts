import { HpsError, systemErrorCode } from '../errors.js';

/** The path is at fault, not the disk: nothing can be written there whatever its space. */
const PATH_FAULTS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'the file system is read-only',
  ENOENT: 'its folder does not exist',
  ENOTDIR: 'its folder is a file',
  EISDIR: 'it is a folder',
  EEXIST: 'it is a file',
  ELOOP: 'its folder is a circle of links',
  ENAMETOOLONG: 'the name is too long',
  EINVAL: 'the name is not allowed here',
};

const DISK_FAULTS: Readonly<Record<string, string>> = {
  ENOSPC: 'no space is left on the device',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'the file is larger than is allowed',
  EIO: 'the device failed',
};

/** A file name on one line, whatever is in it. */
export const printable = (name: string): string => JSON.stringify(name).slice(1, -1);

/** An output path that cannot be used (OUTPUT_INVALID, exit 2). `rule` continues the sentence `NAME: …`. */
export function invalidOutput(name: string, rule: string, hint: string, cause?: unknown): HpsError {
  return new HpsError('OUTPUT_INVALID', `${printable(name)}: ${rule}`, {
    hint,
    details: { file: name, rule },
    cause,
  });
}

/**
 * What a failed system call on an output means: OUTPUT_INVALID where the path is at fault, else OUTPUT_WRITE_FAILED (exit 74).
 * An error that is no system error comes back as it is.
 */
export function outputError(name: string, cause: unknown): unknown {
  const code = systemErrorCode(cause);
  if (code === undefined || cause instanceof HpsError || !/^E[A-Z0-9]+$/.test(code)) return cause;
  if (Object.hasOwn(PATH_FAULTS, code)) {
    return invalidOutput(
      name,
      PATH_FAULTS[code],
      'Give an output path in a folder that exists and can be written.',
      cause,
    );
  }
  return new HpsError('OUTPUT_WRITE_FAILED', `${printable(name)}: could not be written: ${DISK_FAULTS[code] ?? code}`, {
    hint: 'Free space or choose another disk, then run the command again; what was there before is unchanged.',
    details: { file: name, cause: code },
    cause,
  });
}
