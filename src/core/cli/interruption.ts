import { HpsError } from '../errors.js';

/** 128 plus the number of the signal, as shells report it. */
export const SIGNAL_EXIT_CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
export type StopSignal = keyof typeof SIGNAL_EXIT_CODES;

/** The work that a signal stops: one at a time, also where a command runs others as its parts. */
let followed: Followed | undefined;

interface Followed {
  readonly controller: AbortController;
  readonly kept: Kept;
  readonly finishes: boolean;
}

/** What is left of work that is stopped, and how to go on with it: a sentence or two, asked for when it happens. */
export type Kept = () => string;

/**
 * Runs work that a signal of the system stops through an `AbortSignal`, so that it can release what it holds.
 * @param finishes - the work ends by itself once it is asked, in its own time: a second signal ends it at once
 * @throws HpsError INTERRUPTED where it was stopped
 */
export async function interruptible<T>(
  kept: Kept,
  work: (signal: AbortSignal) => Promise<T>,
  { finishes = false }: { readonly finishes?: boolean } = {},
): Promise<T> {
  if (followed) return work(followed.controller.signal); // what is kept is said by the whole
  const controller = new AbortController();
  followed = { controller, kept, finishes };
  try {
    return await work(controller.signal);
  } catch (error) {
    controller.signal.throwIfAborted(); // whatever it has led to
    throw error;
  } finally {
    followed = undefined;
  }
}

/**
 * Asks the work under way to stop; undefined where there is none, or it has been asked already.
 * @returns what is said of it, and whether it may take its time
 */
export function interrupt(signal: StopSignal): { readonly error: HpsError; readonly finishes: boolean } | undefined {
  if (followed === undefined || followed.controller.signal.aborted) return undefined;
  const { controller, kept, finishes } = followed;
  const error = interrupted(signal, kept());
  controller.abort(error);
  return { error, finishes };
}

/** What SIGHUP means to work that goes on over it, such as reading a file again. */
let onHangup: (() => void) | undefined;

/** From now on SIGHUP calls this instead of stopping the work; undefined makes it stop again. */
export function listenToHangup(listener: (() => void) | undefined): void {
  onHangup = listener;
}

/** Whether somebody has heard it. */
export function hangUp(): boolean {
  onHangup?.();
  return onHangup !== undefined;
}

export const interrupted = (signal: StopSignal, hint?: string): HpsError =>
  new HpsError('INTERRUPTED', `stopped by ${signal}`, { hint, details: { signal } });

/** Of a failure: for INTERRUPTED that of the signal. */
export function exitCodeOf({ code, exitCode, details }: HpsError): number {
  const signal = code === 'INTERRUPTED' ? details['signal'] : undefined;
  return SIGNAL_EXIT_CODES[signal as StopSignal] ?? exitCode;
}
