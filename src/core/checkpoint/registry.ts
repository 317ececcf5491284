import { fileKind } from '../bytes/file-kind.js';
import { FileSource } from '../bytes/source.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { dangerOf, refuseZipBehind } from './danger.js';
import type { CheckpointFormat, RawCheckpoint } from './format.js';
import { npz } from './npz.js';
import { safetensors } from './safetensors.js';
import { makeShardIndexFormat } from './shard-index.js';
import { tfjs } from './tfjs.js';
import { torchLegacy } from './torch-legacy.js';
import { torchZip } from './torch-zip.js';

/** Formats of one file, in probe order: an .npz is a zip too, so it is asked before torch. */
const FILE_FORMATS: readonly CheckpointFormat[] = [safetensors, npz, torchZip, torchLegacy];

/** Every format, in probe order. */
export const CHECKPOINT_FORMATS: readonly CheckpointFormat[] = [
  ...FILE_FORMATS,
  tfjs,
  makeShardIndexFormat(async (path) => (await openRaw(path, FILE_FORMATS)).raw),
];

export interface OpenedRaw {
  readonly format: CheckpointFormat;
  readonly raw: RawCheckpoint;
}

/**
 * Opens a file as the first format that recognises its content; the caller closes it.
 * @throws HpsError FILE_NOT_FOUND, CHECKPOINT_UNRECOGNISED, CHECKPOINT_UNSAFE for what nothing should read, and what the format throws; then nothing is left open
 */
export async function openRaw(path: string, formats = CHECKPOINT_FORMATS): Promise<OpenedRaw> {
  const source = FileSource.open(path);
  try {
    const head = source.readSync(0, Math.min(LIMITS.sniffBytes, source.byteLength));
    const format = formats.find((candidate) => candidate.sniff(head));
    refuseZipBehind(source, head);
    if (format === undefined) throw unrecognised(source, head, formats);
    return { format, raw: await format.open(source) };
  } catch (error) {
    try {
      throw (isNotRead(error) && dangerOf(source)) || error;
    } finally {
      source.close();
    }
  }
}

const isNotRead = (error: unknown): boolean =>
  error instanceof HpsError && (error.code === 'CHECKPOINT_UNRECOGNISED' || error.code === 'CHECKPOINT_UNSUPPORTED');

function unrecognised(source: FileSource, head: Uint8Array, formats: readonly CheckpointFormat[]): HpsError {
  const file = source.name;
  const kind = fileKind(source);
  const known = formats.map(({ label }) => label).join(', ');
  return new HpsError('CHECKPOINT_UNRECOGNISED', `${file}: ${kind?.what ?? 'not a known checkpoint format'}`, {
    hint: `${kind?.hint ?? 'Check that it is the right file.'} Known formats: ${known}.`,
    details: { file, firstBytes: Buffer.from(head.subarray(0, 8)).toString('hex') },
  });
}
