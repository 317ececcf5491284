import { HpsError } from '../errors.js';
import { makeProbes, type Probes } from '../gate/probes.js';
import type { Manifest } from '../onnx/manifest.js';
import type { ValueInfo } from '../runtime/session.js';
import { type TensorValue, takeRows } from '../runtime/value.js';

/** Sizes of symbolic dimensions by their symbol, or by `INPUT.AXIS` where they have none. */
export type Sizes = ReadonlyMap<string, number>;

export interface ProfileInputsOptions {
  readonly inputs: readonly ValueInfo[];
  readonly manifest: Manifest | null;
  /** Base name of the model, for messages. */
  readonly file: string;
  readonly sizes: Sizes;
  readonly seed: number;
  /** Rows of the user's own instead of probes. */
  readonly given?: Probes;
  /** Largest batch that is asked for. */
  readonly rows: number;
}

/** Inputs of any batch up to the rows there are. */
export interface ProfileInputs {
  readonly origin: 'probes' | 'inputs';
  /** Of one sample, by input. */
  readonly shapes: Readonly<Record<string, number[]>>;
  /** The only batch a model takes, or null. */
  readonly fixedBatch: number | null;
  feeds(batch: number): Map<string, TensorValue>;
}

/**
 * Inputs to time a model on: rows given by the user, repeated as needed, or seeded ones that look like what the manifest
 * states. A symbol of a model without manifest says nothing about the size it is used with, so that one has to be told.
 * @throws HpsError INPUTS_INVALID listing the sizes that are needed, with an example; USAGE for a size that nothing has
 */
export function profileInputs(options: ProfileInputsOptions): ProfileInputs {
  const { inputs, given, rows } = options;
  const batchSymbol = symbolOfBatch(inputs);
  const fixedBatch = batchSymbol === null ? fixedBatchOf(inputs) : null;
  const perSample = (name: string): boolean =>
    fixedBatch !== null || inputs.some((input) => input.name === name && input.shape[0] === batchSymbol);
  // A recurrent state, say, has the samples along its second dimension; of patches each sample has several.
  const batchInside =
    batchSymbol !== null &&
    inputs.some(
      ({ shape: [first, ...rest] }) =>
        rest.includes(batchSymbol) || (typeof first === 'string' && first !== batchSymbol),
    );
  const all = given ? repeated(given, fixedBatch ?? rows) : drawn(options, batchSymbol, fixedBatch ?? rows);
  return {
    origin: given ? 'inputs' : 'probes',
    shapes: Object.fromEntries(
      Array.from(all, ([name, { shape }]) => [name, perSample(name) ? shape.slice(1) : [...shape]]),
    ),
    fixedBatch,
    feeds: (batch) =>
      batchInside && !given ? drawn(options, batchSymbol, batch) : firstSamples(all, batch, perSample),
  };
}

function firstSamples(
  all: ReadonlyMap<string, TensorValue>,
  batch: number,
  perSample: (name: string) => boolean,
): Map<string, TensorValue> {
  return new Map(
    Array.from(all, ([name, value]) => [
      name,
      value.shape.length > 0 && perSample(name) && value.shape[0] !== batch ? firstRows(value, batch) : value,
    ]),
  );
}

const firstRows = (value: TensorValue, count: number): TensorValue =>
  takeRows(
    value,
    Array.from({ length: count }, (_, row) => row),
  );

/** The symbol of the first dimension of the first input that has one; null where that is a number. */
function symbolOfBatch(inputs: readonly ValueInfo[]): string | null {
  const first = inputs.find(({ shape }) => typeof shape[0] === 'string')?.shape[0];
  return typeof first === 'string' ? first : null;
}

function fixedBatchOf(inputs: readonly ValueInfo[]): number {
  const [first] = inputs.filter(({ shape }) => shape.length > 0);
  return typeof first?.shape[0] === 'number' ? first.shape[0] : 1;
}

function repeated({ rows, feeds }: Probes, wanted: number): Map<string, TensorValue> {
  const order = Array.from({ length: wanted }, (_, row) => row % rows);
  return new Map(
    Array.from(feeds, ([name, value]) => [name, value.shape.length === 0 ? value : takeRows(value, order)]),
  );
}

/** Every input on its own number of rows: an input whose first dimension is a number holds that many whatever the batch. */
function drawn(
  { inputs, manifest, file, sizes, seed }: ProfileInputsOptions,
  batchSymbol: string | null,
  rows: number,
): Map<string, TensorValue> {
  const closed = closeShapes(inputs, { manifest, file, sizes, batchSymbol, rows });
  const values = new Map<string, TensorValue>();
  const samplesOf = ({ shape }: ValueInfo): number =>
    shape.length === 0 ? 1 : typeof shape[0] === 'number' ? shape[0] : rows;
  for (const count of new Set(closed.map(samplesOf))) {
    const group = closed.filter((input) => samplesOf(input) === count);
    for (const [name, value] of makeProbes(group, manifest, { rows: count, seed: String(seed), file }).feeds)
      values.set(name, value);
  }
  return new Map(inputs.map(({ name }) => [name, values.get(name)!]));
}

interface Closing {
  readonly manifest: Manifest | null;
  readonly file: string;
  readonly sizes: Sizes;
  readonly batchSymbol: string | null;
  readonly rows: number;
}

/** The inputs with numbers for symbols, where they are known; what the manifest describes may stay open. */
function closeShapes(inputs: readonly ValueInfo[], closing: Closing): ValueInfo[] {
  const { manifest, file, sizes, batchSymbol, rows } = closing;
  const used = new Set<string>();
  const missing = new Set<string>();
  const closed = inputs.map((input) => ({
    ...input,
    shape: input.shape.map((dim, axis) => {
      if (typeof dim === 'number') return dim;
      const keys = [dim, `${input.name}.${axis}`];
      const key = keys.find((candidate) => candidate !== '' && sizes.has(candidate));
      if (key !== undefined) {
        used.add(key);
        return sizes.get(key)!;
      }
      if (dim === batchSymbol && (dim !== '' || axis === 0)) return rows;
      if (manifest === null) missing.add(dim === '' ? keys[1] : dim);
      return dim;
    }),
  }));
  if (missing.size > 0) throw sizesNeeded(file, [...missing]);
  const stray = [...sizes.keys()].find((key) => !used.has(key));
  if (stray !== undefined) throw noSuchSize(file, stray, inputs);
  return closed;
}

/** What to write as an example for a size of that name. */
function exampleSize(symbol: string): number {
  if (/height|width|^[hw]$/i.test(symbol)) return 224;
  if (/sample|audio|wave/i.test(symbol)) return 16_000;
  if (/frame/i.test(symbol)) return 8;
  return 128;
}

function sizesNeeded(file: string, symbols: readonly string[]): HpsError {
  const example = symbols.map((symbol) => `\`sizes\` ${symbol}=${exampleSize(symbol)}`).join(' ');
  return new HpsError('INPUTS_INVALID', `${file}: the size of ${symbols.join(', ')} is open, and cannot be guessed`, {
    hint: `Say what the model is used with: ${example}, or give \`inputs\` FILE.safetensors.`,
    details: { file, sizes: [...symbols] },
  });
}

function noSuchSize(file: string, key: string, inputs: readonly ValueInfo[]): HpsError {
  const open = inputs.flatMap(({ name, shape }) =>
    shape.flatMap((dim, axis) => (typeof dim === 'number' ? [] : [dim === '' ? `${name}.${axis}` : dim])),
  );
  return new HpsError('USAGE', `${file}: no input has a size ${key}`, {
    hint: open.length > 0 ? `Its open sizes: ${[...new Set(open)].join(', ')}.` : 'All its sizes are fixed.',
    details: { size: key },
  });
}
