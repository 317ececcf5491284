import { basename } from 'node:path';
import { HpsError } from '../errors.js';
import type { Score } from '../scoring/result.js';
import { HPSv3Scorer, type ItemSample, type Sample, type ScorerOptions } from '../scoring/scorer.js';
import { RETRY_SECONDS, RequestError } from './failure.js';
import { Lane } from './lane.js';
import { repeatSelfCheck, runSelfCheck, type SelfCheck } from './self-check.js';

/** A model to be served: a file, or a scorer of the program itself, which the program closes. */
export type ModelSource = { readonly name: string } & (
  | { readonly file: string; readonly scorer?: undefined; readonly calibrator?: string }
  | { readonly scorer: HPSv3Scorer; readonly file?: undefined }
);

export interface LoadOptions extends Omit<ScorerOptions, 'calibrator'> {
  /** Processes that run the model side by side, each with a copy of its weights. */
  readonly workers: number;
}

/** A model as it was loaded once: until it is replaced, every score comes from it. */
export class Generation {
  private readonly lanes: Lane[];
  private users = 0;
  private onUnused: (() => void) | undefined;

  private constructor(
    readonly source: ModelSource,
    readonly scorers: readonly HPSv3Scorer[],
    private readonly check: SelfCheck,
  ) {
    this.lanes = scorers.map(({ window }) => new Lane(window));
  }

  /** @throws HpsError as `HPSv3Scorer.load` and `runSelfCheck` */
  static async load(source: ModelSource, options: LoadOptions): Promise<Generation> {
    const scorers: HPSv3Scorer[] = [];
    try {
      if (source.scorer) scorers.push(source.scorer);
      else {
        const { workers, ...rest } = options;
        for (let i = 0; i < workers; i++)
          scorers.push(await HPSv3Scorer.load(source.file, { ...rest, calibrator: source.calibrator }));
      }
      const checks = await Promise.all(scorers.map(runSelfCheck));
      return new Generation(source, scorers, checks[0]);
    } catch (error) {
      if (!source.scorer) await Promise.all(scorers.map((scorer) => scorer.close()));
      throw error;
    }
  }

  get scorer(): HPSv3Scorer {
    return this.scorers[0];
  }

  /** Base name of its file; null for a scorer of the program. */
  get file(): string | null {
    return this.source.file === undefined ? null : basename(this.source.file);
  }

  score(sample: Sample, signal?: AbortSignal): Promise<Score> {
    return this.use((scorer) => scorer.scoreSample(sample), signal);
  }

  embed(sample: ItemSample, signal?: AbortSignal): Promise<Float32Array> {
    return this.use((scorer) => scorer.embedSample(sample), signal);
  }

  /** @throws HpsError SELF_CHECK_FAILED */
  async recheck(): Promise<void> {
    for (const scorer of this.scorers) await repeatSelfCheck(scorer, this.check);
  }

  /** Closes its scorers once nobody uses them any more. */
  async retire(): Promise<void> {
    if (this.users > 0) await new Promise<void>((resolve) => (this.onUnused = resolve));
    if (!this.source.scorer) await Promise.all(this.scorers.map((scorer) => scorer.close()));
  }

  /** What `work` gives, by the scorer with the least to do. */
  async use<T>(work: (scorer: HPSv3Scorer) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const i = this.lanes.reduce((least, { load }, at) => (load < this.lanes[least].load ? at : least), 0);
    this.users++;
    try {
      return await this.lanes[i].run(() => work(this.scorers[i]), signal);
    } finally {
      if (--this.users === 0) this.onUnused?.();
    }
  }
}

/** A name under which a model is served, whatever file stands behind it now. */
export class ServedModel {
  private constructor(
    readonly name: string,
    private current: Generation,
  ) {}

  static async open(source: ModelSource, options: LoadOptions): Promise<ServedModel> {
    return new ServedModel(source.name, await Generation.load(source, options));
  }

  get generation(): Generation {
    return this.current;
  }

  get scorer(): HPSv3Scorer {
    return this.current.scorer;
  }

  close(): Promise<void> {
    return this.current.retire();
  }
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

/** A failure of the model itself, and so of nothing the client did. */
export const isOfModel = (error: unknown): boolean =>
  error instanceof HpsError &&
  ['MODEL_CRASHED', 'MODEL_TIMEOUT', 'MODEL_OUT_OF_MEMORY', 'INTERRUPTED'].includes(error.code);

export const notReady = (why: string): RequestError =>
  new RequestError('NOT_READY', why, { 'retry-after': String(RETRY_SECONDS) });
