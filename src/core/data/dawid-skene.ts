import { HpsError } from '../errors.js';
import type { PairRow } from './rows.js';

const MAX_ITERATIONS = 5000;
/** Relative change of the log-likelihood at which EM has converged. */
const TOLERANCE = 1e-13;
/** Stands in for a probability of zero, whose logarithm would be infinite. */
const SMALLEST_PROBABILITY = 1e-12;

export interface DawidSkeneRater {
  readonly name: string;
  readonly votes: number;
  /** Probability that the rater's vote is the true answer, over the estimated prior of answers. */
  readonly accuracy: number;
}

export interface DawidSkeneFit {
  /** P(left preferred) for each row: that of the answer left, and half of that of a tie. */
  readonly left: Float64Array;
  readonly raters: readonly DawidSkeneRater[];
  readonly iterations: number;
  readonly converged: boolean;
}

/** All votes in flat arrays, rows and raters numbered. */
interface Votes {
  readonly rows: number;
  readonly raters: readonly string[];
  /** Votes that are possible: [0, 1], and 0.5 where there are ties. */
  readonly answers: readonly number[];
  readonly row: Int32Array;
  readonly rater: Int32Array;
  readonly answer: Int32Array;
}

/**
 * The true answers behind named raters' votes, and how good each rater is, by expectation maximisation. It starts from
 * the share of votes, so it is deterministic; products of probabilities are sums of logarithms.
 *
 * @throws HpsError DATA_INVALID when a row names no raters, or has a soft label
 * @see Dawid and Skene, "Maximum Likelihood Estimation of Observer Error-Rates Using the EM Algorithm" (1979)
 */
export function fitDawidSkene(rows: readonly PairRow[]): DawidSkeneFit {
  const votes = collectVotes(rows);
  const model = new DawidSkeneModel(votes);
  let previous = Number.NEGATIVE_INFINITY;
  let iterations = 0;
  let converged = false;
  while (!converged && iterations < MAX_ITERATIONS) {
    model.maximise();
    const likelihood = model.expect();
    converged = Math.abs(likelihood - previous) <= TOLERANCE * Math.abs(likelihood);
    previous = likelihood;
    iterations++;
  }
  return { left: model.leftProbabilities(), raters: model.raterReports(), iterations, converged };
}

class DawidSkeneModel {
  private readonly classes: number;
  /** [row, answer]: probability that this is the row's true answer. */
  private readonly posterior: Float64Array;
  private readonly prior: Float64Array;
  /** [rater, true answer, vote]: probability of the vote given the truth. */
  private readonly confusion: Float64Array;

  constructor(private readonly votes: Votes) {
    this.classes = votes.answers.length;
    this.posterior = new Float64Array(votes.rows * this.classes);
    this.prior = new Float64Array(this.classes);
    this.confusion = new Float64Array(votes.raters.length * this.classes ** 2);
    for (let v = 0; v < votes.row.length; v++) this.posterior[votes.row[v] * this.classes + votes.answer[v]]++;
    normaliseRuns(this.posterior, this.classes);
  }

  /** Priors and confusion matrices from the posteriors. */
  maximise(): void {
    const { classes, posterior, prior, confusion, votes } = this;
    prior.fill(0);
    for (let i = 0; i < posterior.length; i++) prior[i % classes] += posterior[i];
    normaliseRuns(prior, classes);
    confusion.fill(0);
    for (let v = 0; v < votes.row.length; v++) {
      for (let truth = 0; truth < classes; truth++) {
        confusion[this.cell(v, truth)] += posterior[votes.row[v] * classes + truth];
      }
    }
    normaliseRuns(confusion, classes);
  }

  /** Posteriors from priors and confusion matrices; returns the log-likelihood of all votes. */
  expect(): number {
    const { classes, posterior, votes } = this;
    const logPrior = this.prior.map(safeLog);
    const logConfusion = this.confusion.map(safeLog);
    for (let i = 0; i < posterior.length; i++) posterior[i] = logPrior[i % classes];
    for (let v = 0; v < votes.row.length; v++) {
      for (let truth = 0; truth < classes; truth++) {
        posterior[votes.row[v] * classes + truth] += logConfusion[this.cell(v, truth)];
      }
    }
    let likelihood = 0;
    for (let start = 0; start < posterior.length; start += classes) likelihood += softmaxRun(posterior, start, classes);
    return likelihood;
  }

  leftProbabilities(): Float64Array {
    const { classes, posterior, votes } = this;
    const left = new Float64Array(votes.rows);
    for (let i = 0; i < posterior.length; i++)
      left[Math.floor(i / classes)] += posterior[i] * votes.answers[i % classes];
    return left;
  }

  raterReports(): DawidSkeneRater[] {
    const { classes, confusion, prior, votes } = this;
    const counts = new Float64Array(votes.raters.length);
    for (const rater of votes.rater) counts[rater]++;
    return votes.raters.map((name, rater) => {
      let accuracy = 0;
      for (let k = 0; k < classes; k++) accuracy += prior[k] * confusion[(rater * classes + k) * classes + k];
      return { name, votes: counts[rater], accuracy };
    });
  }

  /** Index in `confusion` of vote `v`, were `truth` the true answer. */
  private cell(v: number, truth: number): number {
    return (this.votes.rater[v] * this.classes + truth) * this.classes + this.votes.answer[v];
  }
}

const safeLog = (probability: number): number => Math.log(Math.max(probability, SMALLEST_PROBABILITY));

/** Makes every run of `length` values sum to 1; a run of zeros stays. */
function normaliseRuns(values: Float64Array, length: number): void {
  for (let start = 0; start < values.length; start += length) {
    let sum = 0;
    for (let i = start; i < start + length; i++) sum += values[i];
    if (sum > 0) for (let i = start; i < start + length; i++) values[i] /= sum;
  }
}

/** Turns a run of log-weights into probabilities; returns the logarithm of their sum. */
function softmaxRun(values: Float64Array, start: number, length: number): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (let i = start; i < start + length; i++) largest = Math.max(largest, values[i]);
  let sum = 0;
  for (let i = start; i < start + length; i++) {
    values[i] = Math.exp(values[i] - largest);
    sum += values[i];
  }
  for (let i = start; i < start + length; i++) values[i] /= sum;
  return largest + Math.log(sum);
}

function collectVotes(rows: readonly PairRow[]): Votes {
  const hasTies = rows.some((row) => row.votes.includes(0.5));
  const answers = hasTies ? [0, 0.5, 1] : [0, 1];
  const raterCodes = new Map<string, number>();
  const row: number[] = [];
  const rater: number[] = [];
  const answer: number[] = [];
  rows.forEach((pair, index) => {
    const raters = pair.raters ?? refuse(pair, 'names no raters');
    pair.votes.forEach((vote, i) => {
      const code = answers.indexOf(vote);
      if (code < 0) refuse(pair, `has the soft label ${vote}`);
      if (!raterCodes.has(raters[i])) raterCodes.set(raters[i], raterCodes.size);
      row.push(index);
      rater.push(raterCodes.get(raters[i])!);
      answer.push(code);
    });
  });
  return {
    rows: rows.length,
    raters: [...raterCodes.keys()],
    answers,
    row: Int32Array.from(row),
    rater: Int32Array.from(rater),
    answer: Int32Array.from(answer),
  };
}

function refuse(row: PairRow, problem: string): never {
  throw new HpsError('DATA_INVALID', `row ${JSON.stringify(row.id)} ${problem}, which Dawid-Skene needs of every row`, {
    hint: 'Add "raters": one name for each vote. Or use `method` majority.',
    details: { id: row.id },
  });
}
