import { Random } from '../bytes/random.js';
import type { ContractInput, Preprocess } from '../onnx/manifest.js';
import { holdsPatches } from '../onnx/patch-inputs.js';
import { numel } from '../tensor/shape.js';
import {
  DRAWN_PATCHES,
  drawAudio,
  drawEmbedding,
  drawFrames,
  drawGrid,
  drawMask,
  drawPatches,
  drawTokens,
  drawTypes,
  textLength,
} from './draw.js';

/** A value of a model input: one that the runtime takes as it is. */
export type ExampleValue =
  | { readonly dtype: 'F32'; readonly shape: readonly number[]; readonly data: Float32Array }
  | { readonly dtype: 'I64'; readonly shape: readonly number[]; readonly data: BigInt64Array };

export interface ExampleOptions {
  readonly rows: number;
  readonly seed: number;
  /** Size of each open dimension, by its symbol; `rows` for the batch. */
  readonly sizes?: Readonly<Record<string, number>>;
}

const TOKENS = 12;

/** Seeded inputs that look like what a contract is made for: smooth pictures, tones, texts of several lengths. */
export function exampleInputs(
  inputs: readonly ContractInput[],
  { rows, seed, sizes = {} }: ExampleOptions,
): Map<string, ExampleValue> {
  return new Map(
    inputs.map((input) => {
      const drawn = drawnRun(input.preprocess, `${seed}/${input.name}`, rows);
      if (drawn) return [input.name, drawn];
      const shape = input.shape
        .slice(1)
        .map((dim) => (typeof dim === 'number' ? dim : (sizes[dim] ?? openSize(input, inputs))));
      const each = Array.from({ length: rows }, (_, row) => drawRow(input, shape, `${seed}/${row}`));
      return [input.name, joinRows(each, [rows, ...shape])];
    }),
  );
}

/** Patches of `rows` pictures, one after the other; null for an input that has a row a sample. */
function drawnRun(preprocess: Preprocess, seed: string, rows: number): ExampleValue | null {
  if (!holdsPatches(preprocess)) return null;
  const drawn = Array.from({ length: rows }, (_, row) => drawPatches(new Random(`${seed}/${row}`), preprocess));
  return joinRows(drawn, [rows * DRAWN_PATCHES, drawn[0].length / DRAWN_PATCHES]);
}

function openSize({ preprocess }: ContractInput, inputs: readonly ContractInput[]): number {
  if (preprocess.kind === 'audio') return Math.min(preprocess.maxSamples, Math.max(preprocess.minSamples, 4000));
  const text = inputs.find((input) => input.preprocess.kind === 'text')?.preprocess;
  return text?.kind === 'text' ? Math.min(TOKENS, text.maxTokens) : TOKENS;
}

type Row = Float32Array | BigInt64Array;

function drawRow({ name, preprocess }: ContractInput, shape: readonly number[], seed: string): Row {
  const random = new Random(`${seed}/${name}`);
  const side = /^(left|right)_/.exec(name)?.[1] ?? '';
  const count = numel(shape);
  const length = (): number => textLength(new Random(`${seed}/${side}/length`), count);
  switch (preprocess.kind) {
    case 'image':
    case 'video':
      return drawFrames(random, shape, preprocess);
    case 'audio':
      return drawAudio(random, count, preprocess);
    case 'image-grid':
      return drawGrid();
    case 'text':
      return drawTokens(random, count, preprocess, length());
    case 'text-mask':
      return drawMask(count, length());
    case 'text-types':
      return drawTypes(count, length());
    case 'embedding':
      return drawEmbedding(random, count, preprocess);
  }
}

function joinRows(rows: readonly Row[], shape: readonly number[]): ExampleValue {
  if (rows[0] instanceof BigInt64Array) {
    const data = new BigInt64Array(numel(shape));
    for (const [i, row] of rows.entries()) data.set(row as BigInt64Array, i * row.length);
    return { dtype: 'I64', shape, data };
  }
  const data = new Float32Array(numel(shape));
  for (const [i, row] of rows.entries()) data.set(row as Float32Array, i * row.length);
  return { dtype: 'F32', shape, data };
}
