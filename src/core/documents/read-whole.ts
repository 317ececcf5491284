import { sha256Hex } from '../bytes/hash.js';
import { FileSource } from '../bytes/source.js';
import { type ErrorCode, HpsError } from '../errors.js';

export interface ReadWholeOptions {
  /** Most bytes that are read; a longer file is refused unread. */
  readonly limit: number;
  /** What the file should be, with its article: `a calibrator`. */
  readonly what: string;
  /** The command that writes such files, for the hint. */
  readonly made?: string;
  /** What to do instead, where no command of ours writes such files. */
  readonly hint?: string;
  /** Of a file that is too long; CONFIG_INVALID by default. */
  readonly code?: ErrorCode;
}

/** A small file in memory. */
export interface WholeFile {
  /** Base name: what errors call it. */
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly sha256: string;
}

/**
 * Reads a small regular file whole, its length checked first.
 *
 * @throws HpsError FILE_NOT_FOUND, FILE_UNREADABLE, or `code` for a file over the limit
 */
export function readWhole(path: string, { limit, what, made, hint, code }: ReadWholeOptions): WholeFile {
  const source = FileSource.open(path);
  try {
    const { name, byteLength } = source;
    if (byteLength > limit) {
      throw new HpsError(
        code ?? 'CONFIG_INVALID',
        `${name}: ${byteLength} bytes, too large to be ${what} (${limit} at most)`,
        {
          hint: hint ?? madeBy(made),
          details: { file: name, bytes: byteLength, limit },
        },
      );
    }
    const bytes = source.readSync(0, byteLength);
    return { name, bytes, sha256: sha256Hex(bytes) };
  } finally {
    source.close();
  }
}

/** The hint for a file that is not what was asked for. */
export const madeBy = (command = 'hpsv3'): string => `Give a file that \`${command}\` wrote.`;
