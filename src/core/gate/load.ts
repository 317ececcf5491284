import type { ModelProcess, RemoteSession } from '../runtime/child.js';
import { machineMemory, WEIGHT_COPIES } from '../runtime/memory.js';
import type { OptimizationLevel } from '../runtime/session.js';
import type { ModelFacts } from './model.js';

/** Over half of the machine's memory, packed copies of the weights are avoided: level basic, and no second level. */
export const isLarge = ({ bytes }: ModelFacts): boolean => bytes * WEIGHT_COPIES > machineMemory() / 2;
export const defaultLevel = (model: ModelFacts): OptimizationLevel => (isLarge(model) ? 'basic' : 'all');

export function load(
  child: ModelProcess,
  model: ModelFacts,
  optimization: OptimizationLevel,
  threads?: number,
): Promise<RemoteSession> {
  return child.load(model.path, { optimization, threads, config: model.manifest?.session }, model.bytes);
}
