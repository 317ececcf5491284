import { scoresOf } from '../../gate/decisions.js';
import { readFacts } from '../../gate/model.js';
import type { Probes } from '../../gate/probes.js';
import { firstRows, rowRunner } from '../../gate/rows.js';
import { type ModelProcessOptions, withModelProcess } from '../../runtime/child.js';
import { clusterDifferences, signFlipTest } from '../../stats/sign-flip.js';
import { rowBatches } from '../rows.js';

/** Agreement with human majorities, before and after. */
export interface AccuracyChange {
  readonly pairs: number;
  readonly float: number;
  readonly quantized: number;
  /** McNemar's exact test that both are right equally often, two-sided, extended to ties of a model and rows of one prompt. */
  readonly pValue: number;
}

/** What raters said of a pair. */
export interface PairJudgement {
  /** Share of votes for the left. */
  readonly leftShare: number;
  readonly promptId: string;
}

/** What two models say of the same rows: pair logits, or utility logits of items. */
export interface BothScores {
  readonly float: Float64Array;
  readonly quantized: Float64Array;
}

export async function scoreBoth(
  floatPath: string,
  quantizedPath: string,
  rows: Probes,
  child: ModelProcessOptions,
): Promise<BothScores> {
  const [float, quantized] = await Promise.all([floatPath, quantizedPath].map((path) => logitsOf(path, rows, child)));
  return { float, quantized };
}

/**
 * Accuracy of two models of pairs on rows that raters judged; a tie of the model counts half, rows where raters tie are left out.
 * @param judgements - of each row; null where nobody voted
 * @returns null where no row has a majority
 */
export function compareAccuracy(
  scores: BothScores,
  judgements: readonly (PairJudgement | null)[],
): AccuracyChange | null {
  const judged = judgements.flatMap((judgement, row) =>
    judgement === null || judgement.leftShare === 0.5
      ? []
      : [{ row, left: judgement.leftShare > 0.5, promptId: judgement.promptId }],
  );
  if (judged.length === 0) return null;
  const prompts = [...new Set(judged.map(({ promptId }) => promptId))];
  const clusters = {
    of: Int32Array.from(judged, ({ promptId }) => prompts.indexOf(promptId)),
    count: prompts.length,
  };
  const [float, quantized] = [scores.float, scores.quantized].map((logits) =>
    Float64Array.from(judged, ({ row, left }) => credit(logits[row], left)),
  );
  const mean = (credits: Float64Array): number => credits.reduce((sum, each) => sum + each, 0) / credits.length;
  return {
    pairs: judged.length,
    float: mean(float),
    quantized: mean(quantized),
    pValue: signFlipTest(clusterDifferences(float, quantized, clusters)).pValue,
  };
}

const credit = (logit: number, left: boolean): number => (logit === 0 ? 0.5 : Number(logit > 0 === left));

const logitsOf = (path: string, rows: Probes, options: ModelProcessOptions): Promise<Float64Array> =>
  withModelProcess(options, async (child) => {
    const { manifest, bytes } = await readFacts(path);
    const session = await child.load(path, { config: manifest?.session }, bytes);
    return scoresOf(firstRows(await rowRunner(session, rows)([...rowBatches(session, rows)]), rows.rows)).values;
  });
