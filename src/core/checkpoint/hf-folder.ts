import { readdirSync, statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { folderKind } from '../bytes/file-kind.js';
import { HpsError } from '../errors.js';

/** Files of a model folder that hold the weights, the safest and most complete first. */
const WEIGHT_FILES = [
  'model.safetensors',
  'model.safetensors.index.json',
  'open_clip_model.safetensors',
  'pytorch_model.bin',
  'pytorch_model.bin.index.json',
  'open_clip_pytorch_model.bin',
  'adapter_model.safetensors',
  'adapter_model.bin',
  'model.json',
] as const;

/** Endings of files of weights that are taken under any name where they are alone. */
const ENDINGS = /\.(safetensors|pt|pth|ckpt)$/;
/** What else lies in such folders under these endings: a training run's state, and vectors of the reference implementation. */
const OTHERS =
  /^(golden\.safetensors|optimizer\.pt|scheduler\.pt|scaler\.pt|rng_state.*\.pth|training_args\.(pt|bin))$/;

const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;

/**
 * The file to open for a model folder of Hugging Face, open_clip or TensorFlow.js, or one with a single file of weights; any path that
 * is not a folder is returned as it is.
 * @throws HpsError CHECKPOINT_UNRECOGNISED for a folder with none of the files looked for, or with several
 */
export function resolveModelFolder(path: string): string {
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return path;
  const found = WEIGHT_FILES.find((file) => isFile(join(path, file)));
  if (found) return join(path, found);
  const candidates = readdirSync(path)
    .filter((file) => ENDINGS.test(file) && !OTHERS.test(file) && isFile(join(path, file)))
    .sort();
  if (candidates.length === 1) return join(path, candidates[0]);
  const folder = basename(resolve(path));
  if (candidates.length > 1) {
    throw new HpsError('CHECKPOINT_UNRECOGNISED', `${folder}: several files of weights: ${candidates.join(', ')}`, {
      hint: 'Give the path of the one that is meant.',
      details: { folder, candidates },
    });
  }
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
