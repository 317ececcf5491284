import type { Budget } from './budget.js';
import { compareOutputs, firstMoved, formatDiff, type MovedOutput, type Outputs } from './compare.js';
import { type DecisionTable, decisionTable } from './decision-table.js';
import { compareDecisions, type DecisionDiff, scoresOf } from './decisions.js';
import { type GoldenParity, goldenParity } from './golden.js';
import { type GateCheck, ROUNDING, type Tolerance } from './invariances.js';

/** What a comparison with golden outputs or with another model came to. */
export interface Verdict {
  readonly checks: readonly GateCheck[];
  readonly decisions: DecisionDiff | null;
  /** Against another model only. */
  readonly table: DecisionTable | null;
  readonly parity: GoldenParity;
  /** The first output beyond `tolerance`, where a check failed. */
  readonly firstMoved: MovedOutput | undefined;
  readonly tolerance: Tolerance;
}

/** Compares with golden outputs: all of them within `atol`, and the decisions within whatever budget was given. */
export function judgeGolden(golden: Outputs, actual: Outputs, atol: number, budget: Budget): Verdict {
  const parity = goldenParity(golden, actual);
  const passed = parity.maxAbsDiff <= atol;
  const names = Object.keys(parity.outputs).join(', ');
  const detail = `${names}: within ${formatDiff(parity.maxAbsDiff)} of the golden outputs, ${atol} allowed.`;
  const check: GateCheck = { name: 'golden', passed, maxAbsDiff: parity.maxAbsDiff, detail };
  const decisions = scoredAlike(golden, actual, budget);
  return conclude(
    golden,
    actual,
    [check, ...(decisions ? judgeBudget(decisions, budget) : [])],
    decisions,
    parity,
    () => atol,
  );
}

/** Compares with another model's outputs on the same rows. */
export function judgeSource(source: Outputs, actual: Outputs, budget: Budget): Verdict {
  const scores = [scoresOf(source), scoresOf(actual)] as const;
  const decisions = compareDecisions(...scores, budget.score);
  const tolerance: Tolerance = (scale) => Math.max(budget.score ?? 0, ROUNDING(scale));
  const parity = goldenParity(source, actual);
  const verdict = conclude(source, actual, judgeBudget(decisions, budget), decisions, parity, tolerance);
  return { ...verdict, table: decisionTable(...scores) };
}

function conclude(
  reference: Outputs,
  actual: Outputs,
  checks: readonly GateCheck[],
  decisions: DecisionDiff | null,
  parity: GoldenParity,
  tolerance: Tolerance,
): Verdict {
  const failed = checks.some(({ passed }) => !passed);
  const moved = failed ? firstMoved(compareOutputs(reference, actual), tolerance) : undefined;
  return { checks, decisions, table: null, parity, firstMoved: moved, tolerance };
}

/** Decisions of golden outputs, where they hold the score that the model decides by. */
function scoredAlike(golden: Outputs, actual: Outputs, budget: Budget): DecisionDiff | null {
  const scores = scoresOf(actual);
  const shared = golden.get(scores.output);
  return shared ? compareDecisions(scoresOf(new Map([[scores.output, shared]])), scores, budget.score) : null;
}

/** One check for every part of the budget that is set. */
export function judgeBudget(diff: DecisionDiff, budget: Budget): GateCheck[] {
  const { flips, flipRate, pairs, kendall, maxScoreDiff } = diff;
  const checks: GateCheck[] = [];
  if (budget.flips !== undefined) {
    checks.push({
      name: 'flips',
      passed: flips <= budget.flips,
      detail: `${flips} of ${pairs} pairs change their winner, ${budget.flips} allowed.`,
    });
  }
  if (budget.flipRate !== undefined) {
    const allowed = `${100 * budget.flipRate} % allowed`;
    checks.push({
      name: 'flips',
      passed: flipRate <= budget.flipRate,
      detail: `${flips} of ${pairs} pairs change their winner, ${allowed}.`,
    });
  }
  if (budget.kendall !== undefined) {
    // Where all score alike there is no order to keep; the score budget is then what judges.
    const passed = kendall === null ? maxScoreDiff === 0 : kendall >= budget.kendall;
    const figure = kendall === null ? 'undefined, one side scores all alike' : kendall.toFixed(6);
    checks.push({
      name: 'kendall',
      passed,
      detail: `Kendall tau-b of the scores is ${figure}, at least ${budget.kendall} asked for.`,
    });
  }
  if (budget.score !== undefined) {
    const detail = `Scores differ by at most ${formatDiff(maxScoreDiff)}, ${budget.score} allowed.`;
    checks.push({ name: 'score', passed: maxScoreDiff <= budget.score, maxAbsDiff: maxScoreDiff, detail });
  }
  return checks;
}
