import { isUtf8 } from 'node:buffer';
import { NumberColumn } from './columns.js';
import type { DataInput } from './input.js';
import { Interner } from './interner.js';
import { badRow, parseJsonlRow, tooLarge } from './jsonl.js';
import { lineEnd, readLineBlocks } from './lines.js';
import { isLogit, measurable, parseScoreRow } from './parse-row.js';
import { readScoreRows } from './read-rows.js';
import { recogniseRows } from './recognise.js';
import { RowCounts, type RowsReport, repeatedId } from './row-counts.js';
import type { BadRow, RowResult, ScoreRow } from './rows.js';
import { equalsText, scanNumber, scanPlainString, skipSpace } from './scan.js';

interface ScoreColumns {
  readonly count: number;
  /** Pair logits, or utility logits of items. Within the range of normal float32, or 0. */
  readonly logit: Float64Array;
  /** The models that rows name as theirs, by sha256. */
  readonly models: readonly string[];
  /** Rows that say that they are of a pair, and that they are of an item; those of id and logit alone say neither. */
  readonly kinds: ScoreKinds;
}

/** The scores of one model as columns. */
export interface ScoreTable extends ScoreColumns {
  /** Row i has the id with code i: ids are distinct. */
  readonly ids: Interner;
}

/** The scores of one model for ids that are known: those take no memory again. */
export interface MatchedScores extends ScoreColumns {
  /** For each of the ids, by code: the row of its score, or -1. */
  readonly places: Int32Array;
  /** The other ids, in the order of the file. */
  readonly others: Interner;
}

export interface ScoreKinds {
  readonly pairs: number;
  readonly items: number;
}

export interface Scores<Table extends ScoreColumns = ScoreTable> {
  readonly table: Table;
  readonly report: RowsReport;
}

export interface ReadScoresOptions {
  readonly onBadRow?: (row: BadRow) => void;
}

const ID_KEY = Buffer.from('"id"');
const LOGIT_KEY = Buffer.from('"logit"');
const NEWLINE = 0x0a;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** Scores in any of the formats as columns. Bad rows and repeated ids (the first is kept) are left out and counted. */
export async function readScores(input: DataInput, options: ReadScoresOptions = {}): Promise<Scores> {
  const ids = new Interner();
  const { report, ...table } = await readColumns(input, new DistinctIds(ids), options);
  return { table: { ...table, ids }, report };
}

/** As `readScores`, each put to its place among some ids. */
export async function readScoresOf(
  ids: Interner,
  input: DataInput,
  options: ReadScoresOptions = {},
): Promise<Scores<MatchedScores>> {
  const places = new PlacesOfIds(ids);
  const { report, ...table } = await readColumns(input, places, options);
  return { table: { ...table, places: places.rows, others: places.others }, report };
}

async function readColumns(input: DataInput, ids: ScoredIds, options: ReadScoresOptions) {
  const counts = new RowCounts(options.onBadRow);
  const reader = new ScoreReader(ids, counts);
  const rows = await recogniseRows(input);
  if (rows.format === 'jsonl') await readJsonlScores(rows.input, reader, counts);
  else for await (const batch of readScoreRows(rows, counts.ignored)) for (const result of batch) reader.take(result);
  return { ...reader.finish(), report: counts.report() };
}

/** Where ids of scores are kept. */
interface ScoredIds {
  /** Whether the id is new as that of `row`, counted from 0. */
  add(bytes: Uint8Array, start: number, end: number, row: number): boolean;
}

class DistinctIds implements ScoredIds {
  constructor(private readonly ids: Interner) {}

  add(bytes: Uint8Array, start: number, end: number, row: number): boolean {
    return this.ids.codeOf(bytes, start, end) === row;
  }
}

class PlacesOfIds implements ScoredIds {
  readonly rows: Int32Array;
  readonly others = new Interner();
  /** The code after the last one found: scores mostly come in the order of what they are of. */
  private next = 0;

  constructor(private readonly ids: Interner) {
    this.rows = new Int32Array(ids.size).fill(-1);
  }

  add(bytes: Uint8Array, start: number, end: number, row: number): boolean {
    const code = this.find(bytes, start, end);
    if (code < 0) {
      const { size } = this.others;
      return this.others.codeOf(bytes, start, end) === size;
    }
    this.next = code + 1;
    if (this.rows[code] >= 0) return false;
    this.rows[code] = row;
    return true;
  }

  private find(bytes: Uint8Array, start: number, end: number): number {
    const { ids, next } = this;
    return next < ids.size && ids.equals(next, bytes, start, end) ? next : ids.find(bytes, start, end);
  }
}

/** The fast way: ordinary rows go from bytes to columns, others through the strict parser. */
async function readJsonlScores(input: DataInput, reader: ScoreReader, counts: RowCounts): Promise<void> {
  for await (const block of readLineBlocks(input.chunks())) {
    if (block.tooLong) counts.addBad(badRow(tooLarge(), block.firstLine));
    const { bytes, start, end } = block;
    const scannable = bytes[end - 1] === NEWLINE && isUtf8(bytes.subarray(start, end));
    let line = block.firstLine;
    for (let at = start; at < end; line++) {
      const taken = scannable ? reader.scan(bytes, at, line) : -1;
      const next = taken >= 0 ? taken : lineEnd(block, at) + 1;
      if (taken < 0) {
        const row = bytes.subarray(at, next - 1);
        reader.take(parseJsonlRow(row, line, (fields) => parseScoreRow(fields, counts.ignored)));
      }
      at = next;
    }
  }
}

class ScoreReader {
  private readonly logits = new NumberColumn();
  private readonly models = new Set<string>();
  private readonly kinds = { pairs: 0, items: 0 };

  private count = 0;

  constructor(
    private readonly ids: ScoredIds,
    private readonly counts: RowCounts,
  ) {}

  /** Takes a row of exactly `{"id":"…","logit":…}`; -1 leaves any other to the strict parser. */
  scan(bytes: Buffer, start: number, line: number): number {
    const open = skipSpace(bytes, start);
    if (bytes[open] !== OPEN_BRACE) return -1;
    const id = valueStart(bytes, open + 1, ID_KEY);
    const idEnd = id < 0 ? -1 : scanPlainString(bytes, id);
    const comma = idEnd < 0 ? -1 : skipSpace(bytes, idEnd);
    if (bytes[comma] !== COMMA) return -1;
    const logit = valueStart(bytes, comma + 1, LOGIT_KEY);
    const logitEnd = logit < 0 ? -1 : scanNumber(bytes, logit);
    const close = logitEnd < 0 ? -1 : skipSpace(bytes, logitEnd);
    if (bytes[close] !== CLOSE_BRACE) return -1;
    const end = skipSpace(bytes, close + 1);
    const value = Number(bytes.toString('latin1', logit, logitEnd));
    if (bytes[end] !== NEWLINE || !isLogit(value)) return -1;
    this.add(bytes, id + 1, idEnd - 1, value, line);
    return end + 1;
  }

  take(result: RowResult<ScoreRow> | null): void {
    if (result?.row) {
      const id = Buffer.from(result.row.id);
      const { model, winner, score } = result.row;
      if (model !== undefined) this.models.add(model);
      if (winner !== undefined) this.kinds.pairs++;
      else if (score !== undefined) this.kinds.items++;
      this.add(id, 0, id.byteLength, result.row.logit, result.line);
    } else if (result) this.counts.addBad(result);
  }

  finish(): ScoreColumns {
    const { count, models, kinds } = this;
    return { count, logit: this.logits.finish(), models: [...models], kinds };
  }

  private add(bytes: Buffer, start: number, end: number, logit: number, line: number): void {
    if (!this.ids.add(bytes, start, end, this.count)) {
      this.counts.addBad(repeatedId(bytes.toString('utf8', start, end), line));
      return;
    }
    this.count++;
    this.counts.rows++;
    this.logits.push(measurable(logit));
  }
}

/** Where the value of this key starts, or -1 when another key comes next. */
function valueStart(bytes: Buffer, at: number, key: Buffer): number {
  const start = skipSpace(bytes, at);
  if (!equalsText(bytes, start, start + key.length, key)) return -1;
  const colon = skipSpace(bytes, start + key.length);
  return bytes[colon] === COLON ? skipSpace(bytes, colon + 1) : -1;
}
