import { setImmediate } from 'node:timers/promises';

/** What is counted while work goes on. */
export type ProgressUnit = 'bytes' | 'rows' | 'pairs' | 'batches' | 'steps' | 'windows';

/** How far a piece of work is. */
export interface Progress {
  /** What is being done, in a word or two: `Writing`. */
  readonly stage: string;
  /** 0 where only the stage is known. */
  readonly done: number;
  /** Null where nobody knows how much there is. */
  readonly total: number | null;
  /** Whether `total` is a guess. */
  readonly isEstimate?: boolean;
  readonly unit: ProgressUnit;
  /** What else is worth showing, such as a loss. */
  readonly detail?: string;
}

/** How a caller follows a long piece of work, and stops it. Every verb takes these among its options. */
export interface Run {
  /** Stops the work as soon as it can: it rejects with the signal's reason, releases all it holds, and leaves its targets as they were. */
  readonly signal?: AbortSignal;
  /** Called as often as there is something to say; keep it quick. */
  readonly onProgress?: (progress: Progress) => void;
  /** Receives, while the work goes on, what is worth knowing of it: one sentence each. */
  readonly onWarning?: (warning: string) => void;
}

/** The part of some options that makes up a `Run`, to be handed on. */
export const runOf = ({ signal, onProgress, onWarning }: Run): Run => ({ signal, onProgress, onWarning });

/** Says that a stage begins whose length nobody knows. */
export function startStage(run: Run, stage: string, unit: ProgressUnit = 'steps'): void {
  run.onProgress?.({ stage, done: 0, total: null, unit });
}

/** Reports how much of a stage is done: for work that counts by itself. */
export const reporter =
  ({ onProgress }: Run, stage: string, unit: ProgressUnit) =>
  (done: number, total: number | null = null): void =>
    onProgress?.({ stage, done, total, unit });

/** Counts one more part of a stage at each call. */
export function counter(run: Run, stage: string, unit: ProgressUnit, total: number | null = null): () => void {
  const report = reporter(run, stage, unit);
  let done = 0;
  return () => report(++done, total);
}

/** A turn of the event loop this often keeps a process responsive and costs nothing that can be measured. */
const TURN_MS = 50;

/**
 * For loops that only compute: call and await it in each pass. Now and then it lets the event loop have its turn, without which
 * neither Ctrl-C nor any other request would be heard before the loop's end.
 * @throws the reason of the signal, once it is aborted
 */
export function turns(signal?: AbortSignal): () => Promise<void> | undefined {
  let last = performance.now();
  return () => {
    if (performance.now() - last < TURN_MS) return undefined;
    return setImmediate().then(() => {
      last = performance.now();
      signal?.throwIfAborted();
    });
  };
}
