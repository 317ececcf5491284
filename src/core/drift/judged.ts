import { joinPairs } from '../data/join.js';
import type { PairLabelTable } from '../data/label-table.js';
import type { ScoreTable } from '../data/read-scores.js';
import type { JudgedProbabilities } from './calibration.js';
import type { Rows } from './window.js';

/** A column of the rows as a table of scores by id, for joins. */
function tableOf({ ids }: Rows, column: Float64Array): ScoreTable {
  const { names, rows } = ids;
  const logit = Float64Array.from(rows, (row) => column[row]);
  return { count: names.size, ids: names, logit, models: [], kinds: { pairs: 0, items: 0 } };
}

/** Votes beside the logits and probabilities of rows with the same id. */
export const judgedProbabilities = (labels: PairLabelTable, rows: Rows): JudgedProbabilities => ({
  joined: joinPairs(labels, tableOf(rows, rows.logit)),
  probability: joinPairs(labels, tableOf(rows, rows.probability)).logit,
});
