import type { Score } from '../scoring/result.js';
import type { HPSv3Scorer, ItemSample, Latents, Sample } from '../scoring/scorer.js';
import type { Admission } from './admission.js';
import type { Explanations } from './explanations.js';
import { type Failure, failureOf } from './failure.js';
import type { ServerLog } from './log.js';
import type { Metrics } from './metrics.js';
import type { Generation, ModelSet, ServedModel } from './model.js';
import type { RateLimit } from './rate-limit.js';
import type { Client } from './tokens.js';

/** Whoever waits for an answer. */
export interface Asker {
  /** Of the request. */
  readonly id: string;
  /** Aborted with a `RequestError` where the client has gone or its time is over. */
  readonly signal: AbortSignal;
  readonly client: Client;
  /** Answered rows of the request of which the end of a text was left out, so far. */
  truncated: number;
}

/** One row of a request: what is to be scored by which model, or why it cannot be. */
export type Asked = { readonly model: ServedModel; readonly sample: Sample } | { readonly error: unknown };

/** What came of a row. */
export type Scored =
  | { readonly score: Score; readonly model: ServedModel; readonly failure?: undefined }
  | { readonly failure: Failure; readonly score?: undefined };

/** A row that was answered. */
export interface AnsweredRow {
  readonly model: Generation;
  readonly sample: Sample;
  readonly score: Score;
  /** Of the request. */
  readonly id: string;
}

/** Is told of each row that was answered, and must not throw. */
export type RowFollower = (row: AnsweredRow) => void;

export interface ServingParts {
  readonly models: ModelSet;
  readonly admission: Admission;
  readonly rateLimit: RateLimit;
  readonly metrics: Metrics;
  readonly log: ServerLog;
  readonly explanations: Explanations;
  readonly describe: () => object;
  readonly modelFolder: string | null;
  readonly followers: readonly RowFollower[];
}

/** How long an answer to the question whether the models still score as they did is good for. */
const RECHECK_MS = 30_000;

/** What routes work with: the models, and the room for rows. */
export class Serving {
  /** Set when the server is to end: it is no longer ready, and goes on answering for a while. */
  draining = false;
  private checkedAt = performance.now();
  private checking: Promise<void> | undefined;
  private failedCheck: string | null = null;

  readonly models: ModelSet;
  readonly admission: Admission;
  readonly metrics: Metrics;
  readonly log: ServerLog;
  readonly explanations: Explanations;
  /** Folder of which files may be loaded; null where none may but those served already. */
  readonly modelFolder: string | null;

  constructor(private readonly parts: ServingParts) {
    ({
      models: this.models,
      admission: this.admission,
      metrics: this.metrics,
      log: this.log,
      explanations: this.explanations,
      modelFolder: this.modelFolder,
    } = parts);
  }

  /** OpenAPI of this server. */
  describe(): object {
    return this.parts.describe();
  }

  /**
   * Scores the rows of a request, all of which are taken on or none.
   * @throws RequestError OVERLOADED, TOO_MANY_ROWS
   */
  scoreAll(rows: readonly Asked[], asker: Asker): Promise<Scored>[] {
    this.enter(rows.length, asker);
    return rows.map((row) => this.scoreTaken(row, asker));
  }

  /** The scores of all rows of a request, which fails as its first failing row does. */
  async scoreEvery(model: Generation, samples: readonly Sample[], asker: Asker): Promise<Score[]> {
    const scores = await Promise.allSettled(this.each(samples, asker, (sample) => this.score(model, sample, asker)));
    return scores.map((settled) => {
      if (settled.status === 'rejected') throw settled.reason;
      return settled.value;
    });
  }

  /** As `scoreEvery`, the pooled latents. */
  embedEvery(model: Generation, samples: readonly ItemSample[], asker: Asker): Promise<Latents[]> {
    const embed = async (sample: ItemSample): Promise<Latents> => {
      const latents = await model.embed(sample, asker.signal);
      this.noteTruncated(latents, model, asker);
      return latents;
    };
    return Promise.all(this.each(samples, asker, embed));
  }

  /**
   * Does something for each row of a request, all of which are taken on or none.
   * @throws RequestError OVERLOADED, TOO_MANY_ROWS
   */
  each<T, R>(rows: readonly T[], asker: Asker, work: (row: T) => Promise<R>): Promise<R>[] {
    this.enter(rows.length, asker);
    return rows.map(async (row) => {
      try {
        asker.signal.throwIfAborted();
        return await work(row);
      } finally {
        this.admission.leave();
      }
    });
  }

  /** Takes on one row of a stream, when there is room for it. */
  async enterWhenFree({ signal, client }: Asker): Promise<void> {
    await this.parts.rateLimit.takeWhenFree(client, signal);
    await this.admission.enterWhenFree(signal);
  }

  private enter(rows: number, { client }: Asker): void {
    this.admission.enter(rows);
    try {
      this.parts.rateLimit.take(client, rows);
    } catch (error) {
      for (let i = 0; i < rows; i++) this.admission.leave();
      throw error;
    }
  }

  /** The score of a row that was taken on; it never rejects. */
  async scoreTaken(row: Asked, asker: Asker): Promise<Scored> {
    try {
      if ('error' in row) throw row.error;
      const { model, sample } = row;
      return { model, score: await this.score(model.generation, sample, asker) };
    } catch (error) {
      const failure = failureOf(error);
      if (failure.status === 500) this.log.error({ request_id: asker.id, err: error }, 'a row failed by a bug');
      return { failure };
    } finally {
      this.admission.leave();
    }
  }

  /** The score of a row that was taken on, counted. */
  private async score(model: Generation, sample: Sample, asker: Asker): Promise<Score> {
    const { modality } = model.scorer;
    const { signal, id } = asker;
    try {
      const score = await model.score(sample, signal);
      this.metrics.row(modality, sample.task, 'ok');
      this.noteTruncated(score, model, asker);
      for (const follow of this.parts.followers) follow({ model, sample, score, id });
      return score;
    } catch (error) {
      this.metrics.row(modality, sample.task, 'error');
      throw error;
    }
  }

  /** Says of a row that was answered whether the end of a text was left out: of some protocols a header alone can. */
  noteTruncated({ truncated = false }: { readonly truncated?: boolean }, { scorer }: Generation, asker: Asker): void {
    if (!truncated) return;
    asker.truncated++;
    this.metrics.truncatedRows.inc({ modality: scorer.modality });
  }

  /** Null where requests should be sent here; else one sentence. The models are asked again now and then, beside what they do. */
  async whyNotReady(): Promise<string | null> {
    if (this.draining) return 'the server is about to end';
    const broken = this.models.all.find(({ generation }) => generation.isBroken);
    if (broken) return `model ${broken.name} is being loaded again`;
    if (performance.now() - this.checkedAt > RECHECK_MS) {
      this.checking ??= this.recheck();
      await this.checking;
    }
    return this.failedCheck;
  }

  private async recheck(): Promise<void> {
    try {
      for (const { generation } of this.models.all) await generation.recheck();
      this.failedCheck = null;
    } catch (error) {
      this.failedCheck = failureOf(error).message;
      this.log.error({ err: error }, 'a model does not score as it did when it was loaded');
    }
    this.checkedAt = performance.now();
    this.checking = undefined;
  }

  get scorers(): readonly HPSv3Scorer[] {
    return this.models.all.map(({ scorer }) => scorer);
  }
}
