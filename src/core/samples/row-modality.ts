import type { DataRow } from '../data/rows.js';
import { ITEM_PARTS, type Modality, PARTS } from '../modality.js';

/** The modality a row states, else the one its first item shows. */
export const modalityOf = (row: DataRow): Modality => row.modality ?? guessModality(row);

export function guessModality(row: DataRow): Modality {
  const item = row.kind === 'pair' ? row.left : row.item;
  const media = ITEM_PARTS.filter((part) => part !== 'text');
  const shown = media.find((part) =>
    typeof item === 'string'
      ? PARTS[part].endings?.test(item)
      : item[part] !== undefined || (part === 'image' && item.images !== undefined),
  );
  return shown ?? 'text';
}
