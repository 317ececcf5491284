import { basename } from 'node:path';
import { withSource } from '../../bytes/source.js';
import { fileInput } from '../../data/input.js';
import { Interner } from '../../data/interner.js';
import { readJsonlFields } from '../../data/jsonl.js';
import type { LayoutChoice } from '../../data/layouts/apply.js';
import { readRows } from '../../data/read-rows.js';
import { readScores, type ScoreTable } from '../../data/read-scores.js';
import { RowCounts, type RowsReport, rowsWarnings } from '../../data/row-counts.js';
import type { ErrorRows } from '../../data/row-files.js';
import type { DataRow, Item, PairRow } from '../../data/rows.js';
import { HpsError } from '../../errors.js';
import { type Costs, costsOf, lengthClass } from '../../selection/cost.js';
import { countVotes, NO_VOTES, type PairVotes } from '../../selection/davidson.js';
import type { Pairs } from '../../selection/utilities.js';

/** Numbers that grow by one at a time. */
class Codes {
  private values = new Int32Array(1024);
  count = 0;

  push(value: number): void {
    if (this.count === this.values.length) {
      const larger = new Int32Array(2 * this.count);
      larger.set(this.values);
      this.values = larger;
    }
    this.values[this.count++] = value;
  }

  finish(): Int32Array {
    return this.values.subarray(0, this.count);
  }
}

export interface Pool extends Pairs {
  /** Row i has the id with code i. */
  readonly ids: Interner;
  readonly count: number;
  readonly prompt: Int32Array;
  readonly prompts: number;
  readonly promptOfItem: Int32Array;
  readonly costs: Costs;
  /** All that has been said, by pair of items. */
  readonly judged: readonly { readonly left: number; readonly right: number; readonly votes: PairVotes }[];
  votesOn(pair: number): PairVotes;
  readonly duplicates: number;
  readonly heldOut: number;
  readonly rows: RowsReport | null;
  readonly labels: RowsReport | null;
}

export interface PoolFiles extends LayoutChoice {
  readonly pairs?: string;
  readonly labels?: string;
  readonly heldOut?: readonly string[];
  /** The labeller's log of votes, with the time each took. */
  readonly times?: string;
}

export interface PoolReading {
  readonly signal?: AbortSignal;
  readonly refused?: ErrorRows;
}

/** Items of one prompt and question: what is compared with what. A row without prompt_id is told by its context and task. */
const promptKey = ({ id, promptId, context = '', task = '' }: DataRow): string =>
  JSON.stringify([promptId === id ? null : promptId, context, task]);

const textOf = (item: Item): string => (typeof item === 'string' ? item : JSON.stringify(item));
const itemKey = (prompt: number, item: Item): string => `${prompt}\0${textOf(item)}`;
const fullKey = (row: PairRow, item: Item): string => `${promptKey(row)}\0${textOf(item)}`;

/** Exact for 2^26 items. */
const pairKey = (left: number, right: number): number => Math.min(left, right) * 2 ** 26 + Math.max(left, right);

/**
 * The pairs that may be asked for, and all that has been said of them and of others of their prompts. Of rows that compare the same two
 * items the first is kept; rows of prompts, and with items, that are held out for judging are left out.
 */
export async function readPool(files: PoolFiles & { readonly pairs: string }, reading: PoolReading): Promise<Pool> {
  const builder = new PoolBuilder();
  for (const path of files.heldOut ?? []) await eachRow(path, {}, reading, (row) => builder.holdOut(row));
  const rows = await eachRow(files.pairs, files, reading, (row) => builder.addPair(row));
  const labels =
    files.labels === undefined ? null : await eachRow(files.labels, {}, reading, (row) => builder.addVotes(row));
  if (rows.rows === 0) {
    throw new HpsError('DATA_INVALID', `${basename(files.pairs)}: has no pair to ask for`, {
      hint: 'Give rows of pairs, as `hpsv3 batch` reads them: {"id", "type": "pair", "left", "right"}.',
      details: { rows },
    });
  }
  const times = files.times === undefined ? [] : await readTimes(files.times, reading.signal);
  return builder.finish(rows, labels, times);
}

/** Every pair of a file of scores as if it stood alone: what can be done where nobody says which items they are of. */
export function poolOfScores({ ids, count }: ScoreTable): Pool {
  const left = Int32Array.from({ length: count }, (_, i) => 2 * i);
  const prompt = Int32Array.from({ length: count }, (_, i) => i);
  return {
    ids,
    count,
    left,
    right: left.map((item) => item + 1),
    items: 2 * count,
    prompt,
    prompts: count,
    promptOfItem: Int32Array.from({ length: 2 * count }, (_, item) => item >> 1),
    costs: costsOf(new Array(count).fill(''), []),
    judged: [],
    votesOn: () => NO_VOTES,
    duplicates: 0,
    heldOut: 0,
    rows: null,
    labels: null,
  };
}

async function eachRow(
  path: string,
  { layout, map }: LayoutChoice,
  { signal, refused }: PoolReading,
  use: (row: PairRow) => void,
): Promise<RowsReport> {
  const file = basename(path);
  const counts = new RowCounts((row) => refused?.add(row, file));
  await withSource(path, async (source) => {
    const { ignored, votes } = counts;
    for await (const batch of readRows(fileInput(source, signal), { ignored, votes, layout, map })) {
      for (const result of batch) {
        if (!result.row) counts.addBad(result);
        else if (result.row.kind !== 'pair') counts.otherKind++;
        else if (!counts.isRepeated(result.row.id, result.line)) {
          counts.rows++;
          use(result.row);
        }
      }
    }
  });
  return counts.report();
}

class PoolBuilder {
  private readonly ids = new Interner();
  private readonly prompts = new Interner();
  private readonly items = new Interner();
  private readonly left = new Codes();
  private readonly right = new Codes();
  private readonly prompt = new Codes();
  private readonly promptOfItem = new Codes();
  private readonly kinds: string[] = [];
  private readonly pairs = new Set<number>();
  private readonly votes = new Map<number, { left: number; right: number; votes: PairVotes }>();
  private readonly heldOutPrompts = new Interner();
  private readonly heldOutItems = new Interner();
  private duplicates = 0;
  private heldOut = 0;

  get count(): number {
    return this.ids.size;
  }

  holdOut(row: PairRow): void {
    if (row.promptId !== row.id) this.heldOutPrompts.codeOfText(row.promptId);
    for (const item of [row.left, row.right]) this.heldOutItems.codeOfText(fullKey(row, item));
  }

  /** Whether it is another pair than those before, and may be asked for; it is left out otherwise, but for what was said of it. */
  addPair(row: PairRow): boolean {
    const { left, right, prompt } = this.place(row);
    this.tally(row, left, right);
    if (!this.isNew(row, left, right)) return false;
    this.ids.codeOfText(row.id);
    this.left.push(left);
    this.right.push(right);
    this.prompt.push(prompt);
    this.kinds.push(kindOf(row));
    return true;
  }

  addVotes(row: PairRow): void {
    const { left, right } = this.place(row);
    this.tally(row, left, right);
  }

  finish(rows: RowsReport, labels: RowsReport | null, times: readonly Timed[]): Pool {
    const { ids, count, votes, duplicates, heldOut } = this;
    const [left, right] = [this.left.finish(), this.right.finish()];
    const seconds = times.map(({ pair, seconds }) => ({ pair: ids.findText(pair), seconds }));
    return {
      ids,
      count,
      left,
      right,
      items: this.items.size,
      prompt: this.prompt.finish(),
      prompts: this.prompts.size,
      promptOfItem: this.promptOfItem.finish(),
      costs: costsOf(this.kinds, seconds),
      judged: [...votes.values()],
      votesOn: (pair) => votes.get(pairKey(left[pair], right[pair]))?.votes ?? NO_VOTES,
      duplicates,
      heldOut,
      rows,
      labels,
    };
  }

  private place(row: PairRow): { left: number; right: number; prompt: number } {
    const prompt = this.prompts.codeOfText(promptKey(row));
    const itemOf = (item: Item): number => {
      const code = this.items.codeOfText(itemKey(prompt, item));
      if (code === this.promptOfItem.count) this.promptOfItem.push(prompt);
      return code;
    };
    return { left: itemOf(row.left), right: itemOf(row.right), prompt };
  }

  private isNew(row: PairRow, left: number, right: number): boolean {
    if (this.isHeldOut(row)) {
      this.heldOut++;
      return false;
    }
    const key = pairKey(left, right);
    if (left !== right && !this.pairs.has(key)) {
      this.pairs.add(key);
      return true;
    }
    this.duplicates++;
    return false;
  }

  private isHeldOut(row: PairRow): boolean {
    if (this.heldOutItems.size === 0) return false;
    if (this.heldOutPrompts.findText(row.promptId) >= 0) return true;
    return [row.left, row.right].some((item) => this.heldOutItems.findText(fullKey(row, item)) >= 0);
  }

  private tally({ votes }: PairRow, left: number, right: number): void {
    if (votes.length === 0 || left === right) return;
    const more = countVotes(votes);
    const key = pairKey(left, right);
    const known = this.votes.get(key);
    if (!known) {
      this.votes.set(key, { left, right, votes: more });
      return;
    }
    const [ahead, behind] = known.left === left ? [more.left, more.right] : [more.right, more.left];
    const before = known.votes;
    known.votes = { left: before.left + ahead, right: before.right + behind, ties: before.ties + more.ties };
  }
}

/** What pairs take alike: modality, and how long their texts are. */
function kindOf({ modality, left, right, context = '' }: PairRow): string {
  const lengthOf = (item: Item): number =>
    typeof item === 'string'
      ? modality === 'text'
        ? item.length
        : 0
      : (item.text?.length ?? 0) + (item.messages?.reduce((sum, { content }) => sum + content.length, 0) ?? 0);
  return `${modality ?? ''}/${lengthClass(lengthOf(left) + lengthOf(right) + context.length)}`;
}

interface Timed {
  readonly pair: string;
  readonly seconds: number;
}

/** What each vote of a labeller's log took; lines without a pair or a time are left out. */
async function readTimes(path: string, signal?: AbortSignal): Promise<Timed[]> {
  const times: Timed[] = [];
  await withSource(path, async (source) => {
    for await (const batch of readJsonlFields(fileInput(source, signal))) {
      for (const { row } of batch) {
        const [pair, ms] = [row?.get('pair'), row?.get('ms')];
        if (typeof pair === 'string' && typeof ms === 'number' && ms > 0) times.push({ pair, seconds: ms / 1000 });
      }
    }
  });
  if (times.length > 0) return times;
  throw new HpsError('DATA_INVALID', `${basename(path)}: has no vote with its time`, {
    hint: 'Give the votes.jsonl of `hpsv3 label`: {"pair", "ms", …} a line.',
    details: { file: basename(path) },
  });
}

/** The rows of some ids, by id. */
export async function rowsOfIds(
  path: string,
  ids: ReadonlySet<string>,
  { layout, map }: LayoutChoice,
  signal?: AbortSignal,
): Promise<Map<string, PairRow>> {
  const found = new Map<string, PairRow>();
  await withSource(path, async (source) => {
    for await (const batch of readRows(fileInput(source, signal), { layout, map })) {
      for (const { row } of batch)
        if (row?.kind === 'pair' && ids.has(row.id) && !found.has(row.id)) found.set(row.id, row);
      if (found.size === ids.size) return;
    }
  });
  return found;
}

/** The scores of one model. */
export const readScoreFile = (
  path: string,
  { signal, refused }: PoolReading,
): Promise<{ table: ScoreTable; report: RowsReport }> =>
  withSource(path, (source) =>
    readScores(fileInput(source, signal), { onBadRow: (row) => refused?.add(row, basename(path)) }),
  );

/** A model's logit for every pair; NaN where it has none. */
export function logitsOf({ ids, count }: Pool, scores: ScoreTable): Float64Array {
  const logits = new Float64Array(count);
  for (let pair = 0; pair < count; pair++) {
    const place = ids.findIn(scores.ids, pair);
    logits[pair] = place < 0 ? Number.NaN : scores.logit[place];
  }
  return logits;
}

/** Pairs with the votes that were cast on them. */
export interface LabelledPairs extends Pool {
  readonly votes: readonly (readonly number[])[];
}

/** Labels as a pool; rows that nobody judged, and those that repeat a pair, are left out. @throws HpsError DATA_INVALID for no votes */
export async function readLabelledPairs(
  path: string,
  reading: PoolReading,
  warnings: string[],
): Promise<LabelledPairs> {
  const builder = new PoolBuilder();
  const votes: (readonly number[])[] = [];
  let unlabelled = 0;
  const rows = await eachRow(path, {}, reading, (row) => {
    if (row.votes.length === 0) return void unlabelled++;
    if (builder.addPair(row)) votes.push(row.votes);
  });
  const pool = builder.finish(rows, null, []);
  warnings.push(...rowsWarnings('Labels', rows));
  if (unlabelled > 0) warnings.push(`${unlabelled} rows have no judgement.`);
  if (pool.duplicates > 0) warnings.push(`${pool.duplicates} rows repeat a pair, and are left out.`);
  if (pool.count > 0) return { ...pool, votes };
  throw new HpsError('DATA_INVALID', `${basename(path)}: has no judged pair to replay`, {
    hint: 'Give rows of pairs with labels: {"id", "type": "pair", "left", "right", "labels": [1, 0, …]}.',
    details: { rows },
  });
}
