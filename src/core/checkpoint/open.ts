import { basename, dirname } from 'node:path';
import { isJsonObject, parseJson } from '../bytes/json.js';
import { LIMITS } from '../limits.js';
import { renameTensor } from '../tensor/transform.js';
import { type FilesBeside, filesBeside } from './beside.js';
import type { Checkpoint, CheckpointConfig } from './checkpoint.js';
import type { RawCheckpoint } from './format.js';
import { resolveModelFolder } from './hf-folder.js';
import { openRaw } from './registry.js';
import { chooseStateDict, type StateDict } from './state-dict.js';
import { type ValueHead, valueHeadBeside } from './value-head.js';

const CONFIG_FILE = 'config.json';

export interface OpenCheckpointOptions {
  /** Path to the state dict inside the file, its steps separated by dots or slashes; found by well-known keys without one. */
  readonly key?: string;
}

/**
 * Opens a checkpoint: a file of any registered format, the index of a sharded one, or a model folder. Weights are not read.
 * @throws HpsError FILE_NOT_FOUND, CHECKPOINT_UNRECOGNISED, CHECKPOINT_UNSUPPORTED, TENSOR_NOT_FOUND (no tensors, or none at
 * `key`), CHECKPOINT_CORRUPT, CHECKPOINT_UNSAFE, CONFIG_INVALID (the config.json beside it)
 */
export async function openCheckpoint(path: string, { key }: OpenCheckpointOptions = {}): Promise<Checkpoint> {
  const file = resolveModelFolder(path);
  const { format, raw } = await openRaw(file);
  try {
    const name = basename(file);
    const beside = filesBeside(dirname(file));
    const found = chooseStateDict(raw.root, name, key);
    const head = await valueHeadBeside(file, beside, found.tensors);
    const stateDict = head ? withHead(found, head) : found;
    const configs = [ownConfig(stateDict, raw, name), configBeside(beside)].filter((found) => found !== null);
    return {
      format: format.id,
      tensors: stateDict.tensors,
      config: joined(configs),
      configs,
      beside,
      key: stateDict.key,
      strippedPrefix: stateDict.strippedPrefix,
      strippedInside: stateDict.strippedInside,
      ignored: [...raw.ignored, ...stateDict.ignored],
      files: head ? [...raw.files, ...head.files] : raw.files,
      close() {
        raw.close();
        head?.close();
      },
    };
  } catch (error) {
    raw.close();
    throw error;
  }
}

/** The model with its head; a prefix that all of the model had is no longer one that all have. */
function withHead(found: StateDict, { tensors }: ValueHead): StateDict {
  const named = [...found.tensors.values()].map((tensor) => renameTensor(tensor, found.strippedPrefix + tensor.name));
  return {
    ...found,
    strippedPrefix: '',
    tensors: new Map([...named, ...tensors.values()].map((each) => [each.name, each])),
  };
}

/** Configurations as one, the first that has a field; fromEntries keeps `__proto__` a key like any other. */
function joined(configs: readonly CheckpointConfig[]): Checkpoint['config'] {
  if (configs.length === 0) return null;
  return Object.fromEntries([...configs].reverse().flatMap(({ config }) => Object.entries(config)));
}

/** The configuration in the file itself: beside the state dict, or as JSON in the metadata of a safetensors file. */
function ownConfig(
  { config, configKey }: StateDict,
  { metadata }: RawCheckpoint,
  name: string,
): CheckpointConfig | null {
  if (config) return { config, origin: `${name}:${configKey}` };
  const text = metadata?.get('config');
  if (text === undefined) return null;
  const origin = `${name}:__metadata__.config`;
  const parsed = parseJson(text, { name: origin, code: 'CONFIG_INVALID', maxBytes: LIMITS.configBytes });
  return isJsonObject(parsed) ? { config: parsed, origin } : null;
}

/** The config.json in the checkpoint's folder; null without one. */
function configBeside(beside: FilesBeside): CheckpointConfig | null {
  const config = beside.json(CONFIG_FILE);
  return config && { config, origin: CONFIG_FILE };
}
