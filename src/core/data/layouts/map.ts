import { HpsError } from '../../errors.js';
import { ITEM_PARTS } from '../../modality.js';
import type { RowFields, RowValue } from '../row-json.js';
import type { Layout } from './layout.js';

const SIDES = ['left', 'right', 'content'] as const;
const PLAIN = [
  'id',
  'context',
  'task',
  'prompt_id',
  'modality',
  'type',
  'label',
  'labels',
  'score',
  'ratings',
  'raters',
];
const GROUP = /^groups?\.(.+)$/;

/** What a field of ours is read from. */
export type FieldMap = ReadonlyMap<string, string>;

/**
 * Reads `left=chosen,right=rejected,context=data.prompt,left.image=path,group.source=origin`.
 * @throws HpsError USAGE for a field that rows do not have, or one that is given twice
 */
export function parseFieldMap(text: string): FieldMap {
  const map = new Map<string, string>();
  for (const part of text.split(',')) {
    const [target, source, ...rest] = part.split('=').map((piece) => piece.trim());
    if (!source || rest.length > 0 || !isTarget(target)) {
      throw new HpsError('USAGE', `\`map\`: ${JSON.stringify(part.trim())} maps nothing`, {
        hint: `Write FIELD=COLUMN, with FIELD one of ${[...SIDES, ...PLAIN].join(', ')}, left.image, group.NAME.`,
        details: { part },
      });
    }
    if (map.has(target))
      throw new HpsError('USAGE', `\`map\`: ${target} is given twice`, { hint: 'Give each field one column.' });
    map.set(target, source);
  }
  return map;
}

function isTarget(name: string): boolean {
  const [side, part] = name.split('.');
  if (part !== undefined && SIDES.includes(side as (typeof SIDES)[number])) return ITEM_PARTS.includes(part as never);
  return PLAIN.includes(name) || SIDES.includes(name as (typeof SIDES)[number]) || GROUP.test(name);
}

/** A layout that a map states. */
export const mapped = (map: FieldMap): Layout => ({
  id: 'map',
  of: 'what `map` says',
  source: '',
  recognises: () => false,
  *rows(record) {
    const row = new Map<string, RowValue>();
    const groups = new Map<string, RowValue>();
    for (const [target, source] of map) {
      const value = valueAt(record.fields, source);
      if (value === undefined) continue;
      const [, group] = GROUP.exec(target) ?? [];
      const [side, part] = target.split('.');
      if (group !== undefined) groups.set(group, typeof value === 'string' ? value : String(value));
      else if (part === undefined) row.set(target, value);
      else row.set(side, new Map([...((row.get(side) as RowFields | undefined) ?? []), [part, value]]));
    }
    if (!row.has('type')) row.set('type', row.has('left') || row.has('right') ? 'pair' : 'abs');
    if (!row.has('id')) row.set('id', `row-${record.place}`);
    if (groups.size > 0) row.set('groups', groups);
    yield row;
  },
});

/** A value by its name, or by names with dots between them; undefined where there is none. */
export function valueAt(fields: RowFields, source: string): RowValue | undefined {
  let value: RowValue | undefined = fields.get(source);
  if (value === undefined && source.includes('.')) {
    value = fields as RowValue;
    for (const name of source.split('.')) value = value instanceof Map ? value.get(name) : undefined;
  }
  return value ?? undefined;
}
