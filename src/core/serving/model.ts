import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { hashFile } from '../bytes/hash.js';
import { HpsError } from '../errors.js';
import type { Budget } from '../gate/budget.js';
import { type GateReference, runGate } from '../gate/gate.js';
import type { GateReport } from '../gate/report.js';
import type { Score } from '../scoring/result.js';
import { HPSv3Scorer, type ItemSample, type Latents, type Sample, type ScorerOptions } from '../scoring/scorer.js';
import { RETRY_SECONDS, RequestError } from './failure.js';
import { Lane } from './lane.js';
import { repeatSelfCheck, runSelfCheck, type SelfCheck } from './self-check.js';

/** A model to be served: a file, or a scorer of the program itself, which the program closes. */
export type ModelSource =
  | FileSource
  | { readonly name: string; readonly scorer: HPSv3Scorer; readonly file?: undefined };

export interface FileSource {
  readonly name: string;
  readonly file: string;
  readonly scorer?: undefined;
  readonly calibrator?: string;
  /** What the file must hash to, as its card says. */
  readonly sha256?: string;
}

export interface LoadOptions extends Omit<ScorerOptions, 'calibrator'> {
  /** Processes that run the model side by side, each with a copy of its weights. */
  readonly workers: number;
}

/** Who is told of what happens to models. */
export interface ModelFollowers {
  readonly onWaited: (seconds: number) => void;
  readonly onRestarted: (name: string) => void;
  readonly onRestartFailed: (name: string, error: unknown) => void;
}

/** One of the processes that run a model side by side. */
interface Replica {
  scorer: HPSv3Scorer;
  readonly lane: Lane;
  isAlive: boolean;
}

/** Waits before a model whose process died is loaded again: doubled each time, up to the last. */
const RESTART_MS = { first: 100, most: 30_000 } as const;

/** A model as it was loaded once: until it is replaced, every score comes from it. */
export class Generation {
  private readonly replicas: readonly Replica[];
  private users = 0;
  private onUnused: (() => void) | undefined;
  private retired = false;
  private readonly healing = new Set<Promise<void>>();

  private constructor(
    readonly source: ModelSource,
    scorers: readonly HPSv3Scorer[],
    private readonly check: SelfCheck,
    private readonly options: LoadOptions,
    private readonly followers: ModelFollowers,
  ) {
    this.replicas = scorers.map((scorer) => ({ scorer, lane: new Lane(scorer.window), isAlive: true }));
  }

  /** @throws HpsError as `HPSv3Scorer.load` and `runSelfCheck`; CHECKSUM_MISMATCH for another file than the card's */
  static async load(source: ModelSource, options: LoadOptions, followers: ModelFollowers): Promise<Generation> {
    const scorers: HPSv3Scorer[] = [];
    try {
      if (source.scorer) scorers.push(source.scorer);
      else for (let i = 0; i < options.workers; i++) scorers.push(await loadScorer(source, options));
      const checks = await Promise.all(scorers.map(runSelfCheck));
      return new Generation(source, scorers, checks[0], options, followers);
    } catch (error) {
      if (!source.scorer) await Promise.all(scorers.map((scorer) => scorer.close()));
      throw error;
    }
  }

  get scorer(): HPSv3Scorer {
    return this.replicas[0].scorer;
  }

  /** Whether every process of it died: it answers nothing until one is loaded again. */
  get isBroken(): boolean {
    return this.replicas.every(({ isAlive }) => !isAlive);
  }

  score(sample: Sample, signal?: AbortSignal): Promise<Score> {
    return this.use((scorer) => scorer.scoreSample({ ...sample, signal }), signal);
  }

  embed(sample: ItemSample, signal?: AbortSignal): Promise<Latents> {
    return this.use((scorer) => scorer.latentsOf({ ...sample, signal }), signal);
  }

  /** What `work` gives, by the process with the least to do. @throws RequestError NOT_READY where none is alive */
  async use<T>(work: (scorer: HPSv3Scorer) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const [replica] = this.replicas.filter(({ isAlive }) => isAlive).sort((a, b) => a.lane.load - b.lane.load);
    if (!replica) {
      throw new RequestError('NOT_READY', `model ${this.source.name} is being loaded again`, {
        'retry-after': String(RETRY_SECONDS),
      });
    }
    this.users++;
    const asked = performance.now();
    try {
      return await replica.lane.run(() => {
        this.followers.onWaited((performance.now() - asked) / 1000);
        return work(replica.scorer);
      }, signal);
    } catch (error) {
      if (isOfModel(error)) this.heal(replica);
      throw error;
    } finally {
      if (--this.users === 0) this.onUnused?.();
    }
  }

  /** @throws HpsError SELF_CHECK_FAILED where a process no longer scores as the first one did at load */
  async recheck(): Promise<void> {
    for (const { scorer, isAlive } of this.replicas) if (isAlive) await repeatSelfCheck(scorer, this.check);
  }

  /** Closes its scorers once nobody uses them any more. */
  async retire(): Promise<void> {
    this.retired = true;
    if (this.users > 0) await new Promise<void>((resolve) => (this.onUnused = resolve));
    await Promise.all(this.healing);
    if (!this.source.scorer) await Promise.all(this.replicas.map(({ scorer }) => scorer.close()));
  }

  /** Loads a process again that died, until it succeeds: with the same bytes, and the same score of the self-check pair. */
  private heal(replica: Replica): void {
    const { source } = this;
    if (!replica.isAlive || source.file === undefined) return; // a scorer of the program is its own to mend
    replica.isAlive = false;
    const expected = { ...source, sha256: replica.scorer.sha256 };
    const healed = this.restart(replica, expected).finally(() => this.healing.delete(healed));
    this.healing.add(healed);
  }

  private async restart(replica: Replica, source: FileSource): Promise<void> {
    await replica.scorer.close();
    for (let wait: number = RESTART_MS.first; !this.retired; wait = Math.min(2 * wait, RESTART_MS.most)) {
      await sleep(wait);
      let scorer: HPSv3Scorer | undefined;
      try {
        scorer = await loadScorer(source, this.options);
        await repeatSelfCheck(scorer, this.check);
        replica.scorer = scorer;
        replica.isAlive = true;
        return this.followers.onRestarted(source.name);
      } catch (error) {
        await scorer?.close();
        this.followers.onRestartFailed(source.name, error);
      }
    }
  }
}

async function loadScorer(source: FileSource, { workers: _, ...options }: LoadOptions): Promise<HPSv3Scorer> {
  const scorer = await HPSv3Scorer.load(source.file, { ...options, calibrator: source.calibrator });
  if (source.sha256 === undefined || source.sha256 === scorer.sha256) return scorer;
  await scorer.close();
  throw new HpsError('CHECKSUM_MISMATCH', `${basename(source.file)}: is not the file that its card describes`, {
    hint: 'Serve the file of the card, or write the card again.',
    details: { file: basename(source.file), expected: source.sha256, actual: scorer.sha256 },
  });
}

/** What a reload is held to. */
export interface ReloadOptions {
  /** `quick` compares the new file with the old one by their decisions; `off` by nothing but its own self-check. */
  readonly gate: 'quick' | 'off';
  readonly budget?: Budget;
}

/** A name under which a model is served, whatever file stands behind it now. */
export class ServedModel {
  private previous: Generation | null = null;
  private changing = false;

  private constructor(
    readonly name: string,
    private current: Generation,
    private readonly options: LoadOptions,
    private readonly followers: ModelFollowers,
  ) {}

  static async open(source: ModelSource, options: LoadOptions, followers: ModelFollowers): Promise<ServedModel> {
    return new ServedModel(source.name, await Generation.load(source, options, followers), options, followers);
  }

  get generation(): Generation {
    return this.current;
  }

  get scorer(): HPSv3Scorer {
    return this.current.scorer;
  }

  /**
   * Serves another file under the same name, once it has been loaded beside the old one, has scored its self-check pair and has
   * passed the gate. Requests under way end with the model they began with; the old one is kept for `rollback`.
   * @param file - without it, what lies at the same path now
   * @throws HpsError as `Generation.load`; GATE_FAILED; OUTPUT_BUSY where another reload is under way
   */
  reload(file: string | undefined, { gate, budget }: ReloadOptions): Promise<GateReport | null> {
    return this.change(async () => {
      const { source } = this.current;
      if (source.file === undefined) {
        throw new HpsError('USAGE', `model ${this.name} is a scorer of the program itself, and is not loaded again`);
      }
      // The hash of a card is that of the file it describes, and of no other.
      const next = { ...source, file: file ?? source.file, sha256: undefined };
      const fresh = await Generation.load(next, this.options, this.followers);
      try {
        const report = gate === 'off' ? null : await judge(next.file, source.file, this.current.scorer.sha256, budget);
        this.swap(fresh);
        return report;
      } catch (error) {
        await fresh.retire();
        throw error;
      }
    });
  }

  /** Serves the model before the last reload again, at once. @throws HpsError USAGE where there is none */
  rollback(): Promise<void> {
    return this.change(async () => {
      if (!this.previous)
        throw new HpsError('USAGE', `model ${this.name} has not been reloaded: there is nothing to go back to`);
      [this.current, this.previous] = [this.previous, this.current];
    });
  }

  async close(): Promise<void> {
    await Promise.all([this.current.retire(), this.previous?.retire()]);
  }

  private swap(fresh: Generation): void {
    const oldest = this.previous;
    this.previous = this.current;
    this.current = fresh;
    void oldest?.retire();
  }

  private async change<T>(work: () => Promise<T>): Promise<T> {
    if (this.changing) throw new HpsError('OUTPUT_BUSY', `model ${this.name} is being changed already`);
    this.changing = true;
    try {
      return await work();
    } finally {
      this.changing = false;
    }
  }
}

/** @throws HpsError GATE_FAILED */
async function judge(
  candidate: string,
  old: string,
  oldSha256: string,
  budget: Budget | undefined,
): Promise<GateReport> {
  // The old file may be gone, or replaced by the new one: then the new one is held to its invariances alone.
  const isThere = await hashFile(old).then(
    ({ sha256 }) => sha256 === oldSha256,
    () => false,
  );
  const reference: GateReference = isThere ? { kind: 'model', path: old } : { kind: 'none' };
  const report = await runGate({
    candidate,
    reference,
    level: 'quick',
    budget,
    budgetKind: isThere ? 'quantize' : 'none',
    locate: false,
    threads: 1,
  });
  if (report.passed) return report;
  const failed = report.checks.filter(({ passed }) => !passed).map(({ name }) => name);
  throw new HpsError(
    'GATE_FAILED',
    `${basename(candidate)} decides otherwise than the model served now: ${failed.join(', ')}`,
    {
      hint: 'Where that is meant, give the reload a wider "budget", or "gate":"off".',
      details: { flips: report.flips, pairs: report.pairs, kendall: report.kendall, failed },
    },
  );
}

/** Every model of a server, by name. */
export class ModelSet {
  constructor(readonly all: readonly ServedModel[]) {}

  /** The model of a name; where none is given, the only one. @throws RequestError MODEL_UNKNOWN */
  find(name: string | null | undefined): ServedModel {
    const found = name == null || name === '' ? this.all[0] : this.all.find((model) => model.name === name);
    if (found) return found;
    const known = this.all.map((model) => model.name).join(', ');
    throw new RequestError('MODEL_UNKNOWN', `there is no model ${JSON.stringify(name)} here, but ${known}`);
  }
}

/** A failure of the model's process, and so of nothing the client did. */
const isOfModel = (error: unknown): boolean =>
  error instanceof HpsError && ['MODEL_CRASHED', 'MODEL_TIMEOUT', 'MODEL_OUT_OF_MEMORY'].includes(error.code);
