import type { MethodId } from '../explanation/methods/method.js';
import { DEFAULT_SETTINGS } from '../explanation/methods/method.js';
import type { ExplainedDecision, ExplainRequest } from '../explanation/process.js';
import { ExplainProcess } from '../explanation/process.js';
import { type RemoteOptions, RemoteStore } from '../media/remote/store.js';
import type { Sample } from '../scoring/scorer.js';
import { RETRY_SECONDS, RequestError } from './failure.js';
import { Lane } from './lane.js';
import type { Generation, LoadOptions } from './model.js';

/** Requests under way and waiting; they take seconds each, one at a time. */
const MOST_WAITING = 8;
/** Integrated gradients go on to so many nodes where they are not complete before. */
export const MOST_NODES = 256;
/** Numbers of a map in an answer. */
export const MOST_VALUES = 2 ** 20;

/** What a client asks of an explanation. */
export interface Asked {
  readonly method: MethodId;
  readonly nodes: number;
  readonly withValues: boolean;
}

/** Explanations of the models of a server: one at a time, in a process of their own, beside what is scored. */
export class Explanations {
  private readonly lane = new Lane(1);
  private readonly process = new ExplainProcess();

  constructor(
    private readonly options: Pick<LoadOptions, 'contract' | 'mediaRoot' | 'remote' | 'threads' | 'windows'>,
  ) {}

  /**
   * @throws RequestError OVERLOADED, NOT_READY where the file of the model is another one than it was when it was loaded,
   *   REQUEST_INVALID for a model without a file; HpsError as `Explainer`; the reason of the signal
   */
  async explain(
    { source, scorer }: Generation,
    sample: Sample,
    { method, nodes, withValues }: Asked,
    signal: AbortSignal,
  ): Promise<ExplainedDecision> {
    if (source.file === undefined)
      throw new RequestError(
        'REQUEST_INVALID',
        `model ${source.name} is a scorer of the program itself, without a file`,
      );
    if (this.lane.load >= MOST_WAITING) {
      throw new RequestError('OVERLOADED', `${this.lane.load} explanations are under way or wait already`, {
        'retry-after': String(RETRY_SECONDS),
      });
    }
    const { contract, mediaRoot, remote, threads } = this.options;
    const windows = scorer.windowRule ? this.options.windows : undefined; // of a model that it does not cut for none
    const request: ExplainRequest = {
      model: { path: source.file, contract, mediaRoot, remote: addressesOf(remote), threads, windows },
      sample,
      method,
      settings: { ...DEFAULT_SETTINGS, nodes, mostNodes: MOST_NODES },
      mostValues: withValues ? MOST_VALUES : 0,
    };
    const explained = await this.lane.run(() => this.process.explain(request, signal), signal);
    if (explained.sha256 === scorer.sha256) return explained;
    throw new RequestError(
      'NOT_READY',
      `the file of model ${source.name} is not the one that is served: load it again`,
    );
  }

  close(): void {
    this.process.close();
  }
}

/** What another process can open too: a store of the program's own stays with it, and addresses are then refused. */
function addressesOf(remote: LoadOptions['remote']): ExplainRequest['model']['remote'] {
  if (!remote || remote instanceof RemoteStore) return undefined;
  const { isAddressAllowed: _, ...plain }: RemoteOptions = remote;
  return plain;
}
