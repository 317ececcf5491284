import { DTYPES } from '../tensor/dtype.js';
import type { TensorInfo } from '../tensor/tensor.js';

/** What says that a state dict names weights whose values, or whose shapes, are not in it. */
export interface WeightsElsewhere {
  readonly what: string;
  readonly hint: string;
  readonly tensors: readonly string[];
}

/** Names of FSDP's own parameters: several weights of a module as one, flattened. */
const FLAT_PARAMETER = /(^|\.)_?flat_param(_\d+)?$/;

/**
 * What distributed training left in place of weights: DeepSpeed ZeRO-3 names every weight with no elements and keeps the values in
 * files of its own, FSDP flattens the weights of a module into one. Null where most weights hold values.
 */
export function weightsElsewhere(tensors: ReadonlyMap<string, TensorInfo>): WeightsElsewhere | null {
  const weights = [...tensors.values()].filter(({ dtype }) => DTYPES[dtype].kind === 'float');
  const empty = weights.filter(({ shape }) => shape.includes(0)).map(({ name }) => name);
  if (empty.length > 0 && 2 * empty.length >= weights.length) {
    return {
      what: `${empty.length} of ${weights.length} weights have no elements (${listed(empty)}), as where DeepSpeed ZeRO-3 keeps the values in other files`,
      hint: 'Run the zero_to_fp32.py that DeepSpeed put into the folder of the checkpoint, and give the file it writes.',
      tensors: empty,
    };
  }
  const flat = weights.filter(({ name }) => FLAT_PARAMETER.test(name)).map(({ name }) => name);
  if (flat.length > 0) {
    return {
      what: `${flat.length} of ${weights.length} weights are flattened ones of FSDP (${listed(flat)}), whose names and shapes are lost`,
      hint: 'Save the checkpoint again with StateDictType.FULL_STATE_DICT.',
      tensors: flat,
    };
  }
  return null;
}

const listed = (names: readonly string[]): string => names.slice(0, 3).join(', ') + (names.length > 3 ? ', …' : '');
