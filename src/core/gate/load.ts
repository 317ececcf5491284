import type { ModelProcess } from '../runtime/child.js';
import { leastCopies, machineMemory, SEGMENT_BYTES, WEIGHT_COPIES } from '../runtime/memory.js';
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

/** Bytes of weights at a time where a model does not fit into memory; null for one that does. */
export const segmentBytesOf = (model: ModelFacts, { segmentBytes }: Pick<GateOptions, 'segmentBytes'>): number | null =>
  segmentBytes ?? (model.bytes * leastCopies(model.half) > 0.8 * machineMemory() ? SEGMENT_BYTES : null);

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
