import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { createContext, Script } from 'node:vm';
import { isJsonObject, type JsonObject } from '../bytes/json.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { DTYPES } from '../tensor/dtype.js';
import { formatShape, numel } from '../tensor/shape.js';
import { readTensor, type Tensor, type TensorInfo } from '../tensor/tensor.js';
import { castTensor, renameTensor } from '../tensor/transform.js';
import { asFloat32, bytesOf, toFloat32 } from '../tensor/values.js';
import type { Checkpoint } from './checkpoint.js';
import { openCheckpoint } from './open.js';

// Low-rank adapters as PEFT publishes them: Hu et al., "LoRA" (2021); peft 0.21, tuners/lora/layer.py (get_delta_weight).

const FILES = ['adapter_model.safetensors', 'adapter_model.bin'];
const CONFIG = 'adapter_config.json';

/** Ways of PEFT to change a model that are not a plain product of two matrices, by the field that says so. */
const REFUSED: readonly { readonly field: string; readonly is: (value: unknown) => boolean; readonly what: string }[] =
  [
    { field: 'peft_type', is: (value) => value !== 'LORA', what: 'is an adapter of another kind than LORA' },
    { field: 'use_dora', is: Boolean, what: 'is a DoRA adapter, which scales whole columns' },
    { field: 'bias', is: (value) => value !== undefined && value !== 'none', what: 'trains biases' },
    { field: 'lora_bias', is: Boolean, what: 'trains biases' },
    { field: 'trainable_token_indices', is: Boolean, what: 'trains single tokens' },
    { field: 'layer_replication', is: Boolean, what: 'repeats layers' },
    {
      field: 'target_parameters',
      is: (value) => Array.isArray(value) && value.length > 0,
      what: 'adapts parameters that are no module',
    },
    { field: 'use_qalora', is: Boolean, what: 'is a QALoRA adapter' },
    { field: 'use_bdlora', is: Boolean, what: 'is a BDLoRA adapter' },
    {
      field: 'init_lora_weights',
      is: (value) => typeof value === 'string' && /^(pissa|olora|corda|loftq)/i.test(value),
      what: 'changed the weights of its base when training began',
    },
  ];

/** One adapted weight: W + scale B A. */
interface Adapted {
  readonly module: string;
  readonly a: Tensor;
  readonly b: Tensor;
  readonly scale: number;
}

/**
 * A checkpoint with an adapter merged into it: each adapted weight is W + s B A in float32, computed as it is read, and stays
 * float32. Modules that the adapter holds whole take the place of the base's.
 *
 * @param path - folder with adapter_config.json and adapter_model.safetensors or .bin, or that file
 * @throws HpsError FILE_NOT_FOUND; CONFIG_INVALID for a configuration that does not fit its tensors; CHECKPOINT_UNSUPPORTED for
 *   what is no plain LoRA, by name; TENSORS_MISMATCH for an adapter of another base
 */
export async function withAdapter(base: Checkpoint, path: string): Promise<Checkpoint> {
  const file = adapterFile(path);
  const adapter = await openCheckpoint(file);
  try {
    const config = readConfig(adapter, file);
    const { adapted, whole } = sortTensors(adapter, config, basename(file));
    const tensors = merge(base.tensors, adapted, whole, basename(file));
    return {
      ...base,
      tensors,
      files: [...base.files, ...adapter.files, join(dirname(file), CONFIG)],
      close() {
        base.close();
        adapter.close();
      },
    };
  } catch (error) {
    adapter.close();
    throw error;
  }
}

/** Before a weight that an adapter stands beside, in the state of a model that PEFT wraps. */
const BASE_LAYER = '.base_layer.';

/**
 * A checkpoint that is the whole state of a model that PEFT wraps, as some trainers save it: adapters beside the weights they adapt,
 * merged here as `withAdapter` merges them. Any other is returned as it is.
 * @throws HpsError as `withAdapter`; CONFIG_INVALID where nothing says how much the adapters count
 */
export function withOwnAdapters(checkpoint: Checkpoint): Checkpoint {
  if (![...checkpoint.tensors.keys()].some((name) => name.includes(BASE_LAYER))) return checkpoint;
  const file = basename(checkpoint.files[0]);
  const { adapted, whole } = sortTensors(checkpoint, ownConfig(checkpoint, file), file);
  const base = new Map<string, Tensor>();
  for (const [key, tensor] of whole) {
    const name = key.replace(BASE_LAYER, '.');
    if (!name.includes('.original_module.')) base.set(name, renameTensor(tensor, name)); // what a module saved whole replaces
  }
  return { ...checkpoint, tensors: merge(base, adapted, new Map(), file), strippedPrefix: '' };
}

/** Tensors by the names that a model has without adapters, for what is told by names: those of `withOwnAdapters`, their values aside. */
export function namedAsBase(tensors: ReadonlyMap<string, TensorInfo>): ReadonlyMap<string, TensorInfo> {
  if (![...tensors.keys()].some((name) => name.includes(BASE_LAYER))) return tensors;
  const named = new Map<string, TensorInfo>();
  for (const [key, tensor] of tensors) {
    const name = key.replace(/^base_model\.model\./, '').replace(BASE_LAYER, '.');
    if (!/\.(lora_[AB]|original_module)\./.test(name))
      named.set(name.replace('.modules_to_save.default.', '.'), tensor);
  }
  return named;
}

/** What PEFT writes beside an adapter, or VideoAlign beside the folder of a step. */
function ownConfig({ beside }: Checkpoint, file: string): JsonObject {
  const config = beside.json(CONFIG);
  if (config) return config;
  for (const name of ['model_config.json', '../model_config.json']) {
    const stated = beside.json(name)?.['peft_lora_config'];
    if (isJsonObject(stated)) return { ...stated, r: stated['lora_r'] ?? null };
  }
  throw new HpsError(
    'CONFIG_INVALID',
    `${file} holds adapters, and there is no ${CONFIG} that says how much they count`,
    {
      hint: `Put the ${CONFIG} or model_config.json it was published with beside it.`,
      details: { file },
    },
  );
}

function adapterFile(path: string): string {
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return path;
  const found = FILES.map((name) => join(path, name)).find((file) => existsSync(file));
  if (found !== undefined) return found;
  throw new HpsError('CHECKPOINT_UNRECOGNISED', `${basename(path)}: the folder holds no ${FILES.join(' or ')}`, {
    hint: 'Give the folder of the adapter: the one with adapter_config.json.',
    details: { folder: basename(path), expected: FILES },
  });
}

function readConfig({ beside }: Checkpoint, file: string): JsonObject {
  const config = beside.json(CONFIG);
  if (config === null) {
    throw new HpsError(
      'CONFIG_INVALID',
      `${basename(file)}: there is no ${CONFIG} beside it, which says how much it counts`,
      {
        hint: `Put the ${CONFIG} it was published with into its folder.`,
        details: { file: basename(file) },
      },
    );
  }
  const reason = REFUSED.find(({ field, is }) => is(config[field]));
  if (reason) {
    throw new HpsError('CHECKPOINT_UNSUPPORTED', `${CONFIG}: ${reason.field} ${reason.what}, which is not read`, {
      hint: 'Merge the adapter into its base with PEFT (merge_and_unload), and give the merged checkpoint.',
      details: { field: reason.field, value: config[reason.field] ?? null },
    });
  }
  return config;
}

const invalid = (rule: string, details: Record<string, unknown> = {}): HpsError =>
  new HpsError('CONFIG_INVALID', `${CONFIG}: ${rule}`, {
    hint: 'Give the adapter with the configuration it was trained with.',
    details,
  });

const LORA = /^(?<module>.+)\.lora_(?<side>[AB])(?:\.default)?\.weight$/;

function sortTensors(
  { tensors, strippedPrefix }: Checkpoint,
  config: JsonObject,
  file: string,
): { adapted: Adapted[]; whole: Map<string, Tensor> } {
  const sides = new Map<string, { A?: Tensor; B?: Tensor }>();
  const whole = new Map<string, Tensor>();
  for (const tensor of tensors.values()) {
    const name = (strippedPrefix + tensor.name).replace(/^base_model\.model\./, '');
    const match = LORA.exec(name);
    if (match?.groups) {
      const pair = sides.get(match.groups.module) ?? {};
      sides.set(match.groups.module, pair);
      pair[match.groups.side as 'A' | 'B'] = tensor;
    } else if (/\.lora_|lora_embedding_|lora_magnitude_vector/.test(name)) {
      throw new HpsError('CHECKPOINT_UNSUPPORTED', `${file}: ${name} is a part of an adapter that is not read`, {
        hint: 'Merge the adapter into its base with PEFT (merge_and_unload), and give the merged checkpoint.',
        details: { tensor: name },
      });
    } else whole.set(name.replace('.modules_to_save.default.', '.').replace('.modules_to_save.', '.'), tensor);
  }
  if (sides.size === 0 && whole.size === 0) throw invalid(`${file} holds no tensors of an adapter`);
  const modules = [...sides.keys()];
  const rank = numbersOf(config, 'r', 'rank_pattern', modules);
  const alpha = numbersOf(config, 'lora_alpha', 'alpha_pattern', modules);
  const adapted = [...sides].map(([module, { A, B }]): Adapted => {
    if (!A || !B) throw invalid(`${module} has lora_${A ? 'A' : 'B'} and no lora_${A ? 'B' : 'A'}`, { module });
    const [r, stated] = [A.shape[0], rank.get(module)!];
    if (B.shape[1] !== r)
      throw invalid(`${module}: lora_A ${formatShape(A.shape)} and lora_B ${formatShape(B.shape)} do not multiply`);
    if (r !== stated)
      throw invalid(`${module} has rank ${r} by its tensors, but ${stated} by r and rank_pattern`, { module });
    return { module, a: A, b: B, scale: alpha.get(module)! / (config['use_rslora'] === true ? Math.sqrt(r) : r) };
  });
  return { adapted, whole };
}

/** A number for each module: that of the first pattern that fits the end of its name, else the one of all. */
function numbersOf(
  config: JsonObject,
  field: string,
  patternField: string,
  modules: readonly string[],
): Map<string, number> {
  const common = config[field];
  if (typeof common !== 'number' || !(common > 0)) throw invalid(`${field} must be a positive number`);
  const patterns = config[patternField] ?? {};
  if (!isJsonObject(patterns)) throw invalid(`${patternField} must be an object`);
  const entries = Object.entries(patterns).map(([pattern, value]): [string, number] => {
    if (typeof value !== 'number' || !(value > 0))
      throw invalid(`${patternField}.${pattern} must be a positive number`);
    return [pattern, value];
  });
  const chosen = matchPatterns(
    entries.map(([pattern]) => pattern),
    modules,
    patternField,
  );
  return new Map(modules.map((module, i) => [module, chosen[i] < 0 ? common : entries[chosen[i]][1]]));
}

/** They come from a stranger: a regular expression that does not end is ended. */
const PATTERN_MS = 1000;

/** For each module, the first pattern that fits it as PEFT reads them (`(.*\.)?(PATTERN)$`); -1 where none does. */
function matchPatterns(patterns: readonly string[], modules: readonly string[], field: string): number[] {
  if (patterns.length === 0) return modules.map(() => -1);
  const code = `modules.map((module) => patterns.findIndex((pattern) => new RegExp('^(?:.*\\\\.)?(?:' + pattern + ')$').test(module)))`;
  try {
    return [
      ...(new Script(code).runInContext(createContext({ patterns, modules }), { timeout: PATTERN_MS }) as number[]),
    ];
  } catch (cause) {
    throw new HpsError('CONFIG_INVALID', `${CONFIG}: ${field} has a pattern that cannot be matched`, {
      hint: 'Write the names of modules as they are.',
      details: { patterns: patterns.slice(0, 8) },
      cause,
    });
  }
}

function merge(
  base: ReadonlyMap<string, Tensor>,
  adapted: readonly Adapted[],
  whole: ReadonlyMap<string, Tensor>,
  file: string,
): Map<string, Tensor> {
  const tensors = new Map(base);
  const strangers: string[] = [];
  for (const part of adapted) {
    const name = `${part.module}.weight`;
    const weight = base.get(name);
    if (!weight || DTYPES[weight.dtype].kind !== 'float') strangers.push(name);
    else tensors.set(name, merged(weight, part));
  }
  if (strangers.length > 0) {
    throw new HpsError('TENSORS_MISMATCH', `${file} adapts ${strangers[0]}, which the base does not have`, {
      hint: 'Give the checkpoint that the adapter was trained on.',
      details: { missing: strangers.slice(0, 16), count: strangers.length },
    });
  }
  for (const [name, tensor] of whole) {
    const own = base.get(name);
    if (own && formatShape(own.shape) !== formatShape(tensor.shape))
      throw mismatch(name, own, formatShape(tensor.shape));
    tensors.set(name, castTensor({ ...tensor, name, chunks: () => tensor.chunks() }, 'F32'));
  }
  return tensors;
}

const mismatch = (name: string, own: Tensor, adapted: string): HpsError =>
  new HpsError('TENSORS_MISMATCH', `${name} is ${formatShape(own.shape)} in the base, and ${adapted} in the adapter`, {
    hint: 'Give the checkpoint that the adapter was trained on.',
    details: { tensor: name, base: own.shape },
  });

/** W + s B A, row by row as W is read; a weight stored [inputs, outputs] (Conv1D of GPT-2) takes the product transposed. */
function merged(weight: Tensor, { a, b, scale }: Adapted): Tensor {
  const rank = a.shape[0];
  const [outputs, inputs] = [numel(b.shape) / rank, numel(a.shape) / rank];
  const flat = [weight.shape[0], numel(weight.shape) / weight.shape[0]];
  const turned = flat[0] === inputs && flat[1] === outputs && inputs !== outputs;
  if (!turned && (flat[0] !== outputs || flat[1] !== inputs))
    throw mismatch(weight.name, weight, `[${outputs}, ${inputs}]`);
  const columns = flat[1];
  return {
    name: weight.name,
    dtype: 'F32',
    shape: weight.shape,
    async *chunks() {
      const floats = async (tensor: Tensor): Promise<Float32Array> =>
        asFloat32(await readTensor(castTensor(tensor, 'F32')));
      const [down, up] = [await floats(a), await floats(b)];
      const delta = new Float32Array(columns);
      let row = -1;
      let column = columns;
      for await (const chunk of weight.chunks()) {
        const values = toFloat32(chunk, weight.dtype).slice();
        for (let i = 0; i < values.length; i++, column++) {
          if (column === columns) {
            column = 0;
            row++;
            if (turned) productColumn(down, up, rank, inputs, row, delta);
            else productRow(down, up, rank, inputs, row, delta);
          }
          values[i] += scale * delta[column];
        }
        const bytes = bytesOf(values);
        for (let at = 0; at < bytes.byteLength; at += LIMITS.chunkBytes)
          yield bytes.subarray(at, at + LIMITS.chunkBytes);
      }
    },
  };
}

/** Row `row` of B A. */
function productRow(
  a: Float32Array,
  b: Float32Array,
  rank: number,
  inputs: number,
  row: number,
  into: Float32Array,
): void {
  into.fill(0);
  for (let k = 0; k < rank; k++) {
    const factor = b[row * rank + k];
    for (let i = 0; i < inputs; i++) into[i] += factor * a[k * inputs + i];
  }
}

/** Column `column` of B A. */
function productColumn(
  a: Float32Array,
  b: Float32Array,
  rank: number,
  inputs: number,
  column: number,
  into: Float32Array,
): void {
  for (let row = 0; row < into.length; row++) {
    let sum = 0;
    for (let k = 0; k < rank; k++) sum += b[row * rank + k] * a[k * inputs + column];
    into[row] = sum;
  }
}
