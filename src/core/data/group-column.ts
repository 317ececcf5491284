import { HpsError } from '../errors.js';
import type { CodedColumn } from './columns.js';
import type { JoinedAbsolutes, JoinedPairs } from './join.js';

/** The group column that a flag names. @throws HpsError USAGE */
export function groupColumn(
  joined: JoinedPairs | JoinedAbsolutes,
  flag: string,
): { readonly name: string; readonly column: CodedColumn } {
  const name = flag.replace(/^groups\./, '');
  const column = joined.groups.get(name) ?? (name === 'task' ? joined.task : undefined);
  if (column && column.names.length > 0) return { name, column };
  const known = [...joined.groups.keys()];
  throw new HpsError('USAGE', `the labels have no group ${name}`, {
    hint: known.length > 0 ? `They have ${known.map((one) => `groups.${one}`).join(', ')}.` : 'They have no groups.',
    details: { group: name, known },
  });
}
