import { HpsError } from '../errors.js';

/** 128 plus the number of the signal, as shells report it. */
export const SIGNAL_EXIT_CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
export type StopSignal = keyof typeof SIGNAL_EXIT_CODES;

/** The work that a signal stops: one at a time, also where a command runs others as its parts. */
let followed: { readonly controller: AbortController; readonly kept: Kept } | undefined;

/** What is left of work that is stopped, and how to go on with it: a sentence or two, asked for when it happens. */
export type Kept = () => string;

/**
 * Runs work that a signal of the system stops through an `AbortSignal`, so that it can release what it holds.
 * @throws HpsError INTERRUPTED where it was stopped
 */
export async function interruptible<T>(kept: Kept, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  if (followed) return work(followed.controller.signal); // what is kept is said by the whole
  const controller = new AbortController();
  followed = { controller, kept };
  try {
    return await work(controller.signal);
  } catch (error) {
    controller.signal.throwIfAborted(); // whatever it has led to
    throw error;
  } finally {
    followed = undefined;
  }
}

/** Asks the work under way to stop; undefined where there is none, or it has been asked already. */
export function interrupt(signal: StopSignal): HpsError | undefined {
  if (followed === undefined || followed.controller.signal.aborted) return undefined;
  const error = interrupted(signal, followed.kept());
  followed.controller.abort(error);
  return error;
}

export const interrupted = (signal: StopSignal, hint?: string): HpsError =>
  new HpsError('INTERRUPTED', `stopped by ${signal}`, { hint, details: { signal } });

/** Of a failure: for INTERRUPTED that of the signal. */
export function exitCodeOf({ code, exitCode, details }: HpsError): number {
  const signal = code === 'INTERRUPTED' ? details['signal'] : undefined;
  return SIGNAL_EXIT_CODES[signal as StopSignal] ?? exitCode;
}
