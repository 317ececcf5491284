import { statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { folderKind } from '../bytes/file-kind.js';
import { HpsError } from '../errors.js';

/** Files of a model folder that hold the weights, the safest and most complete first. */
const WEIGHT_FILES = [
  'model.safetensors',
  'model.safetensors.index.json',
  'pytorch_model.bin',
  'pytorch_model.bin.index.json',
  'model.json',
] as const;

const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;

/**
 * The file to open for a Hugging Face model folder (or a TensorFlow.js one); any path that is not a folder is returned as it is.
 * @throws HpsError CHECKPOINT_UNRECOGNISED for a folder with none of the files looked for
 */
export function resolveModelFolder(path: string): string {
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return path;
  const found = WEIGHT_FILES.find((file) => isFile(join(path, file)));
  if (found) return join(path, found);
  const folder = basename(resolve(path));
  const kind = folderKind(path);
  const other = kind?.is === undefined ? kind : null;
  throw new HpsError(
    'CHECKPOINT_UNRECOGNISED',
    `${folder}: ${other?.what ?? `a folder without ${WEIGHT_FILES.join(', ')}`}`,
    {
      hint: other?.hint ?? 'Give the path of the checkpoint file itself.',
      details: { folder, lookedFor: WEIGHT_FILES },
    },
  );
}
