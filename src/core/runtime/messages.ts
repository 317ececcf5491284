import type { FailureData } from '../errors.js';
import type { Device, DeviceChoice } from './device.js';
import type { SentValues } from './exchange.js';
import type { SessionOptions, ValueInfo } from './session.js';
import type { Tallies, TallyKinds } from './tally.js';
import type { TensorValue } from './value.js';

/**
 * What the parent asks of the model process. Requests for a session in a thread of its own are answered in their order, all the
 * others one at a time.
 */
export type ModelRequest =
  /** Loads the runtime itself. */
  | { readonly kind: 'prepare' }
  | { readonly kind: 'load'; readonly session: number; readonly path: string; readonly options: SessionOptions }
  /** As `load`, with the session in a thread of its own, which from then on listens to a wire alone where one is given. */
  | {
      readonly kind: 'open';
      readonly session: number;
      readonly path: string;
      readonly options: ThreadOptions;
      readonly wire?: number;
    }
  | {
      readonly kind: 'run';
      readonly session: number;
      readonly feeds: SentValues;
      readonly outputBytes: number;
      /** Outputs whose values are put together with those of other runs instead of passed on; then no others are. */
      readonly tally?: TallyKinds;
    }
  | {
      readonly kind: 'time';
      readonly trials: readonly { readonly session: number; readonly feeds: ReadonlyMap<string, TensorValue> }[];
      readonly rounds: number;
      readonly budgetMs: number;
    }
  /** Asks for what was put together of a session's outputs, which is then forgotten. */
  | { readonly kind: 'tallies'; readonly session: number }
  | { readonly kind: 'release'; readonly session: number };

/** What the caller asks of a session's thread; answered in order, one at a time. */
export type WorkerRequest =
  | { readonly kind: 'prepare' }
  | { readonly kind: 'load'; readonly path: string; readonly options: SessionOptions }
  | { readonly kind: 'run'; readonly feeds: ReadonlyMap<string, TensorValue> }
  /** Answers what comes over a wire, and nothing else, until a release does or the wire ends. */
  | { readonly kind: 'listen'; readonly wire: number }
  | { readonly kind: 'release' };

/** What a session's thread is asked over its wire, beside the values. */
export type WireRequest = { readonly kind: 'run'; readonly outputBytes: number } | { readonly kind: 'release' };

/** What it answers, beside the outputs of a run. */
export type WireReply =
  | { readonly kind: 'ran'; readonly runMs: number }
  | Extract<ModelReply['result'], { readonly kind: 'released' | 'failed' }>;

/** `SessionOptions` with a choice of devices. */
export interface ThreadOptions extends Omit<SessionOptions, 'device'> {
  readonly device: DeviceChoice;
}

/** A request and its answer carry the same number. */
export interface Numbered<T> {
  readonly id: number;
  readonly message: T;
}

export interface ModelReply {
  /** Highest resident memory of the process so far. */
  readonly peakRssBytes: number;
  /** Its resident memory now. */
  readonly rssBytes: number;
  readonly result:
    | { readonly kind: 'prepared'; readonly version: string; readonly prepareMs: number }
    | {
        readonly kind: 'loaded';
        readonly inputs: readonly ValueInfo[];
        readonly outputs: readonly ValueInfo[];
        readonly loadMs: number;
        /** Of a session in a thread of its own: where it runs, after the devices that are not there. */
        readonly device?: Device;
        readonly missing?: readonly Device[];
      }
    | { readonly kind: 'ran'; readonly outputs: Map<string, TensorValue>; readonly runMs: number }
    | { readonly kind: 'tallied'; readonly tallies: Tallies }
    /** Milliseconds of every run, a list for each trial. */
    | { readonly kind: 'timed'; readonly times: readonly (readonly number[])[] }
    | { readonly kind: 'released' }
    | ({ readonly kind: 'failed' } & FailureData);
}
