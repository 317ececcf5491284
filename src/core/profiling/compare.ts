import { isLarge } from '../gate/load.js';
import { type ModelProcess, withModelProcess } from '../runtime/child.js';
import { turnsOf } from '../runtime/turns.js';
import { quantileOfSorted } from '../stats/quantile.js';
import { quantileInterval } from '../stats/quantile-interval.js';
import { asPair } from './latency.js';
import { median } from './median.js';
import type { BaselineReport, Profile, Ratio, Setting } from './schema.js';
import { type Bench, openSubject, type Subject } from './subject.js';

/**
 * Processes that a comparison is repeated in: where memory falls differs from one to the next and moves speed by more than
 * many runs in one process show. With 12, the second smallest and second largest bound the median at 99 %.
 */
const BLOCKS = 12;
/** Where the machine is noisy and there is something to tell, so many times as many. */
const ROUNDS_OF_BLOCKS = 3;
const LEVEL = 0.99;
/** Quick rounds of one block that medians are of, at least. */
const FEWEST_ROUNDS = 6;
/** A block that has not come to so many rounds goes on for so many times its time. */
const ENOUGH_ROUNDS = 60;
const PATIENCE = 3;
const MOST_ROUNDS = 2000;
/** Share of the rounds of a block that are looked at. */
const QUICK_SHARE = 1 / 3;

/** One process: the logarithms of the ratios of its paired runs, as medians. */
export interface Block {
  /** The model against itself. */
  readonly self: number;
  /** The model against the baseline; null without one. */
  readonly baseline: number | null;
  readonly pairs: number;
}

export interface Comparison {
  readonly noise: Profile['noise'];
  /** Time of the model over that of the baseline. */
  readonly baseline: Ratio | null;
}

/**
 * Runs the model against itself and, in the same rounds, against a baseline: interleaved run by run, so that whatever else
 * the machine does meets all alike. Where the noise hides a difference of `budget`, more processes are taken.
 */
export async function compareInTurn(
  model: Subject,
  baseline: Subject | null,
  setting: Setting,
  budget: number,
  bench: Bench,
): Promise<Comparison> {
  const blocks: Block[] = [];
  for (let round = 0; round < (baseline ? ROUNDS_OF_BLOCKS : 1); round++) {
    for (let i = 0; i < BLOCKS; i++) {
      bench.onStep(baseline ? 'Comparison' : 'Noise check');
      blocks.push(await runBlock(model, baseline, setting, blocks.length, bench));
    }
    if (judgeNoise(blocks, budget).quiet) break;
  }
  return {
    noise: judgeNoise(blocks, budget),
    baseline:
      baseline &&
      ratioOf(
        blocks.map((block) => block.baseline ?? 0),
        pairsOf(blocks),
      ),
  };
}

function runBlock(
  model: Subject,
  baseline: Subject | null,
  setting: Setting,
  block: number,
  bench: Bench,
): Promise<Block> {
  const large = isLarge(model.facts) || (baseline !== null && isLarge(baseline.facts));
  return large ? runApart(model, baseline, setting, bench) : runTogether(model, baseline, setting, block, bench);
}

/** All in one process, loaded in another order each time. */
function runTogether(
  model: Subject,
  baseline: Subject | null,
  setting: Setting,
  block: number,
  bench: Bench,
): Promise<Block> {
  const subjects = [model, model, ...(baseline ? [baseline] : [])];
  return withModelProcess(bench.child, async (process) => {
    const sessions = new Map<number, Awaited<ReturnType<typeof openSubject>>>();
    for (let turn = 0; turn < subjects.length; turn++) {
      const which = (block + turn) % subjects.length;
      sessions.set(which, await openSubject(process, subjects[which], setting, { ...bench, inTurn: true }));
    }
    const trials = subjects.map(({ inputs }, which) => ({
      session: sessions.get(which)!,
      feeds: inputs.feeds(setting.batch),
    }));
    return blockOf(await timeRounds(process, trials, bench));
  });
}

/** One process after the other, where all do not fit at once: the model's runs are compared with each other. */
async function runApart(model: Subject, baseline: Subject | null, setting: Setting, bench: Bench): Promise<Block> {
  const timeAlone = (subject: Subject): Promise<Round[]> =>
    withModelProcess(bench.child, async (process) => {
      const session = await openSubject(process, subject, setting, bench);
      const trial = { session, feeds: subject.inputs.feeds(setting.batch) };
      return timeRounds(process, [trial, trial], bench);
    });
  const own = await timeAlone(model);
  const other = baseline ? await timeAlone(baseline) : null;
  const middle = (rounds: readonly Round[]): number => median(rounds.flatMap(({ ms }) => ms));
  return { ...blockOf(own), baseline: other ? Math.log(middle(own) / middle(other)) : null };
}

async function timeRounds(
  process: ModelProcess,
  trials: Parameters<ModelProcess['time']>[0],
  { budgetMs }: Bench,
): Promise<Round[]> {
  const blockMs = budgetMs / BLOCKS;
  await process.time(trials, { rounds: 2, budgetMs: blockMs });
  const rounds: Round[] = [];
  const begun = performance.now();
  do {
    const times = await process.time(trials, { rounds: MOST_ROUNDS, budgetMs: blockMs });
    rounds.push(...times[0].map((_, i) => ({ ms: times.map((list) => list[i]), turns: turnsOf(i, trials.length) })));
  } while (rounds.length < ENOUGH_ROUNDS && performance.now() - begun < PATIENCE * blockMs);
  return rounds;
}

/** Milliseconds of the runs of one round, by trial, and the order they took turns in. */
export interface Round {
  readonly ms: readonly number[];
  readonly turns: readonly number[];
}

/**
 * What a block says, by the rounds that were quick as a whole: what held up a round held up any of its runs, and choosing by
 * their sum favours none. Trials 0 and 1 are the model, 2 is the baseline.
 */
export function blockOf(rounds: readonly Round[]): Block {
  const sum = ({ ms }: Round): number => ms.reduce((total, one) => total + one, 0);
  const count = Math.max(FEWEST_ROUNDS, Math.ceil(QUICK_SHARE * rounds.length));
  const quick = rounds.toSorted((a, b) => sum(a) - sum(b)).slice(0, count);
  const hasBaseline = rounds[0].ms.length > 2;
  return {
    self: logRatio(quick, 1, 0),
    baseline: hasBaseline ? (logRatio(quick, 0, 2) + logRatio(quick, 1, 2)) / 2 : null,
    pairs: quick.length,
  };
}

/** The median log ratio of two trials: the mean of that where one ran first and that where the other did. */
function logRatio(rounds: readonly Round[], above: number, below: number): number {
  const before = rounds.map(({ turns }) => turns.indexOf(above) < turns.indexOf(below));
  const medians = [true, false]
    .map((first) => rounds.filter((_, i) => before[i] === first).map(({ ms }) => Math.log(ms[above] / ms[below])))
    .filter((logs) => logs.length > 0)
    .map(median);
  return medians.reduce((total, one) => total + one, 0) / medians.length;
}

const pairsOf = (blocks: readonly Block[]): number => blocks.reduce((sum, { pairs }) => sum + pairs, 0);

/** The median over blocks, with an interval by order statistics. */
function ratioOf(logs: readonly number[], pairs: number): Ratio {
  const sorted = Float64Array.from(logs).sort();
  const ci = asPair(quantileInterval(sorted, 0.5, LEVEL));
  return {
    value: Math.exp(quantileOfSorted(sorted, 0.5)),
    ci: ci && [Math.exp(ci[0]), Math.exp(ci[1])],
    level: LEVEL,
    blocks: logs.length,
    pairs,
  };
}

/** Whether this machine can tell a difference of `budget` now. */
export function judgeNoise(blocks: readonly Block[], budget: number): Profile['noise'] {
  const ratio = ratioOf(
    blocks.map(({ self }) => self),
    pairsOf(blocks),
  );
  const resolution = ratio.ci && Math.max(ratio.ci[1], 1 / ratio.ci[0]) - 1;
  const reason = noiseReason(ratio, resolution, budget);
  return { ratio, resolution, quiet: reason === null, reason };
}

function noiseReason({ ci }: Ratio, resolution: number | null, budget: number): string | null {
  if (ci === null || resolution === null) return 'too few runs to tell how noisy this machine is';
  if (ci[0] > 1 || ci[1] < 1) return 'the model differs from itself: something else changes the speed of this machine';
  if (resolution <= budget - 1) return null;
  return `differences under ${(100 * resolution).toFixed(1)} % cannot be told on this machine now`;
}

/** Whether the model is slower than the baseline, and than the budget allows. No verdict without a quiet machine. */
export function judgeBaseline(
  ratio: Ratio,
  budget: number,
  noise: Profile['noise'],
): Pick<BaselineReport, 'difference' | 'verdict' | 'reason'> {
  if (!noise.quiet || ratio.ci === null) {
    const reason = noise.reason ?? 'too few runs for an interval';
    return { difference: 'unknown', verdict: 'none', reason: `No verdict: ${reason}.` };
  }
  const [low, high] = ratio.ci;
  const difference = low > 1 ? 'slower' : high < 1 ? 'faster' : 'none';
  if (high <= budget)
    return { difference, verdict: 'within', reason: `At most ${high.toFixed(3)} times the baseline.` };
  if (low > budget) return { difference, verdict: 'slower', reason: `At least ${low.toFixed(3)} times the baseline.` };
  return {
    difference,
    verdict: 'none',
    reason: `No verdict: the interval ${low.toFixed(3)} to ${high.toFixed(3)} holds the budget; measure longer (\`seconds\`).`,
  };
}
