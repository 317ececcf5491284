import { DTYPES } from '../tensor/dtype.js';
import type { TensorInfo } from '../tensor/tensor.js';
import type { FilesBeside } from './beside.js';

/** What says that a state dict names weights whose values, or whose shapes, are not in it. */
export interface WeightsElsewhere {
  readonly what: string;
  readonly hint: string;
  readonly tensors: readonly string[];
}

/** Names of FSDP's own parameters: several weights of a module as one, flattened. */
const FLAT_PARAMETER = /(^|\.)_?flat_param(_\d+)?$/;

/** Names of the factors of a low-rank adapter. */
const LORA_FACTOR = /\.lora_[AB]\./;
/** A model as adapters name their base: a folder, or owner and name. */
const BASE_NAME = /^[\w./@:-]{1,200}$/;

/**
 * What stands in place of weights: an adapter has only what is added to those of its base, which is named and never fetched; of
 * distributed training, DeepSpeed ZeRO-3 names every weight with no elements and keeps the values in files of its own, and FSDP flattens
 * the weights of a module into one. Null where most weights hold values.
 */
export function weightsElsewhere({
  tensors,
  beside,
}: {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly beside: FilesBeside;
}): WeightsElsewhere | null {
  const factors = [...tensors.keys()].filter((name) => LORA_FACTOR.test(name));
  if (2 * factors.length > tensors.size) {
    const base = beside.json('adapter_config.json')?.base_model_name_or_path;
    const named = typeof base === 'string' && BASE_NAME.test(base);
    return {
      what: `${factors.length} of ${tensors.size} tensors are factors of a LoRA adapter (${listed(factors)}), which counts only on top of its base`,
      hint: `Give it with \`adapter\`, and its base with \`checkpoint\`${named ? ` (by its configuration that is ${base}; nothing is fetched by itself)` : ''}.`,
      tensors: factors,
    };
  }
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
