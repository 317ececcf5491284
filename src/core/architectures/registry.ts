import type { Checkpoint } from '../checkpoint/checkpoint.js';
import { weightsElsewhere } from '../checkpoint/elsewhere.js';
import { HpsError } from '../errors.js';
import type { TensorInfo } from '../tensor/tensor.js';
import type { Architecture } from './architecture.js';
import { hpsv3 } from './hpsv3/architecture.js';
import { scoreHead } from './score-head/architecture.js';

/** In probe order: the more specific first. */
export const ARCHITECTURES: readonly Architecture[] = [hpsv3, scoreHead];

/** The architecture whose tensors these are, or null. */
export function recogniseArchitecture(tensors: ReadonlyMap<string, TensorInfo>): Architecture | null {
  return ARCHITECTURES.find((candidate) => candidate.recognise(tensors)) ?? null;
}

/**
 * The architecture of a checkpoint: the one asked for, or the one its tensors show.
 * @throws HpsError USAGE for an id that does not exist; CHECKPOINT_UNSUPPORTED where the weights are not in the file;
 *   ARCHITECTURE_UNKNOWN with the first tensor names
 */
export function chooseArchitecture(checkpoint: Checkpoint, id: string | undefined): Architecture {
  const known = ARCHITECTURES.map((each) => each.id);
  const elsewhere = weightsElsewhere(checkpoint.tensors);
  if (elsewhere)
    throw new HpsError('CHECKPOINT_UNSUPPORTED', elsewhere.what, {
      hint: elsewhere.hint,
      details: { tensors: elsewhere.tensors.slice(0, 16) },
    });
  if (id !== undefined) {
    const wanted = ARCHITECTURES.find((each) => each.id === id);
    if (wanted) return wanted;
    throw new HpsError('USAGE', `there is no architecture ${id}`, {
      hint: `Choose --arch ${known.join('|')}.`,
      details: { known },
    });
  }
  const found = recogniseArchitecture(checkpoint.tensors);
  if (found) return found;
  const names = [...checkpoint.tensors.keys()];
  throw new HpsError('ARCHITECTURE_UNKNOWN', `no known architecture has tensors like ${names.slice(0, 4).join(', ')}`, {
    hint: `Known: ${ARCHITECTURES.map((each) => `${each.id} (${each.label})`).join('; ')}. See the tensors with \`hpsv3 inspect\`; choose a nested state dict with --key.`,
    details: { tensors: names.length, first: names.slice(0, 16), known },
  });
}
