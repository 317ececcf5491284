import { HpsError } from '../errors.js';
import type { Session } from '../runtime/session.js';
import { concatRows, type TensorValue, takeRows, takeRuns } from '../runtime/value.js';
import { formatShape } from '../tensor/shape.js';
import type { Outputs } from './compare.js';
import type { Probes } from './probes.js';

/** Runs rows of the probes in the given batches; the outputs hold them one after the other in that order. */
export type RowRunner = (batches: readonly (readonly number[])[]) => Promise<Outputs>;

/** The numbers 0 to rows - 1 in batches of `size`, the last one filled up by going round. */
export function inBatches(rows: readonly number[], size: number): number[][] {
  const count = Math.ceil(rows.length / size);
  return Array.from({ length: count }, (_, batch) =>
    Array.from({ length: size }, (_, i) => rows[(batch * size + i) % rows.length]),
  );
}

export const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** The size of batch that a model is fixed to, or null where it takes any. */
export function fixedBatch({ inputs }: Session): number | null {
  const first = inputs.find(({ shape }) => shape.length > 0)?.shape[0];
  return typeof first === 'number' ? first : null;
}

/**
 * Runs batches of probe rows. Only outputs with one row a sample can be compared so: the others are left out.
 * @throws HpsError ONNX_UNSUPPORTED where no output has a row per sample
 */
export function rowRunner(session: Session, probes: Probes, onBatch: () => void = () => {}): RowRunner {
  return async (batches) => {
    const parts = new Map<string, TensorValue[]>(session.outputs.map(({ name }) => [name, []]));
    const run = (batch: readonly number[]): Promise<Outputs> => session.run(batchFeeds(probes, batch));
    const together = session.together ? await Promise.all(batches.map(run)) : null;
    for (const [i, batch] of batches.entries()) {
      const outputs = together?.[i] ?? (await run(batch));
      for (const [name, value] of outputs) {
        if (value.shape[0] === batch.length) parts.get(name)?.push(value);
      }
      onBatch();
    }
    const whole = [...parts].filter(([, values]) => values.length === batches.length && sameTails(values));
    if (whole.length > 0) return new Map(whole.map(([name, values]) => [name, concatRows(values)]));
    throw new HpsError('ONNX_UNSUPPORTED', `no output has a row per sample: ${describe(session)}`, {
      hint: 'The gate needs a model whose outputs have the samples along the first dimension.',
    });
  };
}

/** The feeds of one batch. A scalar input, such as a sample rate, is the same for all rows. */
export function batchFeeds(
  { feeds, counts }: Pick<Probes, 'feeds' | 'counts'>,
  rows: readonly number[],
): Map<string, TensorValue> {
  const taken = (name: string, value: TensorValue): TensorValue => {
    if (value.shape.length === 0) return value;
    const each = counts?.get(name);
    return each ? takeRuns(value, each, rows) : takeRows(value, rows);
  };
  return new Map(Array.from(feeds, ([name, value]) => [name, taken(name, value)]));
}

const sameTails = (values: readonly TensorValue[]): boolean =>
  values.every(({ shape }) => formatShape(shape.slice(1)) === formatShape(values[0].shape.slice(1)));

const describe = ({ outputs }: Session): string =>
  outputs.map(({ name, shape }) => `${name} ${formatShape(shape)}`).join(', ');

/** The first `count` rows of every output. */
export const firstRows = (outputs: Outputs, count: number): Outputs => selectRows(outputs, range(count));

export const selectRows = (outputs: Outputs, rows: readonly number[]): Outputs =>
  new Map(Array.from(outputs, ([name, value]) => [name, takeRows(value, rows)]));
