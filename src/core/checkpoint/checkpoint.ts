import type { JsonObject } from '../bytes/json.js';
import type { Tensor } from '../tensor/tensor.js';
import type { FilesBeside } from './beside.js';

export interface CheckpointConfig {
  readonly config: JsonObject;
  /** Where it was found, for messages: `last.ckpt:hyper_parameters`, `config.json`. */
  readonly origin: string;
}

/** An opened checkpoint: named tensors whose values are read on demand, and what the file says beside them. */
export interface Checkpoint {
  /** `id` of the format it was read as. */
  readonly format: string;
  /** Tensors in the order of the file, by their names in it with a prefix shared by all removed (see `strippedPrefix`). */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** The model's configuration as the checkpoint itself and a config.json beside it carry it: `configs` as one, the first that has a field; null where there is none. */
  readonly config: JsonObject | null;
  /** What `config` was made from: what the file itself says, then the config.json beside it. */
  readonly configs: readonly CheckpointConfig[];
  /** Other files of the folder it lies in. */
  readonly beside: FilesBeside;
  /** Where in a nested file the state dict was found, e.g. `model_state_dict`; empty for the root. */
  readonly key: string;
  /** Prefix removed from every name, e.g. `module.`; empty when none was. */
  readonly strippedPrefix: string;
  /** Steps of wrappers removed inside of names, e.g. `_orig_mod`. */
  readonly strippedInside: readonly string[];
  /** Things in the file that are not tensors of the model, with the reason they are left out. */
  readonly ignored: readonly { readonly name: string; readonly reason: string }[];
  /** The files the tensors came from, in a stable order; their bytes are what lineage hashes. */
  readonly files: readonly string[];
  close(): void;
}
