import { Random } from '../bytes/random.js';
import { krippendorffAlpha } from '../data/agreement.js';
import { turns } from '../run.js';
import { type Estimate, percentileInterval } from '../stats/bootstrap.js';
import { wilsonInterval } from '../stats/interval.js';
import { quantileOfSorted } from '../stats/quantile.js';
import { kindOf, type Standing } from './ballots.js';
import { SIDE_ALARM, sideEValue } from './sequential.js';
import type { Session } from './session.js';
import { type Choice, LABELS } from './vote.js';
import type { RaterFigures, SessionFigures } from './wire.js';

const RESAMPLES = 400;
const MOST_GROUPS = 50;

/** What a session has come to. */
export async function sessionFigures(session: Session): Promise<SessionFigures> {
  const { pairs, votesPerPair, seed } = session.options;
  const units: number[][] = [];
  const groups = new Map<string, { group: string; value: string; units: number[][] }>();
  let done = 0;
  for (const { id, groups: named } of pairs) {
    const labels = session.ballots.labelsOf(id).map(({ choice }) => LABELS[choice]!);
    if (labels.length >= votesPerPair) done++;
    if (labels.length === 0) continue;
    units.push(labels);
    for (const [group, value] of named) {
      const key = JSON.stringify([group, value]);
      const found = groups.get(key) ?? { group, value, units: [] };
      if (groups.size < MOST_GROUPS || groups.has(key)) groups.set(key, found);
      found.units.push(labels);
    }
  }
  return {
    pairs: pairs.length,
    done,
    withdrawn: session.withdrawn.size,
    votes: units.reduce((sum, { length }) => sum + length, 0),
    due: session.due,
    alpha: await alphaEstimate(units, `${seed} alpha`),
    byGroup: Array.from(groups.values(), ({ group, value, units: own }) => ({
      group,
      value,
      pairs: own.length,
      alpha: krippendorffAlpha(own, 'nominal'),
    })),
    raters: session.ballots.raters.map((rater) => raterFigures(session, rater)),
  };
}

/** @param units - the labels of each pair: 1, 0, 0.5 */
export async function alphaEstimate(
  units: readonly (readonly number[])[],
  seed: string,
  resamples = RESAMPLES,
): Promise<Estimate> {
  const value = krippendorffAlpha(units, 'nominal');
  const pairable = units.filter(({ length }) => length >= 2);
  if (value === null || pairable.length < 2) return { value, ci: null };
  // All that alpha needs of a pair: its labels by value, and the disagreement among them.
  const counts = pairable.map((unit) => [1, 0, 0.5].map((label) => unit.filter((each) => each === label).length));
  const observed = pairable.map((unit, i) => unit.length - sum(counts[i].map((n) => n * (n - 1))) / (unit.length - 1));
  const random = new Random(seed);
  const draws = new Float64Array(pairable.length);
  const turn = turns();
  const values: number[] = [];
  for (let resample = 0; resample < resamples; resample++) {
    random.countDraws(draws);
    const totals = [0, 0, 0];
    let disagreement = 0;
    for (let i = 0; i < draws.length; i++) {
      disagreement += draws[i] * observed[i];
      for (let label = 0; label < 3; label++) totals[label] += draws[i] * counts[i][label];
    }
    const n = sum(totals);
    const expected = (n * (n - 1) - sum(totals.map((t) => t * (t - 1)))) / (n - 1);
    if (expected > 0) values.push(1 - disagreement / expected);
    await turn();
  }
  const isStable = values.length > 0.95 * resamples;
  return { value, ci: isStable ? percentileInterval(Float64Array.from(values).sort()) : null };
}

function raterFigures(session: Session, rater: string): RaterFigures {
  const votes = session.ballots.by(rater);
  const choices: Record<Choice, number> = { left: 0, right: 0, tie: 0, both_bad: 0, skip: 0 };
  let first = 0;
  let second = 0;
  for (const { choice, shown } of votes) {
    choices[choice]++;
    if (choice === shown.first) first++;
    else if (choice === 'left' || choice === 'right') second++;
  }
  const repeated = votes.filter((vote) => kindOf(vote) === 'repeat');
  const before = repeated.map(({ pair }) => session.ballots.of(rater, pair, 'pair'));
  const eValue = sideEValue(first, second);
  const { right, wrong, eValue: goldEValue } = session.goldOf(rater);
  return {
    rater,
    votes: votes.length,
    labels: votes.filter(({ choice }) => LABELS[choice] !== null).length,
    choices,
    firstShare:
      first + second === 0
        ? { value: null, ci: null }
        : { value: first / (first + second), ci: wilsonInterval(first, first + second) },
    sideEValue: eValue,
    sideBias: eValue >= SIDE_ALARM,
    gold: { right, wrong, eValue: goldEValue },
    paused: session.isPaused(rater),
    repeats: { same: repeated.filter(({ choice }, i) => before[i]?.choice === choice).length, of: repeated.length },
    ...speed(votes),
  };
}

/** Of the normal distribution, a deviation is this many median deviations. */
const MAD_SCALE = 1.4826;
/** Fewer votes do not say what is odd. */
const SPEED_VOTES = 20;

function speed(votes: readonly Standing[]): { medianSeconds: number | null; outliers: number } {
  if (votes.length === 0) return { medianSeconds: null, outliers: 0 };
  const logs = Float64Array.from(votes, ({ visible_ms }) => Math.log(Math.max(visible_ms, 1)));
  const median = quantileOfSorted(logs.toSorted(), 0.5);
  const deviation = MAD_SCALE * quantileOfSorted(logs.map((log) => Math.abs(log - median)).sort(), 0.5);
  const outliers = logs.filter((log) => Math.abs(log - median) > 3 * deviation).length;
  return {
    medianSeconds: Math.exp(median) / 1000,
    outliers: deviation > 0 && votes.length >= SPEED_VOTES ? outliers : 0,
  };
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
