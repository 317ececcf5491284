import { basename, dirname, join } from 'node:path';
import { HpsError } from '../errors.js';
import type { Tensor } from '../tensor/tensor.js';
import type { FilesBeside } from './beside.js';
import { openRaw } from './registry.js';
import { chooseStateDict } from './state-dict.js';

/** A score head that lies in a file of its own beside the model, as LLaMA-Factory writes it: `v_head.summary.weight`, `.bias`. */
const FILES = ['value_head.safetensors', 'value_head.bin'] as const;
const NAMES = /^(v_head|value_head|score|regression_head|reward_head)\./;

export interface ValueHead {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly files: readonly string[];
  close(): void;
}

/**
 * The head beside a file of weights; null where there is none, or where the file is the head itself.
 * @param known - tensors of the model, of which the head may have none
 * @throws HpsError TENSORS_MISMATCH for a file that holds something else, or what the model holds too
 */
export async function valueHeadBeside(
  file: string,
  beside: FilesBeside,
  known: ReadonlyMap<string, Tensor>,
): Promise<ValueHead | null> {
  const name = FILES.find((each) => beside.path(each) !== null);
  if (name === undefined || (FILES as readonly string[]).includes(basename(file))) return null;
  const path = join(dirname(file), name);
  const { raw } = await openRaw(path);
  try {
    const { tensors } = chooseStateDict(raw.root, name, undefined);
    for (const tensor of tensors.keys()) {
      const rule = known.has(tensor)
        ? `${tensor} is in ${basename(file)} too`
        : NAMES.test(tensor)
          ? null
          : `${tensor} is no tensor of a score head`;
      if (rule === null) continue;
      throw new HpsError('TENSORS_MISMATCH', `${name}: ${rule}`, {
        hint: 'Move the file away from the checkpoint, or give the one that belongs to it.',
        details: { file: name, tensor },
      });
    }
    return { tensors, files: raw.files, close: () => raw.close() };
  } catch (error) {
    raw.close();
    throw error;
  }
}
