import { floatsOf } from '../runtime/value.js';
import type { ItemInputs } from './evaluator.js';
import type { BlackBoxPart } from './methods/black-box.js';
import type { MethodId } from './methods/method.js';
import { attributeCells, energyCells, type Grid, gridOf, MEL_BANDS } from './spectrum.js';

/** What a method has attributed to one part: in the part's own shape, or on a coarser grid over it. */
export interface RawAttribution {
  readonly part: BlackBoxPart;
  readonly shape: readonly number[];
  readonly values: Float32Array;
  readonly slope?: Float32Array;
}

/** What is shown of a part: channels are summed up, a text has a number a token. */
export interface PartMap extends RawAttribution {
  /** [height, width], [tokens], [bands, windows] or [frames, height, width], or a coarser grid over it; [frames] of a clip. */
  readonly map: { readonly shape: readonly number[]; readonly values: Float32Array };
  /** Whether values may be against the decision as well as for it. */
  readonly signed: boolean;
  /** Sum of all that is attributed to the part; null where the method's numbers do not add up to anything. */
  readonly sum: number | null;
  /** Of a sound: the limits of its bands in hertz. */
  readonly hertz?: readonly number[];
}

/** Methods whose numbers are magnitudes, or for one side only. */
const UNSIGNED: ReadonlySet<MethodId> = new Set(['gradient', 'smoothgrad', 'rollout', 'relevance']);
/** Methods whose numbers are parts of f. */
export const ADDITIVE: ReadonlySet<MethodId> = new Set(['ig', 'input-x-gradient']);

/** What is shown of an attribution. */
export function mapOf(attribution: RawAttribution, method: MethodId): PartMap {
  const { part, values } = attribution;
  const signed = !UNSIGNED.has(method);
  const sum = ADDITIVE.has(method) ? values.reduce((total, value) => total + value, 0) : null;
  return { ...attribution, signed, sum, ...reduced(attribution, signed, part.inputs) };
}

function reduced(
  { part, shape, values, slope }: RawAttribution,
  signed: boolean,
  inputs: ItemInputs,
): Pick<PartMap, 'map' | 'hertz'> {
  const own = inputs.get(part.input.name)!;
  const fold = signed ? addUp : largest;
  switch (part.kind) {
    case 'text':
      // [tokens, width], or [tokens].
      return { map: { shape: [shape[0]], values: shape.length === 2 ? overLast(values, shape[1], fold) : values } };
    case 'image':
    case 'video':
      if (shape.length < own.shape.length - 1) return { map: { shape, values } };
      return { map: { shape: shape.slice(1), values: overFirst(values, shape[0], fold) } };
    case 'audio': {
      if (shape.length !== 1 || shape[0] !== own.data.length)
        return { map: { shape, values }, hertz: hertzOf(part, shape) };
      const x = floatsOf(own);
      const grid = gridOf(x.length, rateOf(part), MEL_BANDS);
      const cells = slope ? attributeCells(x, slope, grid) : energyCells(values, grid).map(Math.sqrt);
      return { map: { shape: [MEL_BANDS, grid.windows], values: cells }, hertz: grid.hertz };
    }
  }
}

export const rateOf = ({ input }: BlackBoxPart): number =>
  input.preprocess.kind === 'audio' ? input.preprocess.sampleRate : 1;

/** The sound itself on the grid of its map: energy of each cell. */
export function spectrogramOf(part: BlackBoxPart): { readonly grid: Grid; readonly energy: Float32Array } {
  const x = floatsOf(part.inputs.get(part.input.name)!);
  const grid = gridOf(x.length, rateOf(part), MEL_BANDS);
  return { grid, energy: energyCells(x, grid) };
}

/** Bands of a coarser map are neighbours of the finest ones together. */
function hertzOf(part: BlackBoxPart, shape: readonly number[]): readonly number[] | undefined {
  if (shape.length !== 2) return undefined;
  const { grid } = spectrogramOf(part);
  const step = MEL_BANDS / shape[0];
  return grid.hertz.filter((_, i) => i % step === 0);
}

type Fold = (sum: number, value: number) => number;

const addUp: Fold = (sum, value) => sum + value;
const largest: Fold = (sum, value) => Math.max(sum, Math.abs(value));

function overFirst(values: Float32Array, channels: number, fold: Fold): Float32Array {
  const size = values.length / channels;
  return Float32Array.from({ length: size }, (_, at) => {
    let total = 0;
    for (let channel = 0; channel < channels; channel++) total = fold(total, values[channel * size + at]);
    return total;
  });
}

function overLast(values: Float32Array, width: number, fold: Fold): Float32Array {
  return Float32Array.from({ length: values.length / width }, (_, row) => {
    let total = 0;
    for (let at = row * width; at < (row + 1) * width; at++) total = fold(total, values[at]);
    return total;
  });
}
