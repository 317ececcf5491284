import { HpsError } from '../errors.js';
import { readProbes } from '../gate/golden.js';
import type { Probes } from '../gate/probes.js';
import { makeProbes } from '../gate/probes.js';
import { batchFeeds, fixedBatch, range } from '../gate/rows.js';
import type { Manifest } from '../onnx/manifest.js';
import type { OnnxModel } from '../onnx/model.js';
import { graphInputs } from '../runtime/graph-values.js';
import type { Session, ValueInfo } from '../runtime/session.js';
import { formatShape } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { tensorFromBytes } from '../tensor/tensor.js';
import { bytesOf } from '../tensor/values.js';

/** Rows that ranges are fitted on, and rows that are judged, none of them in both. */
export interface RowSets {
  readonly calibration: Probes;
  readonly heldOut: Probes;
  /** Where the rows come from. */
  readonly origin: 'probes' | 'inputs' | 'samples';
}

/** Rows given by the user, all of them. */
export interface GivenRows {
  readonly file: string;
  readonly tensors: ReadonlyMap<string, Tensor>;
}

export interface RowOptions {
  readonly given?: GivenRows;
  /** Rows that are prepared already, and which of them are held out. */
  readonly prepared?: { readonly probes: Probes; readonly heldOut: readonly number[] };
  readonly seed: number;
  /** Rows made up where none are given. */
  readonly calibrationRows?: number;
  readonly heldOutRows?: number;
}

/** Ranges of activations settle within some tens of rows. */
const CALIBRATION_ROWS = 32;
const HELD_OUT_ROWS = 24;

/**
 * Rows of the user's file, every second held out; or seeded probes, from other seeds for each set.
 * @throws HpsError TENSOR_NOT_FOUND, INPUTS_INVALID as `readProbes`
 */
export async function rowSets(source: RowContract, options: RowOptions): Promise<RowSets> {
  if (options.prepared) {
    const { probes, heldOut } = options.prepared;
    const rest = range(probes.rows).filter((row) => !heldOut.includes(row));
    const calibration = rest.length === 0 ? probes : selectProbes(probes, rest);
    return { calibration, heldOut: selectProbes(probes, heldOut), origin: 'samples' };
  }
  const { manifest, name } = source;
  // From the graph alone: loading it would take longer than all else where little is run.
  const inputs = graphInputs(source.model, name);
  refuseMixedAxes(inputs, name);
  if (options.given) {
    const all = await readProbes(options.given.tensors, { file: options.given.file, manifest, inputs });
    const [calibration, heldOut] = splitRows(all);
    return { calibration, heldOut, origin: 'inputs' };
  }
  const draw = (purpose: string, rows: number): Probes =>
    makeProbes(inputs, manifest, { rows, seed: `${options.seed}/${purpose}`, file: name });
  return {
    calibration: draw('calibration', options.calibrationRows ?? CALIBRATION_ROWS),
    heldOut: draw('held-out', options.heldOutRows ?? HELD_OUT_ROWS),
    origin: 'probes',
  };
}

/** What a model takes, by its graph and its own account of itself. */
export interface RowContract {
  readonly model: OnnxModel;
  readonly manifest: Manifest | null;
  /** Base name. */
  readonly name: string;
}

/** Rows are taken along the first axis of every input: a state kept as [2, batch, 128] has them elsewhere. */
function refuseMixedAxes(inputs: readonly ValueInfo[], file: string): void {
  const batched = inputs.filter(({ shape }) => shape.length > 0);
  const odd = batched.find(({ shape: [first] }) => typeof first === 'number');
  if (odd === undefined || !batched.some(({ shape: [first] }) => typeof first === 'string')) return;
  const what = `input ${odd.name} ${formatShape(odd.shape)} has no row a sample on its first axis, others have`;
  throw new HpsError('ONNX_UNSUPPORTED', `${file}: ${what}: rows cannot be made or judged`, {
    hint: 'With `gate` off, weight-only and dynamic quantize it unjudged: they run nothing.',
    details: { file, input: odd.name },
  });
}

/** Most rows run together, and the bytes of inputs they may take: activations are some hundred times larger. */
const BATCH = 8;
const BATCH_BYTES = 2 ** 20;

/** How many rows a run takes at most: fewer from one run to the next where memory gets short. */
export class RowsAtOnce {
  most = BATCH;

  /** @returns how many from here on; null where it was one already */
  halve(): number | null {
    if (this.most === 1) return null;
    this.most = Math.floor(this.most / 2);
    return this.most;
  }
}

/**
 * Rows in the batches they are run in, by the size of a row, the batch that the model is fixed to, and no more than `limit` allows
 * when their turn comes; the last one is filled up by going round.
 */
export function* rowBatches(
  session: Session,
  { rows, feeds }: Probes,
  limit: { readonly most: number } = new RowsAtOnce(),
): Generator<number[]> {
  const bytes = [...feeds.values()].reduce((sum, { data }) => sum + data.byteLength, 0);
  const fitting = Math.floor((BATCH_BYTES * rows) / Math.max(1, bytes));
  const fixed = fixedBatch(session);
  for (let first = 0; first < rows; ) {
    const size = fixed ?? Math.max(1, Math.min(BATCH, limit.most, fitting, rows));
    yield Array.from({ length: size }, (_, i) => (first + i) % rows);
    first += size;
  }
}

export const selectProbes = (probes: Probes, rows: readonly number[]): Probes => ({
  rows: rows.length,
  feeds: batchFeeds(probes, rows),
  ...(probes.counts && {
    counts: new Map(Array.from(probes.counts, ([name, counts]) => [name, rows.map((row) => counts[row])])),
  }),
});

/** Every second row, and the others. One row alone is in both. */
export function splitRows(probes: Probes): [Probes, Probes] {
  const rows = range(probes.rows);
  if (probes.rows < 2) return [probes, probes];
  const half = (remainder: number): Probes =>
    selectProbes(
      probes,
      rows.filter((row) => row % 2 === remainder),
    );
  return [half(0), half(1)];
}

/** Rows as the gate takes inputs of the user's own. */
export function asTensors({ feeds }: Probes): Map<string, Tensor> {
  return new Map(
    Array.from(feeds, ([name, { dtype, shape, data }]) => [
      name,
      tensorFromBytes({ name, dtype, shape }, bytesOf(data)),
    ]),
  );
}
