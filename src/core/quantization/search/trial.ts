import { type Budget, withDefaults } from '../../gate/budget.js';
import type { Outputs } from '../../gate/compare.js';
import { compareDecisions, type DecisionDiff, scoresOf } from '../../gate/decisions.js';
import type { Probes } from '../../gate/probes.js';
import { firstRows, rowRunner } from '../../gate/rows.js';
import { judgeBudget } from '../../gate/verdict.js';
import { withTemporaryModel } from '../../onnx/temporary-model.js';
import type { ModelProcess } from '../../runtime/child.js';
import { rowBatches } from '../rows.js';
import type { QuantizationSource } from '../source.js';
import { type Candidate, quantizedManifest, withManifest } from './candidate.js';

/** What a quantized model did to the decisions on one set of rows. */
export interface Judgement extends DecisionDiff {
  readonly withinBudget: boolean;
}

/** Shares of the budget on rows that a choice is made by, and on rows that check it. */
const CHOOSING = 0.5;
export const CHECKING = 1;

/** Kendall's tau is computed by roots and quotients: one swap may come out a last digit lower. */
const SLACK = 1e-12;

/** Runs candidates against the float model on fixed rows; all in one process, so that a trial is a load and a few runs. */
export class Judge {
  private readonly expected = new Map<Probes, Outputs>();
  private readonly budget: Budget;

  constructor(
    private readonly source: QuantizationSource,
    private readonly child: ModelProcess,
    budget: Budget | undefined,
    private readonly threads?: number,
  ) {
    this.budget = withDefaults('quantize', budget);
  }

  /** Judges a candidate on several sets of rows, by a share of the budget. */
  async judge(candidate: Candidate, sets: readonly Probes[], share = CHOOSING): Promise<Judgement[]> {
    const { source, child, threads } = this;
    for (const rows of sets)
      if (!this.expected.has(rows)) this.expected.set(rows, await floatOutputs(source, rows, child, threads));
    const actual = await candidateOutputs(source, candidate, sets, child, threads);
    return sets.map((rows, i) => {
      const diff = compareDecisions(scoresOf(this.expected.get(rows)!), scoresOf(actual[i]), this.budget.score);
      return {
        ...diff,
        withinBudget: judgeBudget(diff, searchBudget(this.budget, rows.rows, share)).every(({ passed }) => passed),
      };
    });
  }
}

/** What the float model makes of rows. */
export const floatOutputs = (
  { path, manifest }: QuantizationSource,
  rows: Probes,
  child: ModelProcess,
  threads?: number,
): Promise<Outputs> => outputsOf(path, manifest?.session, rows, child, threads);

/** What a quantized model makes of each set of rows. */
export async function candidateOutputs(
  source: QuantizationSource,
  candidate: Candidate,
  sets: readonly Probes[],
  child: ModelProcess,
  threads?: number,
): Promise<Outputs[]> {
  const manifest = source.manifest && quantizedManifest(source.manifest, candidate);
  return withTemporaryModel(withManifest(candidate.model, manifest), async (path) => {
    const outputs: Outputs[] = [];
    for (const rows of sets) outputs.push(await outputsOf(path, manifest?.session, rows, child, threads));
    return outputs;
  });
}

/** Threads of so short a session do not wait in a loop for the next operator, which costs what else the machine does. */
const WAITING = { 'session.intra_op.allow_spinning': '0' };

async function outputsOf(
  path: string,
  config: Readonly<Record<string, string>> | undefined,
  rows: Probes,
  child: ModelProcess,
  threads: number | undefined,
): Promise<Outputs> {
  const session = await child.load(path, { threads, config: { ...WAITING, ...config } });
  try {
    return firstRows(await rowRunner(session, rows)([...rowBatches(session, rows)]), rows.rows);
  } finally {
    await session.release();
  }
}

/**
 * A share of what is allowed: half for rows that a choice is made by, as other rows, which the gate will ask, come out a little
 * worse. One pair of scores may change its order, though: among few rows that alone can be more, and says little.
 */
export function searchBudget(
  { flips, flipRate, kendall, score, probability }: Budget,
  rows: number,
  share = CHOOSING,
): Budget {
  const oneSwap = 4 / Math.max(4, rows * (rows - 1));
  return {
    ...(flips === undefined ? {} : { flips: Math.floor(share * flips) }),
    ...(flipRate === undefined ? {} : { flipRate: share * flipRate }),
    ...(kendall === undefined ? {} : { kendall: 1 - Math.max(share * (1 - kendall), oneSwap) - SLACK }),
    ...(score === undefined ? {} : { score: share * score }),
    ...(probability === undefined ? {} : { probability: share * probability }),
  };
}
