import { StagedOutput } from '../../bytes/output.js';
import type { DataFormat } from '../../data/formats.js';
import { refuseEmpty } from '../../data/row-counts.js';
import type { StandardStreams } from '../../data/row-files.js';
import { DEFAULT_BATCH_SIZE, type Filled, filled } from '../../defaults.js';
import { HpsError } from '../../errors.js';
import { type Run, reporter } from '../../run.js';
import { flattened } from '../../scoring/in-order.js';
import type { RuntimeInfo } from '../../scoring/model.js';
import { HPSv3Scorer, type ItemSample, type Latents, type ScorerOptions } from '../../scoring/scorer.js';
import { createEmbeddingWriter, type EmbeddingFormat, embeddingFormatOf } from './embedding-files.js';
import { givenRows, withGivenRows } from './given-rows.js';
import type { InputRow } from './input-rows.js';
import { type ErrorRecord, formatErrorRecord } from './score-rows.js';

export interface EmbedOptions extends Run, ScorerOptions {
  readonly model: string;
  /** Path, or `-`; or files, folders and patterns of files that are items themselves. */
  readonly input: string | readonly string[];
  readonly from?: DataFormat;
  /** F.npy (with its ids in F.npy.ids.jsonl), F.parquet or F.safetensors. */
  readonly out: string;
  /** File for rows without an embedding; by default `OUT.errors.jsonl`. */
  readonly errors?: string;
  /** Rows of every batch; a batch that is not full is filled up. */
  readonly batchSize?: number;
  /** Replace `out`. */
  readonly force?: boolean;
  /** What a path of `-` stands for. */
  readonly streams?: StandardStreams;
}

export const EMBED_DEFAULTS = { batchSize: DEFAULT_BATCH_SIZE, force: false } as const satisfies Partial<EmbedOptions>;

type Settled = Filled<EmbedOptions, typeof EMBED_DEFAULTS>;

export interface EmbedReport {
  /** Base name; null where no item has an embedding. */
  readonly out: string | null;
  readonly sha256: string | null;
  readonly format: EmbeddingFormat;
  /** Items embedded: a pair has two, `ID#left` and `ID#right`. */
  readonly rows: number;
  /** Length of an embedding; 0 where there is none. */
  readonly dimensions: number;
  readonly failed: number;
  /** Of the items embedded, those of which the end of a text was left out: it is longer than the model reads. */
  readonly truncated: number;
  readonly errors: string | null;
  readonly model: string;
  readonly runtime: RuntimeInfo;
}

/**
 * Writes the pooled latents of every item of a file, in its order, in bounded memory.
 * @throws HpsError as `HPSv3Scorer.load`; ONNX_UNSUPPORTED for a model without embeddings; the OUTPUT_… codes
 */
export async function embedFile(given: EmbedOptions): Promise<EmbedReport> {
  const options = filled(given, EMBED_DEFAULTS);
  const { out, errors = `${out}.errors.jsonl`, force, input } = options;
  const format = embeddingFormatOf(out);
  const rows = givenRows(input, options.mediaRoot);
  const inputs = [options.model, ...rows.files];
  const output = await StagedOutput.open(out, { force, inputs });
  try {
    const failures = await StagedOutput.open(errors, { force, inputs });
    try {
      const scorer = await HPSv3Scorer.load(options.model, { ...options, mediaRoot: rows.mediaRoot });
      try {
        return await withGivenRows(rows, { ...options, modalities: [scorer.modality] }, { rows: 0, bytes: 0 }, (each) =>
          embedRows(each, rows.name, { options, scorer, format, output, failures }),
        );
      } finally {
        await scorer.close();
      }
    } finally {
      await failures.discard();
    }
  } finally {
    await output.discard();
  }
}

interface EmbedRun {
  readonly options: Settled;
  readonly scorer: HPSv3Scorer;
  readonly format: EmbeddingFormat;
  readonly output: StagedOutput;
  readonly failures: StagedOutput;
}

async function embedRows(rows: AsyncIterable<readonly InputRow[]>, name: string, run: EmbedRun): Promise<EmbedReport> {
  const { options, scorer, format, output, failures } = run;
  const writer = await createEmbeddingWriter(output, format, new Map([['model', scorer.sha256]]));
  const errorSink = await failures.create();
  let embedded = 0;
  let failed = 0;
  let truncated = 0;
  let dimensions = 0;
  const report = reporter(options, 'Embedding', 'rows');
  const outcomes = HPSv3Scorer.each([scorer], itemsOf(flattened(rows)), (each) =>
    embedOne(scorer, each, options.signal),
  );
  for await (const { sample, result, error } of outcomes) {
    options.signal?.throwIfAborted();
    if (result) {
      embedded++;
      if (result.truncated) truncated++;
      dimensions = result.embedding.length;
      await writer.write(sample.id!, result.embedding);
    } else {
      failed++;
      const { id, line } = sample;
      const record = sample.error ?? { line, id, code: error.code, message: error.message };
      await errorSink.write(Buffer.from(formatErrorRecord(record)));
    }
    report(embedded + failed);
  }
  const written = await writer.finish();
  await errorSink.finish();
  refuseEmpty(name, embedded + failed);
  if (failed > 0) await failures.commit();
  if (embedded > 0) await output.commit();
  return {
    ...(embedded > 0 ? { out: written.name, sha256: written.sha256 } : { out: null, sha256: null }),
    format,
    rows: embedded,
    dimensions,
    failed,
    truncated,
    errors: failed > 0 ? failures.name : null,
    model: scorer.sha256,
    runtime: scorer.runtime,
  };
}

/** An item in its place, or a row that is refused. */
interface EmbedItem {
  readonly line: number;
  readonly id: string | null;
  readonly sample?: ItemSample;
  readonly error?: ErrorRecord;
}

async function* itemsOf(rows: AsyncIterable<InputRow>): AsyncGenerator<EmbedItem> {
  for await (const { line, row, error } of rows) {
    if (!row) yield { line, id: error?.id ?? null, error };
    else if (row.kind === 'absolute') yield { line, id: row.id, sample: { item: row.item, context: row.context } };
    else {
      yield { line, id: `${row.id}#left`, sample: { item: row.left, context: row.context } };
      yield { line, id: `${row.id}#right`, sample: { item: row.right, context: row.context } };
    }
  }
}

function embedOne(scorer: HPSv3Scorer, { sample, error }: EmbedItem, signal?: AbortSignal): Promise<Latents> {
  // Said again by the caller, which knows the row's own error: this one only keeps its place.
  if (!sample) return Promise.reject(new HpsError('DATA_INVALID', error?.message ?? 'refused'));
  return scorer.latentsOf({ ...sample, signal });
}
