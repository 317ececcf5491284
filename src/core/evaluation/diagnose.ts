import type { JoinedAbsolutes, JoinedPairs } from '../data/join.js';
import { visitJudgedRows } from '../data/judged-items.js';
import type { LabelLayout } from '../data/layouts/apply.js';
import { type BootstrapOptions, type Estimate, estimateOf, replicate } from '../stats/bootstrap.js';
import { holmAdjust } from '../stats/holm.js';
import { twoSidedP } from '../stats/normal.js';
import { votesAgreed } from '../stats/pairwise-accuracy.js';
import { type Clusters, ratioOfSums, type Statistic } from '../stats/statistic.js';
import { studentQuantile } from '../stats/student.js';
import { type ClusteredFit, fitScores, fitVotes, independentColumns } from './clustered-fit.js';
import { POSITION, TRAITS, type Trait, type TraitId, TraitReader, type Traits } from './traits.js';

/** Chance of claiming any bias of a scorer that has none: a claim stands in cards, so it is rare. */
export const DIAGNOSIS_LEVEL = 0.01;
/** Fewer say too little for a claim. */
export const FEWEST_CLUSTERS = 30;
const FEWEST_ROWS = 50;
/** How surely the score must follow the votes before they can tell what else it follows: in standard errors. */
const FOLLOWS = 2;

/** How a score depends on what should not matter, once the votes are given. */
export interface BiasReport {
  readonly id: TraitId | 'position';
  readonly more: string;
  readonly less: string;
  readonly unit: string;
  /** Rows where it was measured, and of pairs those where the sides differ in it. */
  readonly rows: number;
  readonly differing: number;
  /** Logits that the score gives one unit more than the votes do. */
  readonly bias: Estimate;
  readonly pValue: number | null;
  /** Adjusted for the number of biases looked for. */
  readonly holm: number | null;
  /** Of pairs that differ: how often the score is for the side with more of it, and how often people are. */
  readonly score: Estimate;
  readonly people: Estimate;
  /** In words, where it is beyond chance. */
  readonly claim: string | null;
  /** Why nothing can be claimed. */
  readonly unclear: string | null;
}

export interface DiagnosisReport {
  readonly level: number;
  readonly rows: number;
  readonly clusters: number;
  readonly biases: readonly BiasReport[];
  /**
   * Accuracy where votes for the longer and for the shorter side count one half each: one half for a score that only counts length.
   * Null for items, and where no lengths differ.
   */
  readonly lengthControlled: {
    readonly accuracy: Estimate;
    readonly longer: Estimate;
    readonly shorter: Estimate;
  } | null;
  /** Whether media were read, which labels alone do not bring along. */
  readonly media: boolean;
  readonly unreadable: { readonly count: number; readonly examples: readonly string[] };
}

export interface DiagnoseOptions extends BootstrapOptions, LabelLayout {
  readonly labels: string;
  /** Folder that paths of media are taken from. */
  readonly mediaRoot: string;
}

/** A trait of each row: of pairs the left less the right side; NaN where it could not be measured. */
interface Column {
  readonly trait: Trait & { readonly id: BiasReport['id'] };
  readonly values: Float64Array;
}

/**
 * Looks for what a score depends on beyond what people do: a regression of the votes (or ratings) on the score and on all traits
 * together. Where people go against the score as a trait grows, the score has too much of it: its bias is the number of logits that
 * would have to be taken off. Intervals and tests are cluster-robust.
 *
 * @throws HpsError as `readLabels`
 */
export async function diagnose(
  joined: JoinedPairs | JoinedAbsolutes,
  options: DiagnoseOptions,
): Promise<DiagnosisReport> {
  const reader = new TraitReader(options.mediaRoot);
  const columns = await readColumns(joined, reader, options);
  const clusters = { of: joined.cluster, count: joined.clusterCount };
  const fits = columns.map((column) => ({ column, unclear: whyUnclear(joined, column) }));
  const measured = fits.filter(({ unclear }) => unclear === null).map(({ column }) => column);
  const found = fitTogether(joined, measured);
  const adjusted = holmAdjust([...found.values()].flatMap((one) => ('pValue' in one ? [one.pValue] : [])));
  const biases: BiasReport[] = [];
  for (const { column, unclear } of fits) {
    const { trait, values } = column;
    const one = found.get(column);
    const fitted = one && 'pValue' in one ? one : null;
    const holm = fitted ? adjusted.shift()! : null;
    const shares = joined.kind === 'pair' ? await sharesFor(joined, values, options) : [NONE, NONE];
    const { id, more, less, unit } = trait;
    biases.push({
      ...{ id, more, less, unit },
      rows: values.reduce((count, value) => count + (Number.isNaN(value) ? 0 : 1), 0),
      differing: values.reduce((count, value) => count + (Number.isNaN(value) || value === 0 ? 0 : 1), 0),
      bias: fitted?.bias ?? NONE,
      pValue: fitted?.pValue ?? null,
      holm,
      ...{ score: shares[0], people: shares[1] },
      claim: fitted && holm! < DIAGNOSIS_LEVEL ? claimOf(trait, fitted.bias, joined.kind) : null,
      unclear: unclear ?? (one && 'unclear' in one ? one.unclear : null),
    });
  }
  const length = columns.find(({ trait }) => trait.id === 'length');
  return {
    level: DIAGNOSIS_LEVEL,
    rows: joined.count,
    clusters: clusters.count,
    biases,
    lengthControlled: joined.kind === 'pair' && length ? await controlLength(joined, length.values, options) : null,
    media: reader.readMedia,
    unreadable: { count: reader.missingCount, examples: reader.missing },
  };
}

const NONE: Estimate = { value: null, ci: null };

async function readColumns(
  joined: JoinedPairs | JoinedAbsolutes,
  reader: TraitReader,
  { labels, signal, layout, map }: DiagnoseOptions,
): Promise<Column[]> {
  const values = new Map<TraitId, Float64Array>();
  const set = (id: TraitId, place: number, value: number) => {
    const column = values.get(id) ?? new Float64Array(joined.count).fill(Number.NaN);
    column[place] = value;
    values.set(id, column);
  };
  let drawnSides = joined.kind === 'pair';
  await visitJudgedRows(
    labels,
    joined,
    async (place, row) => {
      if (row.kind === 'absolute') {
        for (const [id, value] of entries(await reader.read(row.item, row))) set(id, place, value);
        return;
      }
      if (row.preference) drawnSides = false; // what was chosen stands left by our own rule
      const [left, right] = [await reader.read(row.left, row), await reader.read(row.right, row)];
      for (const [id, value] of entries(left)) {
        const other = right[id];
        if (other !== undefined) set(id, place, value - other);
      }
    },
    { signal, layout, map },
  );
  const columns = TRAITS.flatMap((trait): Column[] => {
    const column = values.get(trait.id);
    return column ? [{ trait, values: column }] : [];
  });
  return drawnSides ? [...columns, { trait: POSITION, values: new Float64Array(joined.count).fill(1) }] : columns;
}

const entries = (traits: Traits) => Object.entries(traits) as [TraitId, number][];

/** Why a trait cannot be told apart from chance, whatever the votes; null where it can. */
function whyUnclear(joined: JoinedPairs | JoinedAbsolutes, { trait, values }: Column): string | null {
  const rows = [...values.keys()].filter((row) => !Number.isNaN(values[row]));
  const clusters = new Set(rows.map((row) => joined.cluster[row])).size;
  if (rows.length < FEWEST_ROWS || clusters < FEWEST_CLUSTERS) {
    return `too few rows: ${rows.length} in ${clusters} prompts, ${FEWEST_ROWS} in ${FEWEST_CLUSTERS} are needed`;
  }
  if (trait.id === 'position') return null;
  const centre = joined.kind === 'pair' ? 0 : values[rows[0]];
  const differing = rows.filter((row) => values[row] !== centre).length;
  if (differing === 0) return 'all rows are alike in it';
  return differing < FEWEST_CLUSTERS ? `only ${differing} rows differ in it` : null;
}

type Found = { readonly bias: Estimate; readonly pValue: number } | { readonly unclear: string };

/** One regression of all traits that were measured on the same rows; those measured on fewer rows have one with the others there. */
function fitTogether(joined: JoinedPairs | JoinedAbsolutes, columns: readonly Column[]): Map<Column, Found> {
  const found = new Map<Column, Found>();
  const all = Array.from({ length: joined.count }, (_, row) => row);
  const rowsOf = ({ values }: Column) => all.filter((row) => !Number.isNaN(values[row]));
  for (const column of columns) {
    if (found.has(column)) continue;
    const rows = rowsOf(column);
    const complete = columns.filter(({ values }) => rows.every((row) => !Number.isNaN(values[row])));
    for (const [other, one] of fitRows(joined, complete, rows)) {
      if (other === column || rowsOf(other).length === rows.length) found.set(other, one);
    }
  }
  return found;
}

function fitRows(
  joined: JoinedPairs | JoinedAbsolutes,
  traits: readonly Column[],
  rows: readonly number[],
): [Column, Found][] {
  const take = (column: Float64Array) => Float64Array.from(rows, (row) => column[row]);
  const clusters: Clusters = { of: Int32Array.from(rows, (row) => joined.cluster[row]), count: joined.clusterCount };
  const constant = joined.kind === 'pair' ? [] : [new Float64Array(rows.length).fill(1)];
  const columns = [take(joined.logit), ...constant, ...traits.map(({ values }) => take(values))];
  const kept = independentColumns(columns);
  const first = 1 + constant.length;
  if (kept[0] !== 0) return traits.map((one) => [one, { unclear: 'all scores are 0' }]);
  const chosen = kept.map((j) => columns[j]);
  const fit =
    joined.kind === 'pair'
      ? fitVotes(chosen, { positive: take(joined.votesLeft), negative: take(joined.votesRight) }, clusters)
      : fitScores(chosen, take(joined.score), clusters);
  const used = new Set(clusters.of).size;
  return traits.map((trait, i) => {
    const at = kept.indexOf(first + i);
    return [trait, at < 0 ? { unclear: 'other traits, or the score, give it exactly' } : biasOf(fit, at, used - 1)];
  });
}

/** The logits of score that the votes take back a unit of the trait: minus its coefficient over that of the score. */
function biasOf({ coefficients, covariance }: ClusteredFit, at: number, degreesOfFreedom: number): Found {
  const [slope, own] = [coefficients[0], coefficients[at]];
  if (!(slope > FOLLOWS * Math.sqrt(covariance[0][0]))) {
    return { unclear: 'the score does not follow the votes surely enough to tell what else it follows' };
  }
  const bias = -own / slope;
  const error =
    Math.sqrt(Math.max(0, covariance[at][at] + 2 * bias * covariance[0][at] + bias * bias * covariance[0][0])) / slope;
  const reach = studentQuantile(0.975, degreesOfFreedom) * error;
  const pValue = studentP(own / Math.sqrt(covariance[at][at]), degreesOfFreedom);
  return { bias: { value: bias, ci: [bias - reach, bias + reach] }, pValue };
}

/** Two-sided p-value of Student's t by Wallace's (1959) normal approximation, within 0.001 from ten degrees of freedom on. */
function studentP(t: number, degreesOfFreedom: number): number {
  const scale = (8 * degreesOfFreedom + 1) / (8 * degreesOfFreedom + 3);
  return twoSidedP(scale * Math.sqrt(degreesOfFreedom * Math.log1p((t * t) / degreesOfFreedom)));
}

/** How often score and people are for the side with more of a trait, of the pairs that differ in it. */
async function sharesFor(joined: JoinedPairs, values: Float64Array, options: BootstrapOptions): Promise<Estimate[]> {
  const differs = values.map((value) => (Number.isNaN(value) || value === 0 ? 0 : 1));
  if (!differs.some(Boolean)) return [NONE, NONE];
  const favours = joined.logit.map(
    (logit, row) => differs[row] * (logit === 0 ? 0.5 : Number(logit > 0 === values[row] > 0)),
  );
  const votes = joined.votesLeft.map((left, row) => differs[row] * (left + joined.votesRight[row]));
  const forMore = joined.votesLeft.map((left, row) => differs[row] * (values[row] > 0 ? left : joined.votesRight[row]));
  return estimates(joined, [ratioOfSums(favours, differs), ratioOfSums(forMore, votes)], options);
}

async function estimates(
  { cluster, clusterCount }: JoinedPairs,
  statistics: readonly Statistic[],
  options: BootstrapOptions,
): Promise<Estimate[]> {
  const clusters = { of: cluster, count: clusterCount };
  return (await replicate(statistics, clusters, options)).map((one) => estimateOf(one, clusters, options.level));
}

/** Accuracy over the votes for either side of a length, and their mean. */
async function controlLength(
  joined: JoinedPairs,
  values: Float64Array,
  options: BootstrapOptions,
): Promise<DiagnosisReport['lengthControlled']> {
  const { logit, votesLeft, votesRight } = joined;
  const side = (longer: boolean) => {
    const left = votesLeft.map((votes, row) => (values[row] !== 0 && values[row] > 0 === longer ? votes : 0));
    const right = votesRight.map((votes, row) => (values[row] !== 0 && values[row] < 0 === longer ? votes : 0));
    const measured = (votes: Float64Array) => votes.map((count, row) => (Number.isNaN(values[row]) ? 0 : count));
    const outcomes = { positive: measured(left), negative: measured(right) };
    const votes = outcomes.positive.map((count, row) => count + outcomes.negative[row]);
    return { agreed: votesAgreed(logit, outcomes), votes };
  };
  const [longer, shorter] = [side(true), side(false)];
  const each = [ratioOfSums(longer.agreed, longer.votes), ratioOfSums(shorter.agreed, shorter.votes)];
  if (each.some((statistic) => statistic() === null)) return null;
  const both: Statistic = (weights) => {
    const [a, b] = each.map((statistic) => statistic(weights));
    return a === null || b === null ? null : (a + b) / 2;
  };
  const [accuracy, ofLonger, ofShorter] = await estimates(joined, [both, ...each], options);
  return { accuracy, longer: ofLonger, shorter: ofShorter };
}

/** `prefers the longer one: …, where people do not`. */
function claimOf({ more, less, step }: Trait, { value, ci }: Estimate, kind: 'pair' | 'absolute'): string {
  const sign = value! < 0 ? -1 : 1;
  const ends = ci!.map((end) => sign * step.size * end).sort((a, b) => a - b);
  const size = Math.abs(step.size * value!).toFixed(2);
  const does = kind === 'pair' ? 'prefers' : 'favours';
  return `The score ${does} the ${sign > 0 ? more : less} one by ${size} logits [${ends.map((end) => end.toFixed(2)).join(', ')}] for ${step.words} where people do not.`;
}

/** What is worth knowing of a diagnosis, one sentence each. */
export function diagnosisWarnings({ unreadable: { count, examples }, biases }: DiagnosisReport): string[] {
  const warnings = biases.flatMap(({ claim }) => (claim === null ? [] : [claim]));
  if (count > 0)
    warnings.push(`${count} media files could not be read, so nothing of them is diagnosed (${examples.join(', ')}).`);
  return warnings;
}
