import { crc32 } from 'node:zlib';
import { parseRowValue, quote, type RowFields, type RowValue } from '../row-json.js';
import { RowError } from '../rows.js';

/** How somebody else's files of preferences are laid out: one file each, listed in `registry.ts`. */
export interface Layout {
  readonly id: string;
  /** What has this layout, for people. */
  readonly of: string;
  /** Where it is published. */
  readonly source: string;
  /** Whether a record with these fields may be of this layout; of a table only names are known then, and all values are null. */
  recognises(fields: RowFields): boolean;
  /** Whether a record may stand for several rows. */
  readonly isMany?: boolean;
  /**
   * The rows that a record stands for, in the fields of our own format.
   * @throws RowError naming the field and the rule
   */
  rows(record: Record): Iterable<RowFields>;
}

/** What a row is made of. */
export type Fields = { readonly [name: string]: RowValue | undefined };

/** One record of a file, and how its fields are taken. Those that nobody takes are ignored by name, as everywhere. */
export class Record {
  private readonly taken: string[] = [];

  constructor(
    readonly fields: RowFields,
    /** The line, or what tells records of one line apart: names those without an id. */
    readonly place: number | string,
    private readonly seed: number,
  ) {}

  has(name: string): boolean {
    return (this.fields.get(name) ?? null) !== null;
  }

  /** The first of these fields that is there. */
  take(...names: readonly string[]): RowValue | undefined {
    this.taken.push(...names);
    for (const name of names) if (this.has(name)) return this.fields.get(name);
    return undefined;
  }

  /** A field that says nothing of the row. */
  drop(...names: readonly string[]): void {
    this.taken.push(...names);
  }

  /** @throws RowError FIELD_MISSING */
  need(...names: readonly string[]): RowValue {
    return this.take(...names) ?? fail('FIELD_MISSING', `${names[0]} is missing`);
  }

  text(...names: readonly string[]): string | undefined {
    const value = this.take(...names);
    if (value === undefined || typeof value === 'string') return value;
    if (typeof value === 'number' || typeof value === 'bigint') return String(value);
    throw invalid(names[0], 'must be a string', value);
  }

  number(...names: readonly string[]): number | undefined {
    const value = this.take(...names);
    return value === undefined ? undefined : asNumber(value, names[0]);
  }

  /** A list; a table may hold it as JSON. @throws RowError FIELD_MISSING */
  list(...names: readonly string[]): readonly RowValue[] {
    return asList(this.need(...names), names[0]);
  }

  /** Strings and numbers as groups to judge by. */
  groups(...names: readonly string[]): Map<string, RowValue> {
    const groups = new Map<string, RowValue>();
    for (const name of names) {
      const value = this.take(name);
      if (typeof value === 'string' || typeof value === 'number') groups.set(name, String(value));
    }
    return groups;
  }

  /** The record's own id, or its place. */
  id(...names: readonly string[]): string {
    return this.text(...names) ?? `row-${this.place}`;
  }

  /** A row of our format; undefined stands for nothing. What nobody has taken stays, to be ignored by name. */
  row(fields: Fields): RowFields {
    const row = new Map<string, RowValue>();
    for (const [name, value] of this.fields) if (!this.taken.includes(name)) row.set(name, value);
    for (const name in fields) {
      const value = fields[name];
      if (value !== undefined && value !== null) row.set(name, value);
    }
    return row;
  }

  /**
   * A pair whose winner stands first in the file, as most layouts have it: a fit would see one class alone. So which side it stands
   * on is drawn by id and seed, and kept as the group `first`.
   * @param votes - for the first item: several, or one that may be soft
   */
  sidedPair({ id, first, second, votes, groups, ...fields }: SidedPair): RowFields {
    const isSwapped = isDrawn(`${this.seed} ${id}`);
    const vote = (value: number): number => (isSwapped ? 1 - value : value);
    return this.row({
      id,
      type: 'pair',
      left: isSwapped ? second : first,
      right: isSwapped ? first : second,
      ...(typeof votes === 'number' ? { label: vote(votes) } : { labels: votes.map(vote) }),
      ...fields,
      groups: withGroup(groups, 'first', isSwapped ? 'right' : 'left'),
    });
  }
}

/** A coin for each text: its CRC-32, mixed so that texts which differ in a digit are drawn apart (the finalizer of MurmurHash3). */
function isDrawn(text: string): boolean {
  let mixed = crc32(text);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return ((mixed ^ (mixed >>> 16)) & 1) === 1;
}

/** A pair of which one item stands first. */
export interface SidedPair extends Fields {
  readonly id: string;
  readonly first: RowValue;
  readonly second: RowValue;
  readonly votes: Votes;
  readonly groups?: ReadonlyMap<string, RowValue>;
}

/** Several votes, or one that may be soft. */
export type Votes = readonly number[] | number;

function withGroup(groups: ReadonlyMap<string, RowValue> | undefined, name: string, value: string): RowFields {
  const all = new Map(groups);
  all.set(name, value);
  return all;
}

/** Groups, where there are any. */
export const unlessEmpty = (groups: RowFields): RowFields | undefined => (groups.size > 0 ? groups : undefined);

/** A path or an address, or the bytes of a picture as tables hold them: `{bytes, path}`, or bytes alone. */
export function imageOf(value: RowValue, field: string): RowFields {
  if (typeof value === 'string') return new Map([['image', value]]);
  if (value instanceof Map) {
    const inner = value.get('bytes') ?? value.get('path') ?? (value.has('base64') ? value : undefined);
    if (typeof inner === 'string' || inner instanceof Map) return new Map([['image', inner]]);
  }
  throw invalid(field, 'must be the path of a picture, or its bytes', value);
}

/** A text or a conversation; a conversation may be JSON in a string. */
export function textOf(value: RowValue, field: string): RowValue {
  if (Array.isArray(value)) return value;
  if (typeof value === 'string') return value;
  throw invalid(field, 'must be a text or a list of messages', value);
}

export function asList(value: RowValue, field: string): readonly RowValue[] {
  const list = typeof value === 'string' ? parseRowValue(value) : value;
  if (Array.isArray(list)) return list;
  throw invalid(field, 'must be a list', value);
}

export function asNumber(value: RowValue, field: string): number {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof number === 'number' && Number.isFinite(number)) return number;
  throw invalid(field, 'must be a number', value);
}

/** Every two of a ranking, the better first; equal ranks are ties. Smaller ranks are better. */
export function* rankedPairs(
  ranks: readonly number[],
): Generator<readonly [better: number, worse: number, vote: number]> {
  for (let i = 0; i < ranks.length; i++) {
    for (let j = i + 1; j < ranks.length; j++) {
      if (ranks[i] === ranks[j]) yield [i, j, 0.5];
      else yield ranks[i] < ranks[j] ? [i, j, 1] : [j, i, 1];
    }
  }
}

/** Items of one ranking: every two of them become a pair. */
export const MAX_RANKED = 64;

export const invalid = (field: string, rule: string, value: RowValue): RowError =>
  new RowError('FIELD_INVALID', `${field} ${rule}, not ${quote(value)}`);

export function fail(code: 'FIELD_MISSING' | 'FIELD_INVALID', message: string): never {
  throw new RowError(code, message);
}

export const hasAll = (fields: RowFields, ...names: readonly string[]): boolean =>
  names.every((name) => fields.has(name));
