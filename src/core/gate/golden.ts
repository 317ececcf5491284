import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import type { Manifest } from '../onnx/manifest.js';
import type { ValueInfo } from '../runtime/session.js';
import { castValue, isValueDtype, type TensorValue, valueFromBytes } from '../runtime/value.js';
import { byteLength, readTensor, type Tensor } from '../tensor/tensor.js';
import { compareValues, type Outputs } from './compare.js';
import { type Probes, patchCounts } from './probes.js';

/** Inputs and the outputs that the reference implementation gave for them. */
export interface Golden {
  /** Where in the file they lie, e.g. `image/pair/`; empty for a file of one model only. */
  readonly prefix: string;
  readonly inputs: ReadonlyMap<string, TensorValue>;
  readonly outputs: Outputs;
}

/** The model whose values are looked for. */
export interface GoldenModel {
  /** Base name of the file that is searched, for messages. */
  readonly file: string;
  readonly manifest: Manifest | null;
  readonly inputs: readonly ValueInfo[];
}

/**
 * Reads what a golden file holds for a model: `MODALITY/in|out/NAME` for items, `MODALITY/pair/in|out/NAME` for pairs,
 * `head/in|out/NAME` for heads, `item/in|out/NAME` and `pair/in|out/NAME` where the modality is clear, or `in|out/NAME` in a file
 * of one model. Outputs that the model does not have are left out.
 * @throws HpsError TENSOR_NOT_FOUND listing what the file has; DATA_INVALID for a file beyond the limits or of odd dtypes
 */
export async function readGolden(
  tensors: ReadonlyMap<string, Tensor>,
  model: GoldenModel & { readonly outputs: readonly ValueInfo[] },
): Promise<Golden> {
  const prefix = choosePrefix(tensors, model);
  const inputs = await readInputs(tensors, model, `${prefix}in/`);
  const outputs = new Map<string, TensorValue>();
  for (const { name } of model.outputs) {
    const tensor = tensors.get(`${prefix}out/${name}`);
    if (tensor) outputs.set(name, await readValue(tensor, model.file));
  }
  if (outputs.size > 0) return { prefix, inputs, outputs };
  throw notFound(
    model,
    `has no ${prefix}out/ of any output (${model.outputs.map(({ name }) => name).join(', ')})`,
    tensors,
  );
}

/**
 * Reads inputs of the user's own (`--inputs`): laid out as in a golden file, or by their bare names.
 * @throws HpsError TENSOR_NOT_FOUND; INPUTS_INVALID where the inputs differ in their number of rows, or have none
 */
export async function readProbes(tensors: ReadonlyMap<string, Tensor>, model: GoldenModel): Promise<Probes> {
  const bare = model.inputs.every(({ name }) => tensors.has(name));
  const feeds = await readInputs(tensors, model, bare ? '' : `${choosePrefix(tensors, model)}in/`);
  const runs = patchCounts(model.manifest, feeds);
  const counts = [...feeds]
    .filter(([, { shape }]) => shape.length > 0)
    .map(([name, { shape }]) => (runs?.has(name) ? runs.get(name)!.length : shape[0]));
  const [rows = 1] = counts;
  const isWhole = [...(runs ?? [])].every(
    ([name, each]) => each.reduce((sum, count) => sum + count, 0) === feeds.get(name)?.shape[0],
  );
  if (rows > 0 && isWhole && counts.every((count) => count === rows)) return { rows, feeds, counts: runs };
  throw new HpsError('INPUTS_INVALID', `${model.file}: its inputs have ${counts.join(', ')} rows`, {
    hint: 'Give every input the same number of samples, at least one, along its first dimension.',
    details: { file: model.file, rows: counts },
  });
}

async function readInputs(
  tensors: ReadonlyMap<string, Tensor>,
  model: GoldenModel,
  prefix: string,
): Promise<Map<string, TensorValue>> {
  const inputs = new Map<string, TensorValue>();
  for (const { name, dtype } of model.inputs) {
    inputs.set(name, castValue(await readValue(tensors.get(`${prefix}${name}`)!, model.file), dtype));
  }
  return inputs;
}

function choosePrefix(tensors: ReadonlyMap<string, Tensor>, model: GoldenModel): string {
  const names = model.inputs.map(({ name }) => name);
  const fits = expectedPrefixes(tensors, model.manifest).filter((prefix) =>
    names.every((name) => tensors.has(`${prefix}in/${name}`)),
  );
  // Without a manifest: `image/` also has the inputs that `image-text/` shares with it, so only an exact match counts.
  const exact = fits.filter((prefix) => inputsUnder(tensors, prefix).length === names.length);
  const chosen = exact.length > 0 ? exact : fits;
  if (chosen.length === 1) return chosen[0];
  if (chosen.length > 1) throw notFound(model, `fits in several places: ${chosen.join(', ')}`, tensors);
  const wanted = expectedPrefixes(tensors, model.manifest)[0] ?? '';
  throw notFound(model, `has no ${names.map((name) => `${wanted}in/${name}`).join(', ')}`, tensors);
}

/** Places to look, the one the manifest names first; every place in the file without a manifest. */
function expectedPrefixes(tensors: ReadonlyMap<string, Tensor>, manifest: Manifest | null): string[] {
  if (!manifest) return prefixesOf(tensors);
  if (manifest.mode === 'head') return ['head/', ''];
  const { mode, modality } = manifest;
  return [mode === 'pair' ? `${modality}/pair/` : `${modality}/`, `${mode}/`, ''];
}

function prefixesOf(tensors: ReadonlyMap<string, Tensor>): string[] {
  const prefixes = new Set<string>();
  for (const key of tensors.keys()) {
    const match = /^((?:[^/]+\/)*?)(?:in|out)\/[^/]+$/.exec(key);
    if (match) prefixes.add(match[1]);
  }
  return [...prefixes];
}

const inputsUnder = (tensors: ReadonlyMap<string, Tensor>, prefix: string): string[] =>
  [...tensors.keys()].filter((key) => key.startsWith(`${prefix}in/`));

async function readValue(tensor: Tensor, file: string): Promise<TensorValue> {
  const { name, dtype, shape } = tensor;
  if (isValueDtype(dtype) && byteLength(tensor) <= LIMITS.goldenTensorBytes)
    return valueFromBytes(dtype, shape, await readTensor(tensor));
  throw new HpsError(
    'DATA_INVALID',
    `${file}: ${name} (${dtype}, ${byteLength(tensor)} bytes) cannot be used as golden values`,
    {
      hint: `Store real numbers of at most ${LIMITS.goldenTensorBytes} bytes a tensor.`,
      details: { file, tensor: name, dtype, bytes: byteLength(tensor) },
    },
  );
}

function notFound({ file }: GoldenModel, problem: string, tensors: ReadonlyMap<string, Tensor>): HpsError {
  const has = prefixesOf(tensors).map((prefix) => `${prefix}in|out/`);
  return new HpsError('TENSOR_NOT_FOUND', `${file} ${problem}`, {
    hint:
      has.length > 0
        ? `The file has ${has.join(', ')}.`
        : 'Name its tensors in/NAME and out/NAME, after MODALITY/ where it has several.',
    details: { file, has },
  });
}

export interface GoldenParity {
  readonly maxAbsDiff: number;
  readonly outputs: Readonly<Record<string, { readonly maxAbsDiff: number; readonly note?: string }>>;
}

/** How far a model's outputs are from golden ones, over those that both have. */
export function goldenParity(golden: Outputs, actual: Outputs): GoldenParity {
  const outputs: Record<string, { maxAbsDiff: number; note?: string }> = {};
  for (const [name, expected] of golden) {
    const value = actual.get(name);
    if (!value) continue;
    const { maxAbsDiff, note } = compareValues(expected, value);
    outputs[name] = { maxAbsDiff, ...(note === undefined ? {} : { note }) };
  }
  return { maxAbsDiff: Math.max(...Object.values(outputs).map(({ maxAbsDiff }) => maxAbsDiff)), outputs };
}
