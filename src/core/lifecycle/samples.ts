import type { DataRow } from '../data/rows.js';
import { HpsError } from '../errors.js';
import type { Modality } from '../onnx/manifest.js';
import { partsOf } from '../scoring/sample.js';
import type { HPSv3Scorer, Sample } from '../scoring/scorer.js';

/** A row of a data file as the scorer takes it. */
export function sampleOf(row: DataRow): Sample {
  const { context, task, groups } = row;
  if (row.kind === 'pair') return { left: row.left, right: row.right, context, task, groups };
  return { item: row.item, context, task, groups };
}

/** Endings by which a row that does not say is told. Texts have none. */
const ENDINGS: readonly (readonly [part: string, pattern: RegExp])[] = [
  ['image', /\.(?:jpe?g|png|bmp|webp)$/i],
  ['audio', /\.wav$/i],
  ['video', /\.(?:mp4|webm)$/i],
];

/**
 * The scorer for a row: of its own modality, or else of one whose first part is the same (a picture with a context, or
 * without).
 * @throws HpsError DATA_INVALID where none of them reads it
 */
export function chooseScorer(row: DataRow, scorers: readonly HPSv3Scorer[]): HPSv3Scorer {
  const exact = scorers.find(({ modality }) => modality === row.modality);
  if (exact) return exact;
  if (row.modality === undefined && scorers.length === 1) return scorers[0];
  const [part] = partsOf(modalityOf(row));
  const related = scorers.filter(({ modality }) => partsOf(modality)[0] === part);
  const withText = related.find(({ modality }) => partsOf(modality).includes('text'));
  const chosen = row.context !== undefined && withText ? withText : related[0];
  if (chosen) return chosen;
  throw new HpsError('DATA_INVALID', `no model here reads ${row.modality ?? part}`, {
    hint: 'Give a model for it too: --model can be given several times.',
    details: { modality: row.modality ?? part, models: scorers.map(({ modality }) => modality) },
  });
}

/** All that `chooseScorer` goes by: of one set of models, rows with the same answer have the same scorer. */
export const choiceOf = (row: DataRow): string =>
  `${row.modality ?? `perhaps ${guessModality(row)}`}${row.context === undefined ? '' : ' in a context'}`;

/** The modality a row states, else the one its first item shows. */
export const modalityOf = (row: DataRow): Modality => row.modality ?? guessModality(row);

function guessModality(row: DataRow): Modality {
  const item = row.kind === 'pair' ? row.left : row.item;
  const part =
    typeof item === 'string'
      ? ENDINGS.find(([, pattern]) => pattern.test(item))?.[0]
      : (['image', 'audio', 'video'] as const).find((name) => item[name] !== undefined);
  return (part ?? 'text') as Modality;
}
