import { basename, dirname, resolve } from 'node:path';
import { FileSource } from '../bytes/source.js';
import { fileInput } from '../data/input.js';
import { readRows } from '../data/read-rows.js';
import { type BadRow, type DataRow, humanScore, type Item, type PairRow } from '../data/rows.js';
import { HpsError } from '../errors.js';
import type { Probes } from '../gate/probes.js';
import { patchCounts } from '../gate/probes.js';
import { openPreparer, type Preparer } from '../media/preparer.js';
import { type Manifest, TOKENIZER_KEY } from '../onnx/manifest.js';
import { isTextual } from '../onnx/manifest-names.js';
import { metadataOf } from '../onnx/model.js';
import { concatRows, type TensorValue } from '../runtime/value.js';
import { contractOf } from '../samples/contract.js';
import { resolveItem } from '../samples/resolve.js';
import { numel } from '../tensor/shape.js';
import type { PairJudgement } from './search/accuracy.js';
import type { QuantizationSource } from './source.js';

/** Rows taken, and the bytes of inputs they may come to: ranges settle within some tens of rows. */
const MAX_ROWS = 512;
const MAX_BYTES = 512 * 2 ** 20;

export interface CalibrationSamples extends SampleJudgements {
  readonly probes: Probes;
  /** The prompt of each row. */
  readonly prompts: readonly string[];
}

/** What people said of rows, each by its place among them. */
export interface SampleJudgements {
  /** Of each row of a pair model; null where nobody voted, and for items. */
  readonly judgements: readonly (PairJudgement | null)[];
  readonly comparisons: readonly JudgedComparison[];
  readonly ratings: readonly JudgedRating[];
}

/** A pair that was voted on: one row of a model of pairs, its left and its right one of a model of items. */
export interface JudgedComparison {
  readonly promptId: string;
  /** The items themselves, as text. */
  readonly left: string;
  readonly right: string;
  readonly votesLeft: number;
  readonly votesRight: number;
  readonly rows: readonly [own: number, other?: number];
}

/** An item with a score on a human scale. */
export interface JudgedRating {
  readonly promptId: string;
  readonly score: number;
  readonly row: number;
}

/**
 * Rows in two halves, prompts taken by turns, so that no prompt is in both; every second row where there is one prompt only.
 * @param prompts - of each row
 */
export function heldOutPlaces(prompts: readonly string[]): number[] {
  const turns = new Map<string, number>();
  for (const prompt of prompts) if (!turns.has(prompt)) turns.set(prompt, turns.size);
  const places = prompts.map((_, row) => row);
  if (places.length < 2) return places;
  return places.filter((row) => (turns.size > 1 ? turns.get(prompts[row])! : row) % 2 === 1);
}

/** What was said of some of the rows, by their places among these. */
export function judgementsOf(
  { judgements, comparisons, ratings }: SampleJudgements,
  rows: readonly number[],
): SampleJudgements {
  const places = new Map(rows.map((row, place) => [row, place]));
  return {
    judgements: rows.map((row) => judgements[row]),
    comparisons: comparisons.flatMap((each) => {
      const [own, other] = each.rows.map((row) => (row === undefined ? undefined : places.get(row)));
      if (own === undefined || (each.rows.length === 2 && other === undefined)) return [];
      return [{ ...each, rows: other === undefined ? [own] : [own, other] } as JudgedComparison];
    }),
    ratings: ratings.flatMap((each) => {
      const row = places.get(each.row);
      return row === undefined ? [] : [{ ...each, row }];
    }),
  };
}

/**
 * Media of a data file as rows of a model's inputs, in the order of the file: pairs for a model of pairs, else each item. Texts are
 * padded to the longest, which their masks hide; sounds are cut to the shortest.
 * @param mediaRoot - paths in the file are taken from here and must not lead out of it; the file's folder by default
 * @throws HpsError DATA_INVALID for a row the model cannot read, INPUTS_INVALID for a model without a manifest or a file without rows
 */
export async function readCalibrationSamples(
  source: QuantizationSource,
  path: string,
  mediaRoot = dirname(resolve(path)),
): Promise<CalibrationSamples> {
  if (source.manifest === null) {
    throw new HpsError('INPUTS_INVALID', `${source.name}: has no manifest that says how media become inputs`, {
      hint: 'Give prepared inputs: `inputs` rows.safetensors.',
      details: { file: source.name },
    });
  }
  const { inputs, modality, mode } = contractOf(source.manifest, source.name);
  const preparer = await openPreparer({ inputs, tokenizer: metadataOf(source.model, TOKENIZER_KEY) ?? null });
  const file = FileSource.open(path);
  try {
    const rows = new RowCollector(preparer, modality, mediaRoot);
    for await (const batch of readRows(fileInput(file))) {
      for (const result of batch) {
        if (result.row === undefined) throw badRow(basename(path), result);
        await rows.add(result.row, mode === 'pair');
        if (rows.full) break;
      }
      if (rows.full) break;
    }
    return rows.finish(basename(path), source.manifest);
  } finally {
    file.close();
    await preparer.close();
  }
}

class RowCollector {
  private readonly values = new Map<string, TensorValue[]>();
  private readonly judgements: (PairJudgement | null)[] = [];
  private readonly comparisons: JudgedComparison[] = [];
  private readonly ratings: JudgedRating[] = [];
  private readonly prompts: string[] = [];
  private bytes = 0;

  constructor(
    private readonly preparer: Preparer,
    private readonly modality: Parameters<typeof resolveItem>[1]['modality'],
    private readonly mediaRoot: string,
  ) {}

  get full(): boolean {
    return this.judgements.length >= MAX_ROWS || this.bytes >= MAX_BYTES;
  }

  async add(row: DataRow, asPair: boolean): Promise<void> {
    const { context, promptId } = row;
    const first = this.judgements.length;
    if (row.kind === 'pair') this.compare(row, asPair ? [first] : [first, first + 1]);
    if (row.kind === 'pair' && asPair) {
      await this.put(row.left, 'left_', context);
      await this.put(row.right, 'right_', context);
      const sum = row.votes.reduce((total, vote) => total + vote, 0);
      this.judgements.push(row.votes.length > 0 ? { leftShare: sum / row.votes.length, promptId } : null);
      this.prompts.push(promptId);
      return;
    }
    const score = row.kind === 'absolute' && !asPair ? humanScore(row) : undefined;
    if (score !== undefined) this.ratings.push({ promptId, score, row: first });
    const items = row.kind === 'pair' ? [row.left, row.right] : [row.item];
    for (const item of items) {
      // A model of pairs given single items sees each beside itself.
      for (const side of asPair ? ['left_', 'right_'] : ['']) await this.put(item, side, context);
      this.judgements.push(null);
      this.prompts.push(promptId);
    }
  }

  private compare({ left, right, votes, promptId }: PairRow, rows: JudgedComparison['rows']): void {
    if (votes.length === 0) return;
    const votesLeft = votes.reduce((total, vote) => total + vote, 0);
    const texts = { left: JSON.stringify(left), right: JSON.stringify(right) };
    this.comparisons.push({ promptId, ...texts, votesLeft, votesRight: votes.length - votesLeft, rows });
  }

  finish(file: string, manifest: Manifest): CalibrationSamples {
    if (this.judgements.length === 0) {
      throw new HpsError('INPUTS_INVALID', `${file}: has no rows to calibrate on`, {
        hint: 'Give a file with at least one row.',
        details: { file },
      });
    }
    const feeds = new Map<string, TensorValue>();
    for (const [name, values] of this.values) feeds.set(name, concatRows(alike(values, name, manifest)));
    const counts = patchCounts(manifest, feeds);
    const { judgements, comparisons, ratings, prompts } = this;
    return { probes: { rows: judgements.length, feeds, counts }, judgements, comparisons, ratings, prompts };
  }

  private async put(item: Item, side: string, context: string | undefined): Promise<void> {
    const { media } = await resolveItem(item, { modality: this.modality, context, mediaRoot: this.mediaRoot });
    const { inputs } = await this.preparer.prepare(media);
    for (const [name, value] of inputs) {
      const list = this.values.get(`${side}${name}`) ?? [];
      list.push(value);
      this.values.set(`${side}${name}`, list);
      this.bytes += value.data.byteLength;
    }
  }
}

/** Rows of one length: texts padded to the longest, all else cut to the shortest, along the last axis. */
function alike(values: readonly TensorValue[], name: string, manifest: Manifest): TensorValue[] {
  const preprocess = manifest.inputs.find((input) => input.name === name)?.preprocess;
  const lengths = values.map(({ shape }) => shape[shape.length - 1]);
  const isText = preprocess !== undefined && isTextual(preprocess.kind);
  const length = lengths.reduce((a, b) => (isText ? Math.max(a, b) : Math.min(a, b)));
  if (lengths.every((each) => each === length)) return [...values];
  return values.map((value) => resized(value, length, preprocess?.kind === 'text' ? preprocess.pad : 0));
}

function resized({ dtype, shape, data }: TensorValue, length: number, fill: number): TensorValue {
  const before = shape[shape.length - 1];
  const rows = numel(shape.slice(0, -1));
  const target = new (data.constructor as new (length: number) => typeof data)(rows * length);
  if (fill !== 0) target.fill((target instanceof BigInt64Array ? BigInt(fill) : fill) as never);
  for (let row = 0; row < rows; row++) {
    target.set(data.subarray(row * before, row * before + Math.min(before, length)) as never, row * length);
  }
  return { dtype, shape: [...shape.slice(0, -1), length], data: target };
}

const badRow = (file: string, { line, code, message }: BadRow): HpsError =>
  new HpsError('DATA_INVALID', `${file}: line ${line}: ${message}`, {
    hint: 'Correct the row, or take it out of the file.',
    details: { file, line, code },
  });
