import type { ModelFacts } from '../gate/model.js';
import type { ModelProcess, ModelProcessOptions, RemoteSession } from '../runtime/child.js';
import type { Device } from '../runtime/device.js';
import type { ProfileInputs } from './inputs.js';
import type { Setting } from './schema.js';

/** A model and what it is run on. */
export interface Subject {
  readonly facts: ModelFacts;
  readonly inputs: ProfileInputs;
}

/** How every process of a profile is started, and how long is measured. */
export interface Bench {
  readonly child: ModelProcessOptions;
  readonly device: Device;
  /** Time spent on one figure, beyond the fewest runs. */
  readonly budgetMs: number;
  readonly onStep: (step: string) => void;
}

/** Between models in turn: threads that wait for the next run of one would take the cores of the other. */
const QUIET_THREADS = { 'session.force_spinning_stop': '1' };

export type SessionSetting = Pick<Setting, 'threads' | 'optimization'>;

/** Loads a model as it will be served: with the options its manifest asks for. */
export function openSubject(
  process: ModelProcess,
  { facts }: Pick<Subject, 'facts'>,
  { threads, optimization }: SessionSetting,
  {
    device,
    inTurn = false,
    config = {},
  }: { device: Device; inTurn?: boolean; config?: Readonly<Record<string, string>> },
): Promise<RemoteSession> {
  const all = { ...facts.manifest?.session, ...(inTurn ? QUIET_THREADS : {}), ...config };
  return process.load(facts.path, { device, threads, optimization, config: all }, facts.bytes);
}
