import { basename } from 'node:path';
import { hashFile } from '../../bytes/hash.js';
import { type StagedOutput, withAtomicOutput } from '../../bytes/output.js';
import { Random } from '../../bytes/random.js';
import { calibrate } from '../../calibration/calibrator.js';
import { readCalibrator } from '../../calibration/read-calibrator.js';
import { toPlainRow } from '../../data/jsonl.js';
import type { LayoutChoice } from '../../data/layouts/apply.js';
import { rowsWarnings } from '../../data/row-counts.js';
import { type ErrorRows, errorsOf, withErrorRows } from '../../data/row-files.js';
import { DEFAULT_SEED, type Filled, filled } from '../../defaults.js';
import { formatDocument } from '../../documents/define.js';
import { HpsError } from '../../errors.js';
import { type Run, startStage } from '../../run.js';
import {
  binaryEntropy,
  decisionGain,
  disagreement,
  informationGain,
  type SelectionMethod,
} from '../../selection/acquisition.js';
import { Beliefs } from '../../selection/beliefs.js';
import { type Choice, choose } from '../../selection/choose.js';
import { votesOn } from '../../selection/davidson.js';
import type { SelectionDocument } from '../../selection/document.js';
import { FIRST_SCALE, fitScale, priorOf, type Scale, type ScaleOptions } from '../../selection/scale.js';
import { shareSettled } from '../../selection/stable.js';
import { utilitiesOf } from '../../selection/utilities.js';
import { logit as logOdds, sigmoid } from '../../stats/logistic.js';
import { TOOL } from '../../version.js';
import { thinned, writeCurve } from './pictures.js';
import { logitsOf, type Pool, poolOfScores, readPool, readScoreFile, rowsOfIds } from './pool.js';

export interface SelectOptions extends Run, LayoutChoice {
  /** Pairs that may be asked for; without them those of the scores, which then stand alone. */
  readonly pairs?: string;
  /** Scores of the model that is to learn. */
  readonly scores?: string;
  /** Scores of the members of an ensemble. */
  readonly members?: readonly string[];
  /** What has been said so far. */
  readonly labels?: string;
  /** Of the scores. */
  readonly calibrator?: string;
  readonly budget: number;
  readonly out: string;
  readonly method?: SelectionMethod;
  /** Share of the budget that is drawn by lot. */
  readonly randomShare?: number;
  /** Most pairs of one prompt that are chosen for their gain. */
  readonly perPrompt?: number;
  /** A pair with as many votes is not asked for again. */
  readonly votesPerPair?: number;
  /** Rows that judge models, and must not be among those they learn from. */
  readonly heldOut?: readonly string[];
  /** The labeller's log of votes: what a pair takes. */
  readonly times?: string;
  /** Standard deviation of what people find about the model, in logits; fitted to the labels so far by default. */
  readonly priorDeviation?: number;
  /** Enough is labelled where the queue is expected to make decisions better by less. */
  readonly stopBelow?: number;
  readonly seed?: number;
  readonly force?: boolean;
}

export const SELECT_DEFAULTS = {
  method: 'bt-eig',
  members: [],
  heldOut: [],
  randomShare: 0.1,
  votesPerPair: 1,
  stopBelow: 0.001,
  seed: DEFAULT_SEED,
  force: false,
} as const satisfies Partial<SelectOptions>;

type Settled = Filled<SelectOptions, typeof SELECT_DEFAULTS>;

export interface SelectReport extends SelectionDocument {
  readonly out: string;
}

/**
 * Writes which pairs to label next, in order, each with what its label is expected to tell and how probable it was that it would be asked
 * for. Beside the queue: a report, and the expected gain as a picture.
 *
 * @throws HpsError USAGE for a method without the scores it needs; DATA_INVALID where nothing is left to ask for; and as the readers
 */
export async function selectPairs(given: SelectOptions): Promise<SelectReport> {
  const options = filled(given, SELECT_DEFAULTS);
  refuseMissing(options);
  const { out, force, pairs, scores, labels, members, calibrator, heldOut, times } = options;
  const inputs = [pairs, scores, labels, calibrator, times, ...members, ...heldOut].filter(
    (path) => path !== undefined,
  );
  const output = { force, inputs };
  return withErrorRows(errorsOf(out), output, (refused) =>
    withAtomicOutput(out, output, async (staged) => ({
      out: staged.name,
      ...(await select(staged, options, refused)),
    })),
  );
}

function refuseMissing({ method, scores, members, pairs, calibrator, times, labels, heldOut }: Settled): void {
  const refuse = (message: string, hint: string): never => {
    throw new HpsError('USAGE', message, { hint });
  };
  if (pairs === undefined && scores === undefined) refuse('nothing says which pairs there are', 'Give `pairs`.');
  if (pairs === undefined && [labels, times, ...heldOut].some((file) => file !== undefined)) {
    refuse('labels, times and held-out rows are told apart by the items of pairs', 'Give `pairs`.');
  }
  if (method === 'entropy' && scores === undefined) refuse('entropy is of the scores of a model', 'Give `scores`.');
  if (method === 'bald' && members.length < 2) {
    const how = members.length === 0 ? 'no member' : 'one member';
    refuse(`bald is of members that disagree, and there is ${how}`, 'Give `members`: scores of two models or more.');
  }
  if (calibrator !== undefined && scores === undefined) refuse('a calibrator is of scores', 'Give `scores`.');
}

async function select(staged: StagedOutput, options: Settled, refused: ErrorRows): Promise<SelectionDocument> {
  const { signal, method, budget, votesPerPair, seed, randomShare } = options;
  const reading = { signal, refused };
  startStage(options, 'Reading', 'rows');
  const scores = options.scores === undefined ? null : await readScoreFile(options.scores, reading);
  const pool =
    options.pairs === undefined
      ? poolOfScores(scores!.table)
      : await readPool({ ...options, pairs: options.pairs }, reading);
  const warnings: string[] = [
    ...(pool.rows
      ? rowsWarnings('Pairs', pool.rows)
      : ['Without pairs the queue has ids alone, and pairs that share an item are not known to.']),
    ...(pool.labels ? rowsWarnings('Labels', pool.labels) : []),
    ...(scores ? rowsWarnings('Scores', scores.report) : []),
  ];
  const logits = scores && logitsOf(pool, scores.table);
  const calibrated = calibratedBy(options, logits, warnings);
  const members: Float64Array[] = [];
  for (const path of options.members) {
    const { table, report } = await readScoreFile(path, reading);
    warnings.push(...rowsWarnings(basename(path), report));
    members.push(logitsOf(pool, table));
  }
  startStage(options, 'Ranking', 'pairs');
  const judge = judgeOf(options, pool, calibrated, members);
  const tally = { labelled: 0, unscored: 0 };
  const gain = new Float64Array(pool.count);
  const candidates = Int32Array.from({ length: pool.count }, (_, pair) => pair).filter((pair) => {
    if (votesOn(pool.votesOn(pair)) >= votesPerPair) return void tally.labelled++;
    gain[pair] = judge.gainOf(pair);
    if (Number.isNaN(gain[pair])) return void tally.unscored++;
    return true;
  });
  const gains = Float64Array.from(candidates, (pair) => gain[pair]);
  if (candidates.length === 0) throw nothingLeft(pool, tally);
  if (candidates.length < budget) warnings.push(`Only ${candidates.length} pairs are left to ask for.`);
  if (tally.unscored > 0) warnings.push(`${tally.unscored} pairs have no score, and are left out.`);
  const meanGain = gains.reduce((sum, bits) => sum + bits, 0) / gains.length;
  const chosen = choose(candidates, {
    budget,
    randomShare: method === 'random' ? 1 : randomShare,
    perPrompt: options.perPrompt ?? judge.perPrompt(budget, candidates),
    promptOf: (pair) => pool.prompt[pair],
    costOf: (pair) => pool.costs.of(pair),
    gains,
    gainOf: judge.gainOf,
    onChosen: judge.onChosen,
    random: new Random(`${seed}/select`),
  });
  const queue = await writeQueue(staged, options, pool, chosen);
  const curve = curveOf(chosen, meanGain);
  const stop = judge.stop?.(chosen) ?? null;
  if (stop?.reached) warnings.push(`Enough is labelled: ${stop.reason}.`);
  const byLot = chosen.filter(({ reason }) => reason === 'random');
  const stem = staged.name.replace(/\.jsonl$/, '');
  const texts = {
    title: `What the next ${chosen.length} labels are expected to tell`,
    subtitle: `${method}, of ${candidates.length} pairs`,
    y: 'bits',
  };
  const pictures = await writeCurve(
    staged,
    `${stem}.gain`,
    thinned(curve).map(({ labels, bits }) => ({ labels, value: bits })),
    thinned(curve).map(({ labels, bitsAtRandom }) => ({ labels, value: bitsAtRandom })),
    texts,
  );
  const errors = await refused.finish();
  if (errors !== null) warnings.push(`The refused rows are in ${errors}.`);
  const document: SelectionDocument = {
    schema: 'hpsv3/selection@1',
    tool: TOOL,
    method,
    seed,
    queue,
    inputs: await hashInputs(options),
    pool: {
      rows: pool.count + pool.duplicates + pool.heldOut,
      duplicates: pool.duplicates,
      heldOut: pool.heldOut,
      ...tally,
      candidates: candidates.length,
    },
    labelsSoFar: {
      pairs: pool.judged.length,
      votes: pool.judged.reduce((sum, { votes }) => sum + votesOn(votes), 0),
    },
    chosen: {
      total: chosen.length,
      byGain: chosen.length - byLot.length,
      byLot: byLot.length,
      propensityByLot: byLot.at(0)?.propensity ?? null,
      seconds: pool.costs.measured ? chosen.reduce((sum, { candidate }) => sum + pool.costs.of(candidate), 0) : null,
    },
    scale: judge.scale,
    expected: { bits: curve.at(-1)!.bits, bitsAtRandom: curve.at(-1)!.bitsAtRandom, curve: thinned(curve) },
    stop,
    pictures,
    warnings,
  };
  await staged.writeFile(`${stem}.report.json`, formatDocument(document));
  return document;
}

/** The log odds the scores stand for; as they are where nothing calibrates them. */
function calibratedBy(
  { calibrator: path, method }: Settled,
  logits: Float64Array | null,
  warnings: string[],
): Float64Array | null {
  if (path === undefined) {
    if (method === 'entropy') {
      warnings.push('Nothing calibrates the scores: entropies are of sigmoid(logit). Give `calibrator`.');
    }
    return logits;
  }
  const { document, name } = readCalibrator(path);
  if (document.kind !== 'pair') {
    throw new HpsError('MODELS_INCOMPARABLE', `${name} is of scored items, not of pairs`, {
      hint: 'Fit a calibrator to labels of pairs.',
    });
  }
  const most = 12; // log odds of a calibrated 0 or 1 are none
  return logits!.map((logit) =>
    Number.isNaN(logit) ? logit : Math.max(-most, Math.min(most, logOdds(calibrate(document, logit).value))),
  );
}

/** What a method knows of every pair. */
interface Judge {
  /** In bits; NaN where there is no score to say. */
  gainOf(pair: number): number;
  onChosen(pair: number): void;
  perPrompt(budget: number, candidates: Int32Array): number;
  readonly scale: Scale | null;
  stop?(chosen: readonly Choice[]): SelectionDocument['stop'];
}

/** A method that sees each pair by itself would spend all on one prompt: it may take of one up to this many times its share. */
const SHARES = 2;

function judgeOf(options: Settled, pool: Pool, logits: Float64Array | null, members: readonly Float64Array[]): Judge {
  const { method } = options;
  if (method === 'bt-eig') return judgeByPosterior(options, pool, logits);
  const byItself = {
    onChosen: () => {},
    perPrompt: (budget: number, candidates: Int32Array) => {
      const prompts = new Set(candidates.map((pair) => pool.prompt[pair])).size;
      return Math.max(1, Math.ceil((SHARES * budget) / prompts));
    },
    scale: null,
  };
  if (method === 'random') return { ...byItself, gainOf: () => 0 };
  if (method === 'entropy') return { ...byItself, gainOf: (pair) => binaryEntropy(sigmoid(logits![pair])) };
  const said = new Float64Array(members.length);
  return {
    ...byItself,
    gainOf: (pair) => {
      for (let k = 0; k < said.length; k++) said[k] = sigmoid(members[k][pair]);
      return said.some(Number.isNaN) ? Number.NaN : disagreement(said);
    },
  };
}

function judgeByPosterior(options: Settled, pool: Pool, logits: Float64Array | null): Judge {
  const { left, right, items } = pool;
  const about: ScaleOptions = {
    utilities: logits ? utilitiesOf(pool, logits) : new Float64Array(items),
    deviation: options.priorDeviation,
    calibrated: options.calibrator !== undefined,
  };
  let scale: Scale = { ...FIRST_SCALE, deviation: options.priorDeviation ?? FIRST_SCALE.deviation };
  const beliefs = new Beliefs(priorOf(about, scale));
  beliefs.observe(pool.judged);
  scale = fitScale(beliefs, scale, about);
  const settled = shareSettled(beliefs, pool.promptOfItem, pool.prompts);
  const now = new Map<number, number>();
  return {
    gainOf: (pair) => informationGain(beliefs.difference(left[pair], right[pair]), scale.ties),
    onChosen: (pair) => {
      now.set(pair, decisionGain(beliefs.difference(left[pair], right[pair]), scale.ties));
      beliefs.expectVote(left[pair], right[pair]);
    },
    perPrompt: () => Number.POSITIVE_INFINITY,
    scale,
    stop: (chosen) => {
      const gained = chosen.reduce(
        (sum, { candidate }) =>
          sum + (now.get(candidate) ?? decisionGain(beliefs.difference(left[candidate], right[candidate]), scale.ties)),
        0,
      );
      const accuracyGain = gained / pool.count;
      const { stopBelow: below } = options;
      const reason =
        settled === 1
          ? 'the best item of every prompt is settled'
          : accuracyGain < below
            ? `these labels are expected to put ${(100 * accuracyGain).toPrecision(2)} % more of the decisions right`
            : null;
      return { reached: reason !== null, reason, accuracyGain, below, settled };
    },
  };
}

function curveOf(chosen: readonly Choice[], mean: number): SelectionDocument['expected']['curve'][number][] {
  let bits = 0;
  return chosen.map(({ gain }, i) => {
    bits += gain;
    return { labels: i + 1, bits, bitsAtRandom: mean * (i + 1) };
  });
}

async function writeQueue(
  staged: StagedOutput,
  { pairs, layout, map, signal }: Settled,
  pool: Pool,
  chosen: readonly Choice[],
): Promise<SelectionDocument['queue']> {
  const ids = new Set(chosen.map(({ candidate }) => pool.ids.textOf(candidate)));
  const rows = pairs === undefined ? null : await rowsOfIds(pairs, ids, { layout, map }, signal);
  const lines = chosen.map(({ candidate, gain, reason, propensity }, i) => {
    const id = pool.ids.textOf(candidate);
    const row = rows?.get(id);
    // What was said of it so far stays where it is: the queue is to be labelled.
    const fields = row ? toPlainRow({ ...row, votes: [], raters: undefined, propensity: undefined }) : { id };
    const cost = pool.costs.measured ? { cost_s: pool.costs.of(candidate) } : {};
    return `${JSON.stringify({ ...fields, rank: i + 1, gain_bits: gain, reason, ...cost, propensity })}\n`;
  });
  const { name, sha256 } = await staged.writeFile(staged.name, lines.join(''));
  return { name, sha256 };
}

export async function hashInput(path: string): Promise<{ name: string; sha256: string }> {
  return { name: basename(path), sha256: (await hashFile(path)).sha256 };
}

async function hashInputs(options: Settled): Promise<SelectionDocument['inputs']> {
  const given = (path: string | undefined) => (path === undefined ? null : hashInput(path));
  return {
    pairs: await given(options.pairs),
    labels: await given(options.labels),
    scores: await given(options.scores),
    members: await Promise.all(options.members.map(hashInput)),
    calibrator: await given(options.calibrator),
    heldOut: await Promise.all(options.heldOut.map(hashInput)),
  };
}

const nothingLeft = (pool: Pool, { labelled, unscored }: { labelled: number; unscored: number }): HpsError => {
  const { duplicates, heldOut, count } = pool;
  const why = [
    [labelled, 'labelled'],
    [unscored, 'without a score'],
    [duplicates, 'repeated'],
    [heldOut, 'held out'],
  ].flatMap(([rows, what]) => (Number(rows) > 0 ? [`${rows} ${what}`] : []));
  return new HpsError('DATA_INVALID', `none of ${count} pairs is left to ask for: ${why.join(', ')}`, {
    hint: 'Give more pairs, or raise `votesPerPair`.',
    details: { count, labelled, unscored, duplicates, heldOut },
  });
};
