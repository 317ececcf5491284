import { HpsError } from '../errors.js';
import type { SessionPool } from '../runtime/session-pool.js';
import { concatRows, floatsOf, type TensorValue, takeRows } from '../runtime/value.js';
import type { ScoringModel } from '../scoring/model.js';
import type { SideName } from './decision.js';

/** The inputs of one item: one row a value. */
export type ItemInputs = ReadonlyMap<string, TensorValue>;

type Features = ReadonlyMap<string, TensorValue>;

/** Rows of a run: changed inputs of one item have one shape, so batches are full. */
const ROWS = 16;

/**
 * f without gradients, by the model as it scores: the same numbers, in the same process of their own. Also models of other tools,
 * and quantized ones.
 */
export class Evaluator {
  constructor(private readonly model: ScoringModel) {}

  /**
   * f where one side is changed in many ways, and the others are as they are.
   * @param sides - the inputs of every side
   */
  async logits(
    sides: ReadonlyMap<SideName, ItemInputs>,
    changed: SideName,
    variants: readonly ItemInputs[],
    onDone: (count: number) => void = () => undefined,
  ): Promise<Float64Array> {
    const features = await this.featuresOf(variants, onDone);
    if (sides.size === 1) return this.utilities(features);
    const other = changed === 'left' ? 'right' : 'left';
    const [fixed] = await this.featuresOf([sides.get(other)!]);
    const all = features.map(() => fixed);
    return changed === 'left' ? this.pairs(features, all) : this.pairs(all, features);
  }

  /** f of many decisions. */
  async decisions(samples: readonly ReadonlyMap<SideName, ItemInputs>[]): Promise<Float64Array> {
    const of = (side: SideName): Promise<Features[]> => this.featuresOf(samples.map((sample) => sample.get(side)!));
    if (samples[0]?.size === 1) return this.utilities(await of('item'));
    return this.pairs(await of('left'), await of('right'));
  }

  private async pairs(left: readonly Features[], right: readonly Features[]): Promise<Float64Array> {
    const { head } = this.model;
    if (!head) {
      const [a, b] = [await this.utilities(left), await this.utilities(right)];
      return a.map((value, i) => value - b[i]);
    }
    const joined = left.map((row, i) => new Map([...prefixed(row, 'left_'), ...prefixed(right[i], 'right_')]));
    return scalars(await this.runAll(head, joined), 'pair_logit');
  }

  private async utilities(features: readonly Features[]): Promise<Float64Array> {
    const { head, contract } = this.model;
    const { output = 'utility_logit', column = 0 } = contract.score ?? {};
    if (!head) return scalars(features, output, column);
    const joined = features.map((row) => new Map([...prefixed(row, 'left_'), ...prefixed(row, 'right_')]));
    return scalars(await this.runAll(head, joined), 'left_utility_logit');
  }

  private async featuresOf(rows: readonly ItemInputs[], onDone?: (count: number) => void): Promise<Features[]> {
    const { encoder, contract } = this.model;
    if (!encoder) return [...rows];
    if (contract.mode === 'item') return this.runAll(encoder, rows, onDone);
    const outputs = await this.runAll(
      encoder,
      rows.map((row) => prefixed(row, 'left_')),
      onDone,
    );
    return outputs.map((row) => new Map([['embedding', row.get('left_embedding')!]]));
  }

  /** Runs of equal size, the last one filled up, as many at a time as there are sessions for. */
  private async runAll(
    pool: SessionPool,
    rows: readonly ItemInputs[],
    onDone: (count: number) => void = () => undefined,
  ): Promise<Features[]> {
    const results = new Array<Features>(rows.length);
    let done = 0;
    const batches = this.batchesOf(pool, rows);
    const next = async (): Promise<void> => {
      for (let batch = batches.shift(); batch; batch = batches.shift()) {
        const taken = Array.from(
          { length: batch.size },
          (_, i) => rows[batch.places[Math.min(i, batch.places.length - 1)]],
        );
        const feeds = new Map(
          Array.from(taken[0].keys(), (name) => [name, joinRows(taken.map((row) => row.get(name)!))]),
        );
        const outputs = [...(await pool.run(feeds))].filter(([, { shape }]) => shape[0] === batch.size);
        for (const [i, place] of batch.places.entries())
          results[place] = new Map(outputs.map(([name, value]) => [name, takeRows(value, [i])]));
        done += batch.places.length;
        onDone(done);
      }
    };
    await Promise.all(Array.from({ length: Math.min(pool.capacity, Math.max(1, batches.length)) }, next));
    return results;
  }

  private batchesOf(pool: SessionPool, rows: readonly ItemInputs[]): { places: number[]; size: number }[] {
    const [first] = pool.inputs[0].shape;
    const fixed = typeof first === 'number' && first > 0 ? first : undefined;
    const byShape = new Map<string, number[]>();
    for (const [i, row] of rows.entries()) {
      const key = Array.from(row, ([name, { shape }]) => `${name}${shape.join()}`).join(' ');
      byShape.set(key, [...(byShape.get(key) ?? []), i]);
    }
    const batches: { places: number[]; size: number }[] = [];
    for (const places of byShape.values()) {
      const size = this.model.mixesRows ? 1 : (fixed ?? Math.min(ROWS, places.length));
      for (let start = 0; start < places.length; start += size)
        batches.push({ places: places.slice(start, start + size), size });
    }
    return batches;
  }
}

const joinRows = (values: readonly TensorValue[]): TensorValue =>
  values.length === 1 ? values[0] : concatRows(values);

const prefixed = (row: Features, prefix: string): Features =>
  new Map(Array.from(row, ([name, value]) => [prefix + name, value]));

function scalars(rows: readonly Features[], output: string, column = 0): Float64Array {
  return Float64Array.from(rows, (row) => {
    const value = row.get(output);
    const number = value && floatsOf(value)[column];
    if (number === undefined) {
      throw new HpsError('ONNX_UNSUPPORTED', `the model has no output ${output} with a column ${column} for each row`, {
        hint: 'See its outputs with `hpsv3 inspect`; a contract names one of them.',
        details: { output, column },
      });
    }
    if (Number.isFinite(number)) return number;
    throw new HpsError('SCORE_NONFINITE', `the model gives ${number}`, {
      hint: 'Verify the model with `hpsv3 verify`; a float16 file may overflow on this input.',
    });
  });
}
