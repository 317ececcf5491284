import type { ModelProcess } from '../runtime/child.js';
import { machineMemory, WEIGHT_COPIES } from '../runtime/memory.js';
import { SegmentedSession } from '../runtime/segmented.js';
import type { OptimizationLevel, Session } from '../runtime/session.js';
import type { ModelFacts } from './model.js';
import type { GateOptions } from './options.js';

/** A model that is judged: in a process of its own, whole or in segments. */
export interface GateSession extends Session {
  /** Milliseconds of all runs together. */
  readonly runMs: number;
}

/** Over half of the machine's memory, packed copies of the weights are avoided: level basic, and no second level. */
export const isLarge = ({ bytes }: ModelFacts): boolean => bytes * WEIGHT_COPIES > machineMemory() / 2;
export const defaultLevel = (model: ModelFacts): OptimizationLevel => (isLarge(model) ? 'basic' : 'all');

/** Copies of the weights at level basic: as read and as packed; of float16, which is computed in float32, two of those. */
const copiesOf = ({ half }: ModelFacts): number => (half ? 3 : 2);
/** Weights in memory at a time, of a model that does not fit. */
const SEGMENT_BYTES = 2 ** 30;

/** Bytes of weights at a time where a model does not fit into memory; null for one that does. */
export const segmentBytesOf = (model: ModelFacts, { segmentBytes }: Pick<GateOptions, 'segmentBytes'>): number | null =>
  segmentBytes ?? (model.bytes * copiesOf(model) > 0.8 * machineMemory() ? SEGMENT_BYTES : null);

export async function load(
  child: ModelProcess,
  model: ModelFacts,
  optimization: OptimizationLevel,
  options: Pick<GateOptions, 'threads' | 'segmentBytes'>,
): Promise<GateSession> {
  const { threads } = options;
  const config = model.manifest?.session;
  const segmentBytes = segmentBytesOf(model, options);
  if (segmentBytes !== null)
    return SegmentedSession.open(model.path, child, { optimization, threads, config, segmentBytes });
  return child.load(model.path, { optimization, threads, config }, model.bytes);
}
