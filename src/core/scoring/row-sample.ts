import type { DataRow } from '../data/rows.js';
import { HpsError } from '../errors.js';
import { partsOf } from '../modality.js';
import { guessModality, modalityOf } from '../samples/row-modality.js';
import type { HPSv3Scorer, Sample } from './scorer.js';

/** A row of a data file as the scorer takes it. */
export function sampleOf(row: DataRow, signal?: AbortSignal): Sample {
  const { context, task, groups } = row;
  if (row.kind === 'pair') return { left: row.left, right: row.right, context, task, groups, signal };
  return { item: row.item, context, task, groups, signal };
}

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
  const reads =
    scorers.length === 1 ? `the row is ${row.modality ?? part}, the model reads ${scorers[0].modality}` : null;
  throw new HpsError('DATA_INVALID', reads ?? `no model here reads ${row.modality ?? part}`, {
    hint: 'Give a model for it too: `model` can be given several times.',
    details: { modality: row.modality ?? part, models: scorers.map(({ modality }) => modality) },
  });
}

/** All that `chooseScorer` goes by: of one set of models, rows with the same answer have the same scorer. */
export const choiceOf = (row: DataRow): string =>
  `${row.modality ?? `perhaps ${guessModality(row)}`}${row.context === undefined ? '' : ' in a context'}`;
