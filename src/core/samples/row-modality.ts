import type { DataRow } from '../data/rows.js';
import type { Modality } from '../onnx/manifest.js';

/** Endings by which a row that does not say is told. Texts have none. */
const ENDINGS: readonly (readonly [part: string, pattern: RegExp])[] = [
  ['image', /\.(?:jpe?g|png|bmp|webp)$/i],
  ['audio', /\.wav$/i],
  ['video', /\.(?:mp4|webm)$/i],
];

/** The modality a row states, else the one its first item shows. */
export const modalityOf = (row: DataRow): Modality => row.modality ?? guessModality(row);

export function guessModality(row: DataRow): Modality {
  const item = row.kind === 'pair' ? row.left : row.item;
  const part =
    typeof item === 'string'
      ? ENDINGS.find(([, pattern]) => pattern.test(item))?.[0]
      : (['image', 'audio', 'video'] as const).find((name) => item[name] !== undefined);
  return (part ?? 'text') as Modality;
}
