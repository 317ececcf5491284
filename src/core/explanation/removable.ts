import { float32Value, type TensorValue } from '../runtime/value.js';
import type { ItemInputs } from './evaluator.js';
import { rateOf } from './maps.js';
import type { BlackBoxPart } from './methods/black-box.js';
import { gridOf, MEL_BANDS, pieceOf } from './spectrum.js';

/** Things that can be taken out of a part, alone or together. */
export interface Removable {
  /** Of a map with a place for each of them. */
  readonly shape: readonly number[];
  /** The places of each. */
  readonly units: readonly (readonly number[])[];
  /** The inputs of the side without some of them. */
  without(units: readonly number[]): ItemInputs;
}

/** How finely a part is taken apart. */
export interface Fineness {
  /** Patches along the longer side of a picture. */
  readonly patches: number;
  /** Side of a patch in pixels, instead. */
  readonly patch?: number | null;
  /** Bands and windows of a sound that are silenced together. */
  readonly sound: { readonly bands: number; readonly windows: number };
}

/** Patches of a picture, tokens of a text, pieces of a sound, frames of a clip. */
export function removableOf(part: BlackBoxPart, { patches, patch, sound }: Fineness): Removable {
  switch (part.kind) {
    case 'image': {
      const [height, width] = part.inputs.get(part.input.name)!.shape.slice(-2);
      return patchesOf(part, patch ?? Math.max(1, Math.ceil(Math.max(height, width) / patches)));
    }
    case 'text':
      return tokensOf(part);
    case 'audio':
      return piecesOf(part, sound);
    case 'video':
      return framesOf(part);
  }
}

const oneEach = (count: number): number[][] => Array.from({ length: count }, (_, place) => [place]);

const withInput = ({ inputs }: BlackBoxPart, name: string, value: TensorValue): ItemInputs =>
  new Map([...inputs, [name, value]]);

function withFloats(part: BlackBoxPart, change: (data: Float32Array) => void): ItemInputs {
  const value = part.inputs.get(part.input.name)!;
  const data = (value.data as Float32Array).slice();
  change(data);
  return withInput(part, part.input.name, float32Value(value.shape, data));
}

/** Squares of a picture, which become the mean colour. */
export function patchesOf(part: BlackBoxPart, side: number): Removable {
  const [channels, height, width] = part.inputs.get(part.input.name)!.shape.slice(1);
  const [rows, columns] = [Math.ceil(height / side), Math.ceil(width / side)];
  return {
    shape: [rows, columns],
    units: oneEach(rows * columns),
    without: (units) =>
      withFloats(part, (data) => {
        for (const unit of units) {
          const [top, left] = [Math.floor(unit / columns) * side, (unit % columns) * side];
          for (let channel = 0; channel < channels; channel++)
            for (let y = top; y < Math.min(top + side, height); y++) {
              const start = (channel * height + y) * width;
              data.fill(0, start + left, start + Math.min(left + side, width));
            }
        }
      }),
  };
}

/** Frames of a clip, which become the nearest one that stays: the mean colour where none does. */
export function framesOf(part: BlackBoxPart): Removable {
  const [channels, count, height, width] = part.inputs.get(part.input.name)!.shape.slice(1);
  const area = height * width;
  return {
    shape: [count],
    units: oneEach(count),
    without: (units) =>
      withFloats(part, (data) => {
        const gone = new Set(units);
        const kept = Array.from({ length: count }, (_, frame) => frame).filter((frame) => !gone.has(frame));
        for (const frame of units) {
          const [nearest] = kept.toSorted((a, b) => Math.abs(a - frame) - Math.abs(b - frame));
          for (let channel = 0; channel < channels; channel++) {
            const start = channel * count * area;
            const at = start + frame * area;
            if (nearest === undefined) data.fill(0, at, at + area);
            else data.copyWithin(at, start + nearest * area, start + (nearest + 1) * area);
          }
        }
      }),
  };
}

/** Pieces of a sound, bands by windows, which fall silent. */
export function piecesOf(part: BlackBoxPart, most: { readonly bands: number; readonly windows: number }): Removable {
  const x = part.inputs.get(part.input.name)!.data as Float32Array;
  const grid = gridOf(x.length, rateOf(part), MEL_BANDS);
  const bandStep = MEL_BANDS / most.bands;
  const step = Math.ceil(grid.windows / most.windows);
  const columns = Math.ceil(grid.windows / step);
  return {
    shape: [most.bands, columns],
    units: oneEach(most.bands * columns),
    without: (units) =>
      withFloats(part, (data) => {
        for (const unit of units) {
          const [band, window] = [Math.floor(unit / columns) * bandStep, (unit % columns) * step];
          const until = Math.min(window + step, grid.windows);
          for (const [i, value] of pieceOf(x, grid, [band, band + bandStep], [window, until]).entries())
            data[i] -= value;
        }
      }),
  };
}

/** Tokens of a text, which become [PAD]. */
export function tokensOf(part: BlackBoxPart): Removable {
  const ids = part.inputs.get(part.input.name)!;
  const pad = part.input.preprocess.kind === 'text' ? part.input.preprocess.pad : 0;
  return {
    shape: [ids.data.length],
    units: oneEach(part.tokens?.length ?? ids.data.length),
    without: (units) => {
      const data = (ids.data as BigInt64Array).slice();
      for (const place of units) data[place] = BigInt(pad);
      return withInput(part, part.input.name, { ...ids, data });
    },
  };
}

/** Words of a text, which are left out. */
export function wordsOf(part: BlackBoxPart): Removable {
  const length = part.inputs.get(part.input.name)!.data.length;
  const words = new Map<number, number[]>();
  const tokens = part.tokens ?? Array.from({ length }, (_, word) => ({ word }));
  for (const [place, { word }] of tokens.entries())
    if (word !== null) words.set(word, [...(words.get(word) ?? []), place]);
  const units = [...words.values()];
  return { shape: [length], units, without: (some) => shortened(part, new Set(some.flatMap((unit) => units[unit]))) };
}

/** The row without some of its tokens. It keeps its width where a mask hides what fills it up, or the model asks for one width. */
function shortened(part: BlackBoxPart, left: ReadonlySet<number>): ItemInputs {
  const text = part.input.preprocess;
  const isMasked = part.textual.some(({ preprocess }) => preprocess.kind === 'text-mask');
  const keepsWidth = isMasked || (text.kind === 'text' && text.length !== undefined);
  const inputs = new Map(part.inputs);
  for (const { name, preprocess } of part.textual) {
    const value = part.inputs.get(name)!;
    const kept = Array.from(value.data as BigInt64Array).filter((_, place) => !left.has(place));
    const fill = preprocess.kind === 'text' ? BigInt(preprocess.pad) : 0n;
    while (kept.length < (keepsWidth ? value.data.length : 1)) kept.push(fill);
    inputs.set(name, { dtype: value.dtype, shape: [1, kept.length], data: BigInt64Array.from(kept) });
  }
  return inputs;
}
