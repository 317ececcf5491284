import { type ChildProcess, fork } from 'node:child_process';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type FailureData, fromFailureData, HpsError } from '../errors.js';
import type { RemoteOptions } from '../media/remote/store.js';
import type { ContractFile } from '../samples/contract.js';
import type { Sample } from '../scoring/scorer.js';
import type { WindowOptions } from '../scoring/windows/options.js';
import type { ExplainedWindows, MapFacts } from './document.js';
import type { Explanation } from './explainer.js';
import type { MethodId, MethodSettings } from './methods/method.js';

/** What is explained by whom, and with what. */
export interface ExplainRequest {
  readonly model: {
    readonly path: string;
    readonly contract?: ContractFile;
    readonly mediaRoot?: string | null;
    readonly remote?: Omit<RemoteOptions, 'isAddressAllowed'>;
    readonly threads?: number;
    /** Scores long items in windows, and explains the worst one; of a model that reads something of their unit. */
    readonly windows?: WindowOptions;
  };
  readonly sample: Sample;
  readonly method: MethodId;
  readonly settings: MethodSettings;
  /** Whether the numbers of every map are handed out too, where there are at most so many. */
  readonly mostValues: number;
}

/** An explanation in plain data. */
export interface ExplainedDecision
  extends Pick<Explanation, 'kind' | 'method' | 'logit' | 'baselineLogit' | 'completeness' | 'truncated' | 'warnings'> {
  /** Of the model file that was read. */
  readonly sha256: string;
  readonly windows?: ExplainedWindows;
  readonly maps: readonly (Omit<MapFacts, 'files'> & { readonly values: Float32Array | null })[];
}

export type ExplainReply = { readonly explained: ExplainedDecision } | { readonly failed: FailureData };

/** The compiled entry: beside this file in `dist`, or in `dist` for tests that run the TypeScript of `src`. */
const ENTRY = fileURLToPath(
  new URL(
    import.meta.url.endsWith('.ts') ? '../../../dist/core/explanation/process-main.js' : './process-main.js',
    import.meta.url,
  ),
);

/** How long a process that has nothing to do keeps its model: explanations come several at a time. */
const IDLE_MS = 60_000;

/**
 * Explains in a process of its own, one decision at a time: gradients are computed where they are asked for, and would hold the event
 * loop of a server for seconds. The process is started by the first request, and ends when nothing more comes.
 */
export class ExplainProcess {
  private child: ChildProcess | undefined;
  private idle: NodeJS.Timeout | undefined;

  /**
   * @param signal - ends the process, and with it what is under way
   * @throws HpsError as `Explainer.open` and `Explainer.explain`; MODEL_CRASHED where the process ends; the reason of the signal
   */
  async explain(request: ExplainRequest, signal: AbortSignal): Promise<ExplainedDecision> {
    signal.throwIfAborted();
    clearTimeout(this.idle);
    const child = this.child ?? this.start();
    child.ref(); // keeps the program alive while something is asked of it
    child.channel?.ref();
    try {
      const reply = await answerOf(child, request, signal);
      if ('explained' in reply) return reply.explained;
      throw fromFailureData(reply.failed);
    } catch (error) {
      if (signal.aborted) this.close();
      throw error;
    } finally {
      child.unref();
      child.channel?.unref();
      this.idle = setTimeout(() => this.close(), IDLE_MS).unref();
    }
  }

  close(): void {
    clearTimeout(this.idle);
    this.child?.kill('SIGKILL');
    this.child = undefined;
  }

  private start(): ChildProcess {
    const { NODE_OPTIONS: _, ...env } = process.env;
    const child = fork(ENTRY, [String(process.pid)], {
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      execArgv: [],
      cwd: dirname(ENTRY),
      env: { ...env, ORT_DISABLE_TELEMETRY: '1' },
    });
    child.once('exit', () => {
      if (this.child === child) this.child = undefined;
    });
    this.child = child;
    return child;
  }
}

function answerOf(child: ChildProcess, request: ExplainRequest, signal: AbortSignal): Promise<ExplainReply> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      child.off('message', onMessage).off('exit', onExit).off('error', onExit);
      signal.removeEventListener('abort', onAbort);
    };
    const onMessage = (reply: unknown): void => {
      done();
      resolve(reply as ExplainReply);
    };
    const onExit = (): void => {
      done();
      reject(
        new HpsError('MODEL_CRASHED', 'the process that explains has ended', {
          hint: 'Ask again; where it happens again, explain with fewer nodes, or with `hpsv3 explain`.',
        }),
      );
    };
    const onAbort = (): void => {
      done();
      reject(signal.reason);
    };
    child.once('message', onMessage).once('exit', onExit).once('error', onExit);
    signal.addEventListener('abort', onAbort, { once: true });
    child.send(request, (error) => error && onExit());
  });
}
