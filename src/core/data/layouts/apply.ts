import { HpsError } from '../../errors.js';
import { badRow } from '../jsonl.js';
import type { RowFields } from '../row-json.js';
import type { RowResult } from '../rows.js';
import { type Layout, Record } from './layout.js';
import { type FieldMap, mapped } from './map.js';
import { LAYOUTS } from './registry.js';

/** Which layout a file has: `none` for our own alone, a name, or a map of its columns; without it, what its first records look like. */
export interface LayoutChoice {
  readonly layout?: string;
  readonly map?: FieldMap;
  /** Draws which side stands left, where the file always has the winner first. */
  readonly seed?: number;
}

/** How the labels of a command are laid out, whichever side stands left. */
export type LabelLayout = Pick<LayoutChoice, 'layout' | 'map'>;

/** A layout as it is used on one file. */
export interface AppliedLayout {
  readonly layout: Layout;
  readonly seed: number;
}

/**
 * The layout of a file by its first records; null for our own.
 * @param first - records from the start of the file, or one with the names of a table's columns
 * @throws HpsError USAGE where several layouts fit, or the name is of none; DATA_INVALID where a mapped column is not there
 */
export function chooseLayout(first: readonly RowFields[], choice: LayoutChoice, file: string): AppliedLayout | null {
  const { layout: name, map, seed = 0 } = choice;
  if (map) {
    assertColumns(first, map, file);
    return { layout: mapped(map), seed };
  }
  if (name === 'none') return null;
  if (name !== undefined) {
    const layout = LAYOUTS.find(({ id }) => id === name);
    if (layout) return { layout, seed };
    throw new HpsError('USAGE', `${JSON.stringify(name)} is not the name of a layout`, {
      hint: `It is one of ${LAYOUTS.map(({ id }) => id).join(', ')}, none.`,
      details: { layout: name },
    });
  }
  // A row of ours, or of scores, says so itself.
  const foreign = first.filter((fields) => !fields.has('type') && !fields.has('logit'));
  if (foreign.length === 0 || foreign.length < first.length) return null;
  const fitting = LAYOUTS.filter((layout) => layout.recognises(foreign[0]));
  if (fitting.length > 1) {
    const names = fitting.map(({ id }) => id);
    throw new HpsError('USAGE', `${file}: may be laid out as ${names.join(' or as ')}`, {
      hint: `Say which: \`layout\` ${names[0]}.`,
      details: { file, layouts: names },
    });
  }
  return fitting.length === 0 ? null : { layout: fitting[0], seed };
}

function assertColumns(first: readonly RowFields[], map: FieldMap, file: string): void {
  if (first.length === 0) return;
  const names = new Set(first.flatMap((fields) => [...fields.keys()]));
  for (const source of map.values()) {
    if (names.has(source) || names.has(source.split('.')[0])) continue;
    throw new HpsError('DATA_INVALID', `${file}: has no column ${JSON.stringify(source)}, which is mapped`, {
      hint: `Its columns are ${[...names].slice(0, 20).join(', ')}.`,
      details: { file, column: source },
    });
  }
}

/** The rows of ours that records of a layout stand for; a record that stands for none is refused in its place. */
export function rowsOf(
  { layout, seed }: AppliedLayout,
  { line, row, place }: RowResult<RowFields> & { row: RowFields; place?: string },
): RowResult<RowFields>[] {
  try {
    return Array.from(layout.rows(new Record(row, place ?? line, seed)), (fields) => ({ line, row: fields, place }));
  } catch (error) {
    return [badRow(error, line)];
  }
}
