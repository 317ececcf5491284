import { isUtf8 } from 'node:buffer';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { ITEM_PARTS } from '../modality.js';
import { quote, type RowFields, type RowValue } from './row-json.js';
import { type DataRow, type Item, RowError } from './rows.js';

/**
 * Rows as the flat columns that CSV and Parquet share:
 * id, type, left, right, context, label1 … labelN, prompt_id, task, modality, group.NAME, rater1 …; content, score,
 * rating1 …, aux.NAME; and left.image, left.text, … where an item has parts. An empty cell is an absent field.
 */

/** Fields with one column for each vote, by the start of the column's name. */
const LISTS: ReadonlyMap<string, string> = new Map([
  ['label', 'labels'],
  ['rater', 'raters'],
  ['rating', 'ratings'],
]);
/** Fields with one column for each member, by what stands before the dot. */
const OBJECTS: ReadonlyMap<string, string> = new Map([
  ['group', 'groups'],
  ['groups', 'groups'],
  ['aux', 'aux'],
  ['runtime', 'runtime'],
  ['percentile', 'percentile'],
  ...['left', 'right', 'content'].map((side) => [side, side] as const),
]);

type ColumnPlan =
  | { readonly kind: 'field'; readonly field: string }
  | { readonly kind: 'entry'; readonly field: string; readonly index: number }
  | { readonly kind: 'member'; readonly field: string; readonly member: string };

/** Whether a column holds numbers: they are written and read as such, and never escaped. */
export const isNumericColumn = (name: string): boolean =>
  /^(?:label\d*|rating\d+|score|propensity|aux\..*)$/.test(name);

/** Stands for the text of a cell that is not valid UTF-8. */
export const NOT_UTF8 = Symbol('not UTF-8');

/** Puts the cells of one file's rows back into fields. */
export class FlatColumns {
  private readonly plans: readonly ColumnPlan[];

  /**
   * @param needs - columns without which no row can be read; any one of several sets will do
   * @throws HpsError DATA_INVALID for a repeated or missing column, or too many votes
   */
  constructor(
    readonly names: readonly string[],
    file: string,
    needs: readonly (readonly string[])[],
  ) {
    const refuse = (rule: string): HpsError =>
      new HpsError('DATA_INVALID', `${file}: ${rule}`, {
        hint: `The header must name each column once: ${needs[0].includes('logit') ? 'id, logit, …' : 'id, type, left, right, context, label1, label2, …'}`,
        details: { file, columns: names.slice(0, 50) },
      });
    if (names.length > LIMITS.columns) throw refuse(`${names.length} columns are over the limit of ${LIMITS.columns}`);
    const seen = new Set<string>();
    const repeated = names.find((name) => seen.has(name) || !seen.add(name));
    if (repeated !== undefined) throw refuse(`column ${quote(repeated)} appears twice in the header`);
    const missing = needs.map((set) => set.filter((name) => !names.includes(name)));
    if (missing.every(({ length }) => length > 0)) {
      const unread = missing[0].map((name) => JSON.stringify(name)).join(', ');
      throw refuse(`the header has no column ${unread}${isScoreHeader(names) ? ': these are scores' : ''}`);
    }
    this.plans = names.map(planColumn);
    for (const plan of this.plans) {
      if (plan.kind === 'entry' && plan.index > LIMITS.votes) {
        throw refuse(`column number ${plan.index} of ${plan.field} is over the limit of ${LIMITS.votes}`);
      }
    }
  }

  /** The fields of one row; cells that are null, undefined, NaN or empty are absent. */
  toFields(cells: readonly unknown[]): RowFields {
    const fields = new Map<string, RowValue>();
    const lists = new Map<string, RowValue[]>();
    this.plans.forEach((plan, i) => {
      const value = toRowValue(cells[i], this.names[i]);
      if (value === null) return;
      if (plan.kind === 'field') fields.set(plan.field, value);
      else if (plan.kind === 'entry') entry(lists, plan.field, (): RowValue[] => [])[plan.index - 1] = value;
      else
        (entry(fields, plan.field, () => new Map<string, RowValue>()) as Map<string, RowValue>).set(plan.member, value);
    });
    this.addLists(fields, lists);
    return fields;
  }

  /** A rater without a vote in this row drops out, so that names and votes stay side by side. */
  private addLists(fields: Map<string, RowValue>, lists: ReadonlyMap<string, RowValue[]>): void {
    const judged = lists.get('labels') ?? lists.get('ratings');
    for (const [field, values] of lists) {
      const kept = field === 'raters' && judged ? values.filter((_, i) => judged[i] !== undefined) : values;
      const present = kept.filter((value) => value !== undefined);
      if (present.length > 0) fields.set(field, present);
    }
  }
}

const isScoreHeader = (names: readonly string[]): boolean => names.includes('logit') && !names.includes('type');

function planColumn(name: string): ColumnPlan {
  const numbered = /^(label|rater|rating)([1-9]\d{0,6})$/.exec(name);
  if (numbered) return { kind: 'entry', field: LISTS.get(numbered[1])!, index: Number(numbered[2]) };
  const dot = name.indexOf('.');
  const object = dot > 0 ? OBJECTS.get(name.slice(0, dot)) : undefined;
  if (object !== undefined) return { kind: 'member', field: object, member: name.slice(dot + 1) };
  return { kind: 'field', field: name };
}

function entry<K, V>(map: Map<K, V>, key: K, create: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = create();
    map.set(key, value);
  }
  return value;
}

/** A cell, possibly nested, as a row's value. */
function toRowValue(cell: unknown, column: string, depth = 0): RowValue {
  if (cell === undefined || cell === null || cell === '' || Number.isNaN(cell)) return null;
  if (cell === NOT_UTF8) throw new RowError('INVALID_UTF8', `${column} is not valid UTF-8`);
  if (typeof cell === 'string') {
    if (cell.includes('\0')) throw new RowError('FIELD_INVALID', `${column} has a NUL character`);
    return cell;
  }
  if (typeof cell === 'bigint') {
    return cell >= Number.MIN_SAFE_INTEGER && cell <= Number.MAX_SAFE_INTEGER ? Number(cell) : cell;
  }
  if (typeof cell !== 'object') return cell as number | boolean;
  if (cell instanceof Uint8Array) return ofUntypedBytes(cell, column);
  if (depth >= LIMITS.rowDepth)
    throw new RowError('ROW_TOO_DEEP', `${column} is nested deeper than ${LIMITS.rowDepth}`);
  if (Array.isArray(cell)) return cell.map((part) => toRowValue(part, column, depth + 1));
  return new Map(Object.entries(cell).map(([key, part]) => [key, toRowValue(part, column, depth + 1)]));
}

/** Older writers do not say that a column is text; what is no text is a medium, in base64 as rows have it. */
function ofUntypedBytes(bytes: Uint8Array, column: string): RowValue {
  if (!isUtf8(bytes) || bytes.includes(0)) return new Map([['base64', Buffer.from(bytes).toString('base64')]]);
  return toRowValue(Buffer.from(bytes).toString('utf8'), column);
}

/** A cell as it is written. */
export type FlatCell = string | number;
/** A cell of any kind of row; null is an empty one. */
export type TableCell = FlatCell | boolean | null;

/** The columns that one row needs, with its cells. */
export function flattenRow(row: DataRow): Map<string, FlatCell> {
  const cells = new Map<string, FlatCell>([
    ['id', row.id],
    ['type', row.kind === 'pair' ? 'pair' : 'abs'],
  ]);
  const put = (name: string, value: FlatCell | undefined): void => {
    if (value !== undefined) cells.set(name, value);
  };
  if (row.kind === 'pair') {
    putItem(put, 'left', row.left);
    putItem(put, 'right', row.right);
    const [first] = row.votes;
    if (row.votes.length === 1 && first !== 0 && first !== 1 && first !== 0.5) put('label', first);
    else row.votes.forEach((vote, i) => void put(`label${i + 1}`, vote));
  } else {
    putItem(put, 'content', row.item);
    put('score', row.score);
    row.ratings.forEach((rating, i) => void put(`rating${i + 1}`, rating));
    for (const [name, value] of Object.entries(row.aux ?? {})) put(`aux.${name}`, value);
  }
  put('context', row.context);
  if (row.promptId !== row.id) put('prompt_id', row.promptId);
  put('task', row.task);
  put('modality', row.modality);
  put('propensity', row.propensity);
  for (const [name, value] of row.groups) put(`group.${name}`, value);
  row.raters?.forEach((rater, i) => void put(`rater${i + 1}`, rater));
  return cells;
}

function putItem(put: (name: string, value: FlatCell | undefined) => void, name: string, item: Item): void {
  if (typeof item === 'string') put(name, item);
  else {
    for (const part of ITEM_PARTS) put(`${name}.${part}`, item[part]);
    put(`${name}.messages`, item.messages && JSON.stringify(item.messages));
    put(`${name}.images`, item.images && JSON.stringify(item.images));
  }
}

const COLUMN_ORDER = [
  'id',
  'type',
  'left',
  'right',
  'content',
  'context',
  'label',
  'score',
  'rating',
  'prompt_id',
  'task',
  'modality',
  'propensity',
  'group',
  'rater',
  'aux',
];

const SCORE_COLUMNS = ['logit', 'winner', 'confidence', 'calibrated', 'model'];

/** Whether a file of rows or of scores has such a column. */
export function isColumnOfFormat(name: string): boolean {
  const [family] = /^[a-z_]+?(?=\d*(?:\.|$))/.exec(name) ?? [];
  return family !== undefined && (COLUMN_ORDER.includes(family) || SCORE_COLUMNS.includes(family));
}

/** Collects the columns that the rows of a file need, in the order of the format. */
export class ColumnSet {
  /** Every row has these; a file without rows has them too, so that it can be read again. */
  private readonly names = new Set<string>(['id', 'type']);

  add(row: DataRow): void {
    for (const name of flattenRow(row).keys()) this.names.add(name);
  }

  /** By family, then number, then name: the same for any order of rows. */
  columns(): string[] {
    const keyed = [...this.names].map((name) => {
      const [, family, number] = /^([a-z_]+?)(\d*)(?:\..*)?$/s.exec(name)!;
      return { name, family: COLUMN_ORDER.indexOf(family), number: Number(number) };
    });
    keyed.sort((a, b) => a.family - b.family || a.number - b.number || (a.name < b.name ? -1 : 1));
    return keyed.map(({ name }) => name);
  }
}
