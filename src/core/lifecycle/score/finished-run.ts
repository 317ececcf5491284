import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { FileSource } from '../../bytes/source.js';
import type { DataFormat } from '../../data/formats.js';
import { fileInput } from '../../data/input.js';
import { readScoreRows } from '../../data/read-rows.js';
import { recogniseRows } from '../../data/recognise.js';
import { errorsOf } from '../../data/row-files.js';
import type { ScoreRow } from '../../data/rows.js';
import type { Shard } from '../../data/shard.js';
import { HpsError } from '../../errors.js';
import type { HPSv3Scorer } from '../../scoring/scorer.js';
import { Journal, journalPath } from './journal.js';
import { differences, MANIFEST_SUFFIX, readManifestBeside, type ScoresManifest, settingsOf } from './manifest.js';

interface RunOptions {
  readonly out: string;
  readonly errors?: string;
  readonly force: boolean;
  readonly resume: boolean;
  readonly retryErrors: boolean;
  readonly batchSize: number;
  readonly contract?: { readonly value: unknown };
  readonly shard?: Shard;
}

/** A run whose scores are all in place, as its manifest says. */
export class FinishedRun {
  private constructor(
    private readonly options: RunOptions,
    readonly manifest: ScoresManifest,
  ) {}

  /**
   * The run that wrote `out`, where this one goes on with it; null where there is none, or it is not asked for.
   * @throws HpsError as `readManifestBeside`; USAGE where failed rows are to be tried again of no finished run
   */
  static async find(options: RunOptions): Promise<FinishedRun | null> {
    const { out, resume, retryErrors, force } = options;
    if (!(resume || retryErrors) || force) return null;
    const isUnfinished = Journal.exists(journalPath(out));
    const manifest = isUnfinished || !existsSync(out) ? null : await readManifestBeside(out);
    if (manifest) return new FinishedRun(options, manifest);
    if (!retryErrors) return null;
    throw new HpsError(
      'USAGE',
      `${basename(out)}: ${isUnfinished ? 'its run is unfinished' : 'no run has written it'}`,
      {
        hint: isUnfinished
          ? 'Set `resume` to finish it first.'
          : 'Give `out` the file of a run some rows of which failed.',
        details: { file: basename(out) },
      },
    );
  }

  /** @throws HpsError USAGE where this run would score otherwise */
  assertSame(scorers: readonly HPSv3Scorer[]): void {
    const { settings, shard } = this.manifest;
    const now = { settings: settingsOf(scorers, this.options), shard: this.options.shard ?? null };
    const changed = differences({ settings, shard }, now).filter(({ key }) => key !== 'settings.tool');
    if (changed.length === 0) return;
    const keys = changed.map(({ key }) => key.replace(/^settings\./, ''));
    throw new HpsError('USAGE', `${basename(this.options.out)}: was scored with another ${keys.join(', ')}`, {
      hint: 'Give the same model, input and options, or `force` to score everything again.',
      details: { changed: keys },
    });
  }

  /** Where its failed rows are, if it has any. */
  get errorsPath(): string {
    return this.options.errors ?? errorsOf(this.options.out)!;
  }

  /** What its report says of its files. */
  get files() {
    const { out } = this.options;
    const errors = this.errorsPath;
    return {
      out: basename(out),
      sha256: this.manifest.sha256,
      errors: this.manifest.failed > 0 && existsSync(errors) ? basename(errors) : null,
      manifest: `${basename(out)}${MANIFEST_SUFFIX}`,
    };
  }

  /** Its scores in their order. @throws HpsError DATA_INVALID for rows without their number, as version 0.1.0 wrote them */
  async *scores(): AsyncGenerator<ScoreRow & { readonly row: number }> {
    const { out } = this.options;
    const source = FileSource.open(out);
    try {
      const format: DataFormat = this.manifest.format;
      for await (const batch of readScoreRows(await recogniseRows(fileInput(source), format), new Map())) {
        for (const { row: score, line } of batch) {
          if (score?.row === undefined) throw unnumbered(out, line);
          yield { ...score, row: score.row };
        }
      }
    } finally {
      source.close();
    }
  }
}

const unnumbered = (out: string, line: number): HpsError =>
  new HpsError('DATA_INVALID', `${basename(out)}: line ${line} does not say which row it is the score of`, {
    hint: 'Score everything again with `force`.',
    details: { file: basename(out), line },
  });
