import { totalmem } from 'node:os';
import type { ModelProcess, RemoteSession } from '../runtime/child.js';
import type { OptimizationLevel } from '../runtime/session.js';
import type { ModelFacts } from './model.js';

/** Memory a loaded model takes, by the size of its files: its weights once more while they are packed (measured: up to 2.6). */
const MEMORY_FACTOR = 3;

/** Over half of the machine's memory, packed copies of the weights are avoided: level basic, and no second level. */
export const isLarge = ({ bytes }: ModelFacts): boolean => bytes * MEMORY_FACTOR > totalmem() / 2;
export const defaultLevel = (model: ModelFacts): OptimizationLevel => (isLarge(model) ? 'basic' : 'all');

export function load(
  child: ModelProcess,
  model: ModelFacts,
  optimization: OptimizationLevel,
  threads?: number,
): Promise<RemoteSession> {
  return child.load(model.path, { optimization, threads, config: model.manifest?.session }, model.bytes);
}
