import type { ErrorCode } from '../errors.js';
import type { SessionOptions, ValueInfo } from './session.js';
import type { TensorValue } from './value.js';

/** What the parent asks of the model process; answered in order, one at a time. */
export type ModelRequest =
  | { readonly kind: 'load'; readonly session: number; readonly path: string; readonly options: SessionOptions }
  | {
      readonly kind: 'run';
      readonly session: number;
      readonly feeds: ReadonlyMap<string, TensorValue>;
      readonly outputBytes: number;
    }
  | { readonly kind: 'release'; readonly session: number };

export interface ModelReply {
  /** Highest resident memory of the process so far. */
  readonly peakRssBytes: number;
  readonly result:
    | {
        readonly kind: 'loaded';
        readonly inputs: readonly ValueInfo[];
        readonly outputs: readonly ValueInfo[];
        readonly loadMs: number;
      }
    | { readonly kind: 'ran'; readonly outputs: Map<string, TensorValue>; readonly runMs: number }
    | { readonly kind: 'released' }
    | {
        readonly kind: 'failed';
        readonly code: ErrorCode;
        readonly message: string;
        readonly hint: string | undefined;
        readonly details: Readonly<Record<string, unknown>>;
      };
}
