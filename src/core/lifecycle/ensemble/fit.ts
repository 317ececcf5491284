import { basename } from 'node:path';
import { hashFile } from '../../bytes/hash.js';
import { type StagedOutput, withOptionalOutput } from '../../bytes/output.js';
import type { LabelLayout } from '../../data/layouts/apply.js';
import { errorsOf, withErrorRows } from '../../data/row-files.js';
import { writeScoreFile } from '../../data/write-scores.js';
import { DEFAULT_SEED, type Filled, filled } from '../../defaults.js';
import { disagreementAt } from '../../ensemble/combine.js';
import { type EnsembleFile, formatEnsemble, isSha256 } from '../../ensemble/ensemble-file.js';
import type { EnsembleFigures } from '../../ensemble/figures.js';
import { type Disagreement, fitEnsemble, type JudgedEnsemble, judgeGiven } from '../../ensemble/fit.js';
import {
  type Coverage,
  type EnsembleRows,
  joinMembers,
  type MemberScores,
  rootMeanSquare,
} from '../../ensemble/rows.js';
import { type EnsembleWeights, givenWeights } from '../../ensemble/weights.js';
import { HpsError } from '../../errors.js';
import { type RemoteFileOptions, withAddresses } from '../../hub/with-addresses.js';
import { LIMITS } from '../../limits.js';
import type { Decision } from '../../onnx/manifest.js';
import type { Run } from '../../run.js';
import type { Verdict } from '../../stats/paired.js';
import { TOOL } from '../../version.js';
import { byName, type InputRows, inputRows, readMembers, readPairLabels, type ScoreFile, usage } from './inputs.js';

export interface MakeEnsembleOptions extends Run, LabelLayout {
  readonly scores: readonly ScoreFile[];
  /** Required for a fit; with weights given by hand, what those are judged on. */
  readonly labels?: string;
  /** How the weights are fitted (by default), or what they are. `simplex` fits weights that sum to 1 on standardised logits. */
  readonly weights?:
    | { readonly kind: 'fit'; readonly folds?: number; readonly simplex?: boolean }
    | { readonly kind: 'given'; readonly byName: ReadonlyMap<string, number> };
  /** What the scores were decided by, where it is known. */
  readonly decision?: Decision;
  /** Of the cluster bootstrap: 2000, or fewer for very many rows of many members, where omitted. */
  readonly resamples?: number;
  readonly seed?: number;
  /** That weights are fitted and judged in; the cores by default. Results are the same whatever their number. */
  readonly threads?: number;
  /** Where to write the ensemble file, if at all. */
  readonly out?: string;
  /** Where to write the log-odds that the figures are computed from, row by row. */
  readonly outScores?: string;
  /** How files on other machines are reached, where an option names one: hf://, https://, s3://. */
  readonly remote?: RemoteFileOptions;
  /** Replace the files that are written. */
  readonly force?: boolean;
}

export const MAKE_ENSEMBLE_DEFAULTS = {
  weights: { kind: 'fit' },
  seed: DEFAULT_SEED,
  force: false,
} as const satisfies Partial<MakeEnsembleOptions>;

/** Of weights that are fitted. */
export const FIT_DEFAULTS = { folds: 5, simplex: false } as const;

type Settled = Filled<MakeEnsembleOptions, typeof MAKE_ENSEMBLE_DEFAULTS>;

type Judged = Pick<EnsembleFigures, 'single' | 'ensemble' | 'best' | 'comparison' | 'leaveOneOut' | 'n' | 'clusters'>;
type NotJudged = { readonly [K in keyof Judged]: null };

export type MakeEnsembleReport = {
  readonly method: EnsembleFile['method'];
  /** Base names; null where nothing was written. */
  readonly out: string | null;
  readonly outScores: string | null;
  /** By member: of its logit as it comes, sum 1. */
  readonly weights: Readonly<Record<string, number>>;
  /** By member: its part of the answer, sum 1. */
  readonly shares: Readonly<Record<string, number>>;
  readonly slope: number;
  readonly fit: EnsembleFile['fit'];
  /** The ensemble beside the best single member, by accuracy; null without labels. */
  readonly verdict: Verdict | null;
  readonly disagreement: Disagreement | null;
  readonly coverage: Coverage | null;
  readonly rows: InputRows;
  readonly warnings: readonly string[];
} & (Judged | NotJudged);

/** Fewer clusters give intervals too wide to tell much. */
const FEW_CLUSTERS = 100;

/**
 * Makes an ensemble of several scorers: fits its weights to votes, or takes those given, and judges it beside its members.
 *
 * @throws HpsError USAGE for members or weights that do not fit together; as `fitEnsemble`; and the OUTPUT_… codes
 */
export function makeEnsemble(given: MakeEnsembleOptions): Promise<MakeEnsembleReport> {
  return withAddresses(given, { files: ['labels'] }, makeLocally);
}

async function makeLocally(given: MakeEnsembleOptions): Promise<MakeEnsembleReport> {
  const options = filled(given, MAKE_ENSEMBLE_DEFAULTS);
  const { scores, labels, out, outScores, force } = options;
  assertMembers(scores);
  if (labels === undefined && outScores !== undefined) throw usage('`outScores` needs labels', 'Give `labels`.');
  const weights = options.weights.kind === 'given' ? inOrder(scores, options.weights.byName) : null;
  const outputs = { force, inputs: [...scores.map(({ path }) => path), ...(labels === undefined ? [] : [labels])] };
  return withErrorRows(errorsOf(out), outputs, (refused) =>
    withOptionalOutput(out, outputs, (ensembleOutput) =>
      withOptionalOutput(outScores, outputs, async (scoresOutput) => {
        const reading = { signal: options.signal, onRefused: refused.add };
        const { members, reports } = await readMembers(scores, reading);
        const judgements =
          labels === undefined
            ? null
            : await readPairLabels(labels, { ...reading, layout: options.layout, map: options.map });
        const rows = inputRows(reports, judgements?.report ?? null, await refused.finish());
        const data = judgements && joinMembers(judgements.table, members);
        if (data?.count === 0) throw nothingJudged(labels!);
        const made = await make(data, weights && givenWeights(weights, members.map(sizeOf)), options);
        const content = await describeEnsemble(options, members, made);
        await ensembleOutput?.writeFile(ensembleOutput.name, formatEnsemble(content));
        if (scoresOutput && data) await writeJudged(scoresOutput, data, made);
        return {
          method: content.method,
          out: ensembleOutput?.name ?? null,
          outScores: scoresOutput?.name ?? null,
          weights: byName(members, made.weights),
          shares: byName(members, made.shares),
          slope: made.slope,
          fit: content.fit,
          verdict: made.judged?.figures.comparison.verdict ?? null,
          ...(made.judged?.figures ?? NOT_JUDGED),
          disagreement: made.judged?.disagreement ?? null,
          coverage: data?.coverage ?? null,
          rows,
          warnings: data ? warningsOf(data) : [],
        };
      }),
    ),
  );
}

const NOT_JUDGED: NotJudged = {
  single: null,
  ensemble: null,
  best: null,
  comparison: null,
  leaveOneOut: null,
  n: null,
  clusters: null,
};

interface Made extends EnsembleWeights {
  readonly fit: EnsembleFile['fit'];
  readonly judged: JudgedEnsemble | null;
}

async function make(
  data: EnsembleRows | null,
  given: EnsembleWeights | null,
  { weights: how, resamples, seed, threads, signal }: Settled,
): Promise<Made> {
  if (given)
    return {
      ...given,
      fit: null,
      judged: data && (await judgeGiven(data, given, { resamples, seed, threads, signal })),
    };
  if (how.kind !== 'fit' || !data) throw usage('weights can only be fitted to labels', 'Give `labels` FILE.');
  const { folds, simplex } = filled(how, FIT_DEFAULTS);
  const { weights, shares, slope, penalty, ...judged } = await fitEnsemble(data, {
    folds,
    simplex,
    resamples,
    seed,
    threads,
    signal,
  });
  return {
    weights,
    shares,
    slope,
    fit: { penalty, simplex, folds, seed },
    judged: { weights, shares, slope, ...judged },
  };
}

/** The content of the ensemble file. */
async function describeEnsemble(
  { scores, labels, decision }: Settled,
  read: readonly MemberScores[],
  made: Made,
): Promise<EnsembleFile> {
  const members: EnsembleFile['members'] = [];
  for (const [m, { name, path }] of scores.entries()) {
    members.push({
      name,
      weight: made.weights[m],
      share: made.shares[m],
      scores: await hashed(path),
      model: modelOf(read[m]),
    });
  }
  const figures = made.judged?.figures;
  return {
    schema: 'hpsv3/ensemble@1',
    method: made.fit ? 'stacking' : 'weights',
    decision: decision ?? null,
    members,
    slope: made.slope,
    missing: 'zero',
    fit: made.fit,
    judged: figures
      ? ({
          labels: await hashed(labels!),
          n: figures.n,
          clusters: figures.clusters,
          single: figures.single,
          ensemble: figures.ensemble,
          best: figures.best,
          verdict: figures.comparison.verdict,
        } as EnsembleFile['judged'])
      : null,
    tool: TOOL,
  };
}

async function writeJudged(output: StagedOutput, data: EnsembleRows, { judged, shares }: Made): Promise<void> {
  if (!judged) return;
  await writeScoreFile(output, data.count, (row) => ({
    id: data.idAt(row),
    logit: judged.logits[row],
    disagreement: disagreementAt(shares, data.logits, row),
  }));
}

async function hashed(path: string): Promise<{ name: string; sha256: string }> {
  const { sha256 } = await hashFile(path);
  return { name: basename(path), sha256 };
}

/** The one model that a member's scores name. */
function modelOf({ table: { models } }: MemberScores): string | null {
  return models.length === 1 && isSha256(models[0]) ? models[0] : null;
}

/** How large the logits of a member usually are. */
const sizeOf = ({ table }: MemberScores): number => rootMeanSquare(table.logit);

function assertMembers(scores: readonly ScoreFile[]): void {
  const repeated = scores.find(({ name }, i) => scores.findIndex((other) => other.name === name) < i);
  if (repeated) throw usage(`two members are named ${repeated.name}`, 'Give every score file a name of its own.');
  if (scores.length < 2)
    throw usage('an ensemble has at least two members', 'Give `scores` NAME=FILE for each of them.');
  if (scores.length > LIMITS.ensembleMembers) {
    throw usage(`${scores.length} members, at most ${LIMITS.ensembleMembers} can be combined`, 'Leave some out.');
  }
}

/** The weights in the order of the members. @throws HpsError USAGE, also for weights that make no average */
function inOrder(scores: readonly ScoreFile[], weights: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  const names = scores.map(({ name }) => name);
  const unknown = [...weights.keys()].find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw usage(`\`weights\` names ${unknown}, which is no member`, `The members are ${names.join(', ')}.`);
  }
  const without = names.find((name) => !weights.has(name));
  if (without !== undefined) throw usage(`${without} has no weight`, 'Give every member a weight; 0 leaves it out.');
  const ordered = new Map(names.map((name) => [name, weights.get(name)!]));
  givenWeights(ordered); // refuses them now, before any file is read
  return ordered;
}

function nothingJudged(labels: string): HpsError {
  return new HpsError('DATA_INVALID', `${basename(labels)}: no judged pair has a score`, {
    hint: 'Ensembles are judged on pairs with votes; ids must be the same in labels and scores.',
    details: { file: basename(labels) },
  });
}

function warningsOf({ clusters, coverage }: EnsembleRows): string[] {
  const warnings: string[] = [];
  if (clusters.count < FEW_CLUSTERS) {
    warnings.push(`Only ${clusters.count} clusters: intervals are wide, and weights may be far from the best.`);
  }
  if (coverage.unscored > 0) warnings.push(`${coverage.unscored} judged pairs have no score of any member: left out.`);
  for (const [name, { missing }] of Object.entries(coverage.members)) {
    if (missing > 0) warnings.push(`${name} has no score for ${missing} pairs: there it counts as a logit of 0.`);
  }
  return warnings;
}
