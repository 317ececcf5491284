import { type StagedOutput, withAtomicOutput } from '../../bytes/output.js';
import { Random } from '../../bytes/random.js';
import { DEFAULT_SEED, type Filled, filled } from '../../defaults.js';
import { formatDocument } from '../../documents/define.js';
import { HpsError } from '../../errors.js';
import type { Run } from '../../run.js';
import { binaryEntropy, disagreement, type SelectionMethod } from '../../selection/acquisition.js';
import { Beliefs } from '../../selection/beliefs.js';
import { countVotes } from '../../selection/davidson.js';
import type { SelectReplayDocument } from '../../selection/document.js';
import { type ReplayMetric, type ReplayPool, replay, type World } from '../../selection/replay.js';
import { FIRST_SCALE, fitScale, priorOf, type ScaleOptions } from '../../selection/scale.js';
import { type SimulationOptions, simulatedPool, simulatedWorld } from '../../selection/simulation.js';
import { utilitiesOf } from '../../selection/utilities.js';
import { sigmoid } from '../../stats/logistic.js';
import { TOOL } from '../../version.js';
import { writeCurve } from './pictures.js';
import { type LabelledPairs, logitsOf, readLabelledPairs, readScoreFile } from './pool.js';
import { hashInput } from './select.js';

export interface SelectReplayOptions extends Run {
  /** Labels that are there, to be asked for again one by one; without them a simulation. */
  readonly labels?: string;
  readonly scores?: string;
  readonly members?: readonly string[];
  /** The report as JSON. */
  readonly out?: string;
  readonly method?: SelectionMethod;
  readonly metric?: ReplayMetric;
  readonly replays?: number;
  /** Labels asked for at a time; 1 % of the pairs, and at least 8, by default. */
  readonly batch?: number;
  /** Share of the way from no labels to all of them: by default 0.9, and 0.75 of a simulation, whose raters never end. */
  readonly target?: number;
  /** Of the simulation. */
  readonly prompts?: number;
  readonly items?: number;
  readonly seed?: number;
  readonly force?: boolean;
}

export const SELECT_REPLAY_DEFAULTS = {
  method: 'bt-eig',
  metric: 'kendall',
  members: [],
  replays: 20,
  prompts: 1,
  items: 16,
  seed: DEFAULT_SEED,
  force: false,
} as const satisfies Partial<SelectReplayOptions>;

type Settled = Filled<SelectReplayOptions, typeof SELECT_REPLAY_DEFAULTS>;

export interface SelectReplayReport extends SelectReplayDocument {
  readonly out: string | null;
}

/**
 * Proves a method on labels that are there: how many it needs to come as near to all of them as a target says, and how many chance does.
 *
 * @throws HpsError USAGE for a method without what it needs; DATA_INVALID where no pair has a vote
 */
export async function replaySelection(given: SelectReplayOptions): Promise<SelectReplayReport> {
  const options = filled(given, SELECT_REPLAY_DEFAULTS);
  refuseMissing(options);
  const { out, force, labels, scores, members } = options;
  const inputs = [labels, scores, ...members].filter((path) => path !== undefined);
  if (out === undefined) return { out: null, ...(await replayed(options, null)) };
  return withAtomicOutput(out, { force, inputs }, async (staged) => {
    const document = await replayed(options, staged);
    await staged.writeFile(staged.name, formatDocument(document));
    return { out: staged.name, ...document };
  });
}

function refuseMissing({ method, metric, members, scores, labels, replays }: Settled): void {
  const refuse = (message: string, hint: string): never => {
    throw new HpsError('USAGE', message, { hint });
  };
  if (method === 'random')
    refuse('chance is what others are compared with', 'Choose bt-eig, bald or entropy as `method`.');
  if (labels === undefined && (scores !== undefined || members.length > 0)) {
    refuse('a simulation has no scores', 'Give `labels`, or neither `scores` nor `members`.');
  }
  if (labels === undefined && metric === 'accuracy') {
    refuse(
      'raters of a simulation never end: there is no share of their votes',
      'Choose kendall as `metric`, or give `labels`.',
    );
  }
  if (method === 'entropy' && scores === undefined) refuse('entropy is of the scores of a model', 'Give `scores`.');
  if (method === 'bald' && members.length < 2) {
    refuse('bald is of members that disagree', 'Give `members`: scores of two models or more.');
  }
  if (replays < 2) refuse('one replay has no spread', 'Set `replays` to 20.');
}

/** What is replayed. */
interface Subject {
  readonly pool: ReplayPool;
  readonly about: ScaleOptions;
  readonly modelGain?: Float64Array;
  readonly votes: number | null;
  worldOf(replay: number): World;
}

async function replayed(options: Settled, staged: StagedOutput | null): Promise<SelectReplayDocument> {
  const { method, metric, seed, replays, signal, target = options.labels === undefined ? 0.75 : 0.9 } = options;
  const warnings: string[] = [];
  const subject = options.labels === undefined ? simulated(options) : await recorded(options, options.labels, warnings);
  const { pool } = subject;
  const batch = options.batch ?? Math.max(8, Math.round(pool.left.length / 100));
  const found = await replay({
    pool,
    scale: subject.about,
    modelGain: subject.modelGain,
    worldOf: (i) => subject.worldOf(i),
    replays,
    batch,
    target,
    metric,
    seed,
    signal,
    onProgress: (share) =>
      options.onProgress?.({ stage: 'Replaying', done: Math.round(100 * share), total: 100, unit: 'steps' }),
  });
  const { saving } = found;
  if (saving.value === null) warnings.push('The target was not reached by both: lower `target`.');
  else if (saving.ci === null) warnings.push('In too many resamples the target is not reached for an interval.');
  else if (saving.ci[0] <= 0) warnings.push('The interval of the saving includes 0: these labels do not show one.');
  const pictures = staged
    ? await writeCurve(
        staged,
        `${staged.name.replace(/\.json$/, '')}.curve`,
        found.chosen.curve,
        found.atRandom.curve,
        {
          title: `Labels to come near to what all of them say`,
          subtitle: `${method} against chance, mean of ${replays} replays`,
          y: metric === 'kendall' ? "Kendall's tau with all labels" : 'share of votes decided right',
        },
      )
    : [];
  return {
    schema: 'hpsv3/selection-replay@1',
    tool: TOOL,
    method,
    metric,
    seed,
    replays,
    batch,
    inputs:
      options.labels === undefined
        ? null
        : {
            labels: await hashInput(options.labels),
            scores: options.scores === undefined ? null : await hashInput(options.scores),
            members: await Promise.all(options.members.map(hashInput)),
          },
    pairs: pool.left.length,
    prompts: pool.prompts,
    votes: subject.votes,
    start: found.start,
    full: found.full,
    goal: found.goal,
    chosen: { ...found.chosen, ci: found.chosen.ci && [...found.chosen.ci] },
    atRandom: { ...found.atRandom, ci: found.atRandom.ci && [...found.atRandom.ci] },
    saving: { ...saving, ci: saving.ci && [...saving.ci] },
    pictures,
    warnings,
  };
}

/** Logits of utilities that are known to be drawn with this deviation; a sixth of votes between equals are ties. */
const SIMULATED = { deviation: 1.5, ties: 0.4 };

function simulated({ prompts, items, seed }: Settled): Subject {
  const about: SimulationOptions = { prompts, items, seed, ...SIMULATED };
  const pool = simulatedPool(about);
  return {
    pool,
    about: { utilities: new Float64Array(pool.items), calibrated: false },
    votes: null,
    worldOf: (i) => simulatedWorld(pool, about, i),
  };
}

async function recorded(options: Settled, labels: string, warnings: string[]): Promise<Subject> {
  const reading = { signal: options.signal };
  const data = await readLabelledPairs(labels, reading, warnings);
  const logits = options.scores === undefined ? null : await logitsFrom(data, options.scores, reading);
  const members: Float64Array[] = [];
  for (const path of options.members) members.push(await logitsFrom(data, path, reading));
  const about: ScaleOptions = {
    utilities: logits ? utilitiesOf(data, logits) : new Float64Array(data.items),
    calibrated: false,
  };
  const beliefs = new Beliefs(priorOf(about, FIRST_SCALE));
  beliefs.observe(
    data.votes.map((votes, i) => ({ left: data.left[i], right: data.right[i], votes: countVotes(votes) })),
  );
  fitScale(beliefs, FIRST_SCALE, about, 30);
  const truth = Float64Array.from({ length: data.items }, (_, item) => beliefs.meanOf(item));
  return {
    pool: data,
    about,
    modelGain: modelGain(options.method, logits, members),
    votes: data.votes.reduce((sum, votes) => sum + votes.length, 0),
    worldOf: (i) => drawn(data, truth, new Random(`${options.seed}/world/${i}`)),
  };
}

/** Votes of each pair in random order, each only once. */
function drawn({ votes }: LabelledPairs, truth: Float64Array, random: Random): World {
  const left = votes.map((all) => random.permutation(all.length).map((i) => all[i]));
  return { truth, hasVotes: (pair) => left[pair].length > 0, vote: (pair) => left[pair].pop() };
}

async function logitsFrom(data: LabelledPairs, path: string, reading: { readonly signal?: AbortSignal }) {
  const logits = logitsOf(data, (await readScoreFile(path, reading)).table);
  const missing = logits.reduce((sum, logit) => sum + (Number.isNaN(logit) ? 1 : 0), 0);
  if (missing === 0) return logits;
  const { name } = await hashInput(path);
  throw new HpsError('DATA_INVALID', `${name}: ${missing} of ${data.count} labelled pairs have no score`, {
    hint: 'Score all rows of the labels with this model.',
    details: { file: name, missing },
  });
}

function modelGain(method: SelectionMethod, logits: Float64Array | null, members: readonly Float64Array[]) {
  if (method === 'entropy') return logits!.map((logit) => binaryEntropy(sigmoid(logit)));
  if (method !== 'bald') return undefined;
  return members[0].map((_, pair) => disagreement(members.map((logits) => sigmoid(logits[pair]))));
}
