import { scoresOf } from '../../gate/decisions.js';
import { readFacts } from '../../gate/model.js';
import type { Probes } from '../../gate/probes.js';
import { firstRows, rowRunner } from '../../gate/rows.js';
import { type ModelProcessOptions, withModelProcess } from '../../runtime/child.js';
import { discordantRows, mcnemarTest } from '../../stats/mcnemar.js';
import { rowBatches } from '../rows.js';

/** Agreement with human majorities, before and after. */
export interface AccuracyChange {
  readonly pairs: number;
  readonly float: number;
  readonly quantized: number;
  /** McNemar's exact test that both are right equally often, two-sided. */
  readonly pValue: number;
}

/**
 * Accuracy of two models of pairs on rows that raters judged; a tie of the model counts half, rows where raters tie are left out.
 * @param preferred - share of votes for the left of each row, or null
 * @returns null where no row has a majority
 */
export async function compareAccuracy(
  floatPath: string,
  quantizedPath: string,
  rows: Probes,
  preferred: readonly (number | null)[],
  child: ModelProcessOptions,
): Promise<AccuracyChange | null> {
  const judged = preferred.flatMap((share, row) =>
    share === null || share === 0.5 ? [] : [{ row, left: share > 0.5 }],
  );
  if (judged.length === 0) return null;
  const [float, quantized] = await Promise.all(
    [floatPath, quantizedPath].map(async (path) => {
      const logits = await pairLogits(path, rows, child);
      return Float64Array.from(judged, ({ row, left }) => credit(logits[row], left));
    }),
  );
  const mean = (credits: Float64Array): number => credits.reduce((sum, each) => sum + each, 0) / credits.length;
  const { onlyFirst, onlySecond } = discordantRows(float, quantized);
  return {
    pairs: judged.length,
    float: mean(float),
    quantized: mean(quantized),
    pValue: mcnemarTest(onlyFirst, onlySecond).pValue,
  };
}

const credit = (logit: number, left: boolean): number => (logit === 0 ? 0.5 : Number(logit > 0 === left));

const pairLogits = (path: string, rows: Probes, options: ModelProcessOptions): Promise<Float64Array> =>
  withModelProcess(options, async (child) => {
    const { manifest, bytes } = await readFacts(path);
    const session = await child.load(path, { config: manifest?.session }, bytes);
    return scoresOf(firstRows(await rowRunner(session, rows)(rowBatches(session, rows)), rows.rows)).values;
  });
