import { basename } from 'node:path';
import { withAtomicOutput } from '../../bytes/output.js';
import type { DataFormat } from '../../data/formats.js';
import { outputFormat } from '../../data/recognise.js';
import { STANDARD_STREAM } from '../../data/row-files.js';
import type { ScoreRow } from '../../data/rows.js';
import type { Shard } from '../../data/shard.js';
import { createScoreWriter } from '../../data/write-scores.js';
import { HpsError } from '../../errors.js';
import { type ContractInput, type Manifest, manifestOf } from '../../onnx/manifest.js';
import { openOnnx } from '../../onnx/read.js';
import type { Run } from '../../run.js';
import { parseDevice } from '../../runtime/device.js';
import { floatsOf } from '../../runtime/value.js';
import { openScoringModel, type ScoringModel } from '../../scoring/model.js';
import type { ItemScore } from '../../scoring/result.js';
import type { ScorerOptions } from '../../scoring/scorer.js';
import { isEmbeddingFile, readEmbeddings } from './embedding-input.js';

type HeadOptions = Pick<ScorerOptions, 'device' | 'threads' | 'optimization' | 'onWarning'>;

/** What a batch of embeddings is run by, as `BatchOptions` has it. */
interface EmbeddingBatchOptions extends Run, HeadOptions {
  readonly models: readonly string[];
  readonly input: string;
  readonly out: string;
  readonly to?: DataFormat;
  readonly batchSize: number;
  readonly force: boolean;
  readonly resume: boolean;
  readonly shard?: Shard;
}

/** A score head that reads embeddings of single items. */
interface Head {
  readonly manifest: Manifest;
  readonly input: ContractInput;
  readonly width: number;
}

/** The head of a batch whose input is a file of embeddings; null for a batch of media. */
export function embeddingHeadOf({ models, input }: Pick<EmbeddingBatchOptions, 'models' | 'input'>): Head | null {
  if (models.length !== 1 || input === STANDARD_STREAM || !isEmbeddingFile(input)) return null;
  const { model, close } = openOnnx(models[0]);
  try {
    const manifest = manifestOf(model, basename(models[0]));
    const [given] = manifest?.inputs ?? [];
    const width = given?.shape[1];
    const isHead = manifest?.mode === 'item' && manifest.inputs.length === 1 && given.preprocess.kind === 'embedding';
    return isHead && typeof width === 'number' ? { manifest, input: given, width } : null;
  } finally {
    close();
  }
}

/**
 * Scores a file of embeddings with a head of mode item; the output appears when all is done.
 * @throws HpsError as `readEmbeddings` and `openScoringModel`; USAGE for what only rows of media have
 */
export async function runEmbeddingBatch(options: EmbeddingBatchOptions, head: Head) {
  const started = performance.now();
  const { models, input, out, batchSize, force, signal } = options;
  if (out === STANDARD_STREAM || options.resume || options.shard) {
    throw new HpsError('USAGE', 'scores of embeddings go to a file, as a whole', {
      hint: 'Give an output file, without resuming and without a shard.',
    });
  }
  const format = outputFormat(out, options.to);
  const model = await openHead(models[0], head, options);
  try {
    let rows = 0;
    const written = await withAtomicOutput(out, { force, inputs: [models[0], input] }, async (output) => {
      const sink = await output.create();
      const writer = createScoreWriter(sink, format);
      for await (const scores of scoredBatches(model, head, readEmbeddings(input, head.width), batchSize)) {
        signal?.throwIfAborted();
        for (const { id, logit } of scores) {
          rows++;
          await writer.write({ id, logit, score: logit, calibrated: false, row: rows, model: model.sha256 });
        }
        options.onProgress?.({ stage: 'Scoring', done: rows, total: null, unit: 'rows' });
      }
      await writer.finish();
      return sink.finish();
    });
    const seconds = (performance.now() - started) / 1000;
    return {
      out: written.name,
      sha256: written.sha256,
      format,
      rows,
      failed: 0,
      failedByCode: {},
      errors: null,
      manifest: null,
      resumed: 0,
      contextIgnored: 0,
      shard: null,
      models: [{ file: model.file, sha256: model.sha256, modality: 'embedding' }],
      runtime: model.runtime,
      sessions: model.encoder!.sessions,
      seconds,
      rowsPerSecond: rows / seconds,
      warnings: [],
    };
  } finally {
    await model.close();
  }
}

const openHead = (
  path: string,
  { manifest }: Head,
  { device = 'cpu', threads, optimization, onWarning }: HeadOptions,
): Promise<ScoringModel> =>
  openScoringModel(path, {
    contract: {
      modality: 'text', // no media are read
      mode: 'item',
      decision: manifest.decision,
      inputs: manifest.inputs,
      session: manifest.session,
      calibrator: null,
      score: null,
    },
    device: parseDevice(device),
    ...{ threads, optimization, onWarning },
  });

/**
 * Scores the one embedding in a file.
 * @throws HpsError as `runEmbeddingBatch`; USAGE for a file of several
 */
export async function scoreEmbedding(
  path: string,
  input: string,
  head: Head,
  options: HeadOptions,
): Promise<{ readonly score: ItemScore; readonly runtime: ScoringModel['runtime'] }> {
  const model = await openHead(path, head, options);
  try {
    const rows: number[] = [];
    for await (const scores of scoredBatches(model, head, readEmbeddings(input, head.width), 1)) {
      for (const { logit } of scores) rows.push(logit);
      if (rows.length > 1) break;
    }
    const [logit, second] = rows;
    if (second === undefined) {
      return { score: { score: logit, logit, calibrated: false, model: model.sha256 }, runtime: model.runtime };
    }
    throw new HpsError('USAGE', `${basename(input)}: holds more than one embedding`, {
      hint: 'Score a file of many with `hpsv3 batch`.',
      details: { file: basename(input) },
    });
  } finally {
    await model.close();
  }
}

/** Logits of batches of one size, the last one filled by repeats, so that no score depends on how many rows there are. */
async function* scoredBatches(
  { encoder }: ScoringModel,
  { input, width }: Head,
  rows: AsyncIterable<{ readonly id: string; readonly embedding: Float32Array }>,
  batchSize: number,
): AsyncGenerator<Pick<ScoreRow, 'id' | 'logit'>[]> {
  const normalizes = input.preprocess.kind === 'embedding' && input.preprocess.normalize === 'l2';
  let ids: string[] = [];
  let data = new Float32Array(batchSize * width);
  const run = async (): Promise<Pick<ScoreRow, 'id' | 'logit'>[]> => {
    for (let i = ids.length; i < batchSize; i++) data.copyWithin(i * width, 0, width);
    const outputs = await encoder!.run(new Map([[input.name, { dtype: 'F32', shape: [batchSize, width], data }]]));
    const logits = floatsOf(outputs.get('utility_logit')!);
    const scored = ids.map((id, i) => ({ id, logit: logits[i] }));
    ids = [];
    data = new Float32Array(batchSize * width);
    return scored;
  };
  for await (const { id, embedding } of rows) {
    data.set(normalizes ? unit(embedding) : embedding, ids.length * width);
    ids.push(id);
    if (ids.length === batchSize) yield await run();
  }
  if (ids.length > 0) yield await run();
}

/** Of length 1, with torch's floor. */
function unit(embedding: Float32Array): Float32Array {
  const length = Math.max(Math.hypot(...embedding), 1e-12);
  return embedding.map((value) => value / length);
}
