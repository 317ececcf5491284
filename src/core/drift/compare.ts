import { Random } from '../bytes/random.js';
import { holmAdjust } from '../stats/holm.js';
import { CategoriesTest, effectOfCategories } from './categories.js';
import { type Cause, causeOf } from './causes.js';
import { EnergyTest } from './energy.js';
import { effectOfNumbers, KS, type NumberSummary, NumbersTest, summarise, WASSERSTEIN } from './numbers.js';
import type { CheckSettings } from './options.js';
import { type PooledTest, permutationsFor, permutationTest } from './permutation.js';
import { ResidualsTest } from './residuals.js';
import type { FeatureColumn, Sample } from './sample.js';
import { JUDGED } from './window.js';

/** One question asked of a window. */
export interface FeatureDrift {
  readonly feature: string;
  /** `NAME=value`; null for all rows. */
  readonly group: string | null;
  readonly cause: Cause;
  readonly test: 'numbers' | 'categories' | 'energy' | 'residuals';
  readonly n: { readonly reference: number; readonly window: number };
  readonly pValue: number;
  /** Adjusted for all questions of the check. */
  readonly holm: number;
  readonly effect: number;
  readonly floor: number;
  /** Whether holm is at most alpha and the effect at least the floor. */
  readonly moved: boolean;
  /** KS, Wasserstein, G, or the energy distance. */
  readonly statistics: Readonly<Record<string, number>>;
  readonly reference: NumberSummary | CategoryShares | null;
  readonly window: NumberSummary | CategoryShares | null;
}

/** Shares by name, the largest first; of many the rest is one. */
export interface CategoryShares {
  readonly n: number;
  readonly shares: readonly { readonly name: string; readonly share: number }[];
}

export interface Comparison {
  readonly features: readonly FeatureDrift[];
  readonly permutations: number;
  /** What is on one side only, or of another type there, and so not tested. */
  readonly untested: readonly { readonly feature: string; readonly reason: string }[];
  /** Groups with too few rows, or that only one side has. */
  readonly smallGroups: readonly string[];
  /** What the p-values of others come to. */
  readonly others: readonly number[];
}

/** Names told apart in a column of categories; the rest is one. */
const MOST_CATEGORIES = 50;
/** Groups of a column within which scores are tested. */
const MOST_GROUPS = 50;
const MISSING = '(none)';
const OTHERS = '(others)';
/** Rows of each side that distances of embeddings are taken of. */
const ENERGY_ROWS = 500;

/** Some rows of a sample. */
interface Part {
  readonly sample: Sample;
  /** Null for all. */
  readonly rows: Int32Array | null;
}

/** What is said of an answer. */
type Described = Pick<FeatureDrift, 'test' | 'effect' | 'floor' | 'statistics' | 'reference' | 'window'>;

/** A question before it is answered. */
interface Question {
  readonly test: PooledTest;
  readonly n: FeatureDrift['n'];
  readonly describe: (observed: Float64Array) => Described;
}

type Asked = Question & Pick<FeatureDrift, 'feature' | 'group' | 'cause'>;

/**
 * Compares a window with a reference, feature by feature, and within groups.
 * @param others - p-values of questions that others answer, which are adjusted together with these
 */
export function compareSamples(
  reference: Sample,
  window: Sample,
  options: CheckSettings,
  others: readonly number[] = [],
): Comparison {
  const untested: { feature: string; reason: string }[] = [];
  const asked: Asked[] = [];
  const media = [reference, window].some(({ features }) => features.has('input.format'));
  const whole = [reference, window].map((sample): Part => ({ sample, rows: null }));
  for (const feature of new Set([...reference.features.keys(), ...window.features.keys()])) {
    if (feature === JUDGED.label) continue;
    const question = ask(feature, whole[0], whole[1], options);
    if (typeof question === 'string') untested.push({ feature, reason: question });
    else if (question && feature === JUDGED.probability) {
      asked.push({ feature: 'calibration', group: null, cause: 'calibration', ...question });
    } else if (question) asked.push({ feature, group: null, cause: causeOf(feature, media), ...question });
  }
  const groups = askGroups(reference, window, options);
  asked.push(...groups.asked);
  const permutations = permutationsFor(asked.length + others.length, options.alpha, options.permutations);
  const answers = asked.map(({ test, feature, group }) =>
    permutationTest(test, permutations, new Random(`${options.seed}/drift/${feature}/${group ?? ''}`)),
  );
  const holm = holmAdjust([...answers.map(({ pValue }) => pValue), ...others]);
  const features = asked.map(({ feature, group, cause, n, describe }, i): FeatureDrift => {
    const said = describe(answers[i].observed);
    const moved = holm[i] <= options.alpha && said.effect >= said.floor;
    return { feature, group, cause, ...said, n, pValue: answers[i].pValue, holm: holm[i], moved };
  });
  return { features, permutations, untested, smallGroups: groups.small, others: holm.slice(asked.length) };
}

/** Whether scores moved within each group of a column, whatever the mix of groups. */
function askGroups(reference: Sample, window: Sample, options: CheckSettings): { asked: Asked[]; small: string[] } {
  const asked: Asked[] = [];
  const small: string[] = [];
  for (const name of options.by) {
    const columns = [reference, window].map(({ features }) => features.get(`group.${name}`));
    const [ours, theirs] = columns.map((column) => (column ? asCategories(column) : null));
    if (!ours || !theirs) continue;
    const bySize = [...counted(theirs).entries()].sort(([, a], [, b]) => b - a).map(([value]) => value);
    for (const value of bySize.slice(0, MOST_GROUPS)) {
      const group = `${name}=${value}`;
      const part = (sample: Sample, column: typeof ours): Part => ({ sample, rows: rowsOf(column, value) });
      const question = ask('logit', part(reference, ours), part(window, theirs), options);
      if (typeof question === 'string') small.push(group);
      else if (question) asked.push({ feature: 'logit', group, cause: 'scores', ...question });
    }
    small.push(...bySize.slice(MOST_GROUPS).map((value) => `${name}=${value}`));
  }
  return { asked, small };
}

/** @returns null where nothing can have moved, or in words why it cannot be tested */
function ask(feature: string, reference: Part, window: Part, options: CheckSettings): Question | string | null {
  const columns = [reference, window].map(({ sample }) => sample.features.get(feature));
  const [ours, theirs] = columns;
  if (feature === JUDGED.probability) return ours && theirs ? askResiduals(reference, window, options) : null;
  if (!ours || !theirs) return `only the ${ours ? 'reference' : 'window'} has it`;
  if (feature === 'embedding') return askEnergy(reference, window, options);
  return ours.type === 'number' && theirs.type === 'number'
    ? askNumbers([reference, window], [ours, theirs], options)
    : askCategories([reference, window], [asCategories(ours), asCategories(theirs)], options);
}

type NumberColumn = Extract<FeatureColumn, { type: 'number' }>;
type CategoryColumn = Extract<FeatureColumn, { type: 'category' }>;

function askNumbers(parts: readonly Part[], columns: readonly NumberColumn[], options: CheckSettings) {
  const [reference, window] = parts.map((part, i) => numbersOf(part, columns[i]));
  const few = tooFew([reference.values.length, window.values.length], [reference, window], options);
  if (few) return few;
  const first = reference.values[0];
  if (reference.values.every((value) => value === first) && window.values.every((value) => value === first))
    return null;
  const [before, after] = [summarise(reference.values), summarise(window.values)];
  return {
    test: new NumbersTest(reference, window),
    n: { reference: before.n, window: after.n },
    describe: (observed: Float64Array): Described => ({
      test: 'numbers',
      effect: effectOfNumbers(before, observed[KS], observed[WASSERSTEIN]),
      floor: options.floors.numbers,
      statistics: { ks: observed[KS], wasserstein: observed[WASSERSTEIN] },
      reference: before,
      window: after,
    }),
  };
}

function askCategories(parts: readonly Part[], columns: readonly CategoryColumn[], options: CheckSettings) {
  const names = sharedNames(columns);
  const codeOf = new Map(names.map((name, code) => [name, code]));
  const [reference, window] = parts.map((part, i) => categoriesOf(part, columns[i], codeOf));
  const few = tooFew([reference.codes.length, window.codes.length], [reference, window], options);
  if (few) return few;
  const shares = [reference, window].map(({ codes }) => {
    const counts = new Float64Array(names.length);
    for (const code of codes) counts[code] += 1 / codes.length;
    return counts;
  });
  if (names.filter((_, code) => shares[0][code] + shares[1][code] > 0).length < 2) return null;
  const effect = effectOfCategories(shares[0], shares[1]);
  const said = (of: Float64Array, n: number): CategoryShares => ({
    n,
    shares: names.map((name, code) => ({ name, share: of[code] })).sort((a, b) => b.share - a.share),
  });
  return {
    test: new CategoriesTest(reference, window, names.length),
    n: { reference: reference.codes.length, window: window.codes.length },
    describe: (observed: Float64Array): Described => ({
      test: 'categories',
      effect,
      floor: options.floors.categories,
      statistics: { g: observed[0] },
      reference: said(shares[0], reference.codes.length),
      window: said(shares[1], window.codes.length),
    }),
  };
}

function askResiduals(first: Part, second: Part, options: CheckSettings): Question | string {
  const [reference, window] = [first, second].map(residualsOf);
  const rows = [reference.label.length, window.label.length];
  const few = tooFew(rows, [reference, window], options);
  if (few) return few;
  return {
    test: new ResidualsTest(reference, window),
    n: { reference: rows[0], window: rows[1] },
    describe: ([confidence, side, slope]): Described => ({
      test: 'residuals',
      effect: Math.max(confidence, side),
      floor: options.floors.calibration,
      statistics: { confidence, side, slope },
      reference: null,
      window: null,
    }),
  };
}

function residualsOf({ sample }: Part) {
  const [labels, said] = [JUDGED.label, JUDGED.probability].map((name) => sample.features.get(name) as NumberColumn);
  const judged = Int32Array.from(labels.values.keys()).filter((row) => !Number.isNaN(labels.values[row]));
  const { values: label, cluster, clusters } = numbersOf({ sample, rows: judged }, labels);
  return { label, cluster, clusters, probability: Float64Array.from(judged, (row) => said.values[row]) };
}

function askEnergy(first: Part, second: Part, options: CheckSettings): Question | string {
  const [reference, window] = [first, second].map(vectorsOf);
  const rows = [reference.cluster.length, window.cluster.length];
  const few = tooFew(rows, [reference, window], options);
  if (few) return few;
  const test = new EnergyTest(reference, window);
  return {
    test,
    n: { reference: rows[0], window: rows[1] },
    describe: (observed): Described => ({
      test: 'energy',
      // Of two normal distributions it is near to the square of how far they are apart; the root is on the scale of other effects.
      effect: Math.sqrt(observed[0] / test.spread),
      floor: options.floors.numbers,
      statistics: { energy: observed[0] },
      reference: null,
      window: null,
    }),
  };
}

function tooFew(rows: readonly number[], of: readonly { readonly clusters: number }[], { least }: CheckSettings) {
  for (const [i, side] of (['reference', 'window'] as const).entries()) {
    if (rows[i] < least.rows) return `the ${side} has ${rows[i]} of at least ${least.rows} values`;
    if (of[i].clusters < least.clusters)
      return `the ${side} has ${of[i].clusters} of at least ${least.clusters} clusters`;
  }
  return null;
}

/** Visits the observations of a part, with the place of each in its column and a code of its cluster among them. */
function observe({ sample, rows }: Part, sides: number, visit: (at: number, cluster: () => number) => void): number {
  const codes = new Int32Array(sample.clusters).fill(-1);
  let clusters = 0;
  const count = rows ? rows.length : sample.rows;
  for (let i = 0; i < count; i++) {
    const row = rows ? rows[i] : i;
    const of = sample.cluster[row];
    const cluster = (): number => {
      if (codes[of] < 0) codes[of] = clusters++;
      return codes[of];
    };
    for (let side = 0; side < sides; side++) visit(row * sides + side, cluster);
  }
  return clusters;
}

function numbersOf(part: Part, { values: all, sides }: NumberColumn) {
  const values: number[] = [];
  const cluster: number[] = [];
  const clusters = observe(part, sides, (at, of) => {
    if (Number.isNaN(all[at])) return;
    values.push(all[at]);
    cluster.push(of());
  });
  return { values: Float64Array.from(values), cluster: Int32Array.from(cluster), clusters };
}

function categoriesOf(part: Part, { names, codes: all, sides }: CategoryColumn, codeOf: ReadonlyMap<string, number>) {
  const translated = names.map((name) => codeOf.get(name) ?? codeOf.get(OTHERS)!);
  const codes: number[] = [];
  const cluster: number[] = [];
  const clusters = observe(part, sides, (at, of) => {
    codes.push(all[at] < 0 ? codeOf.get(MISSING)! : translated[all[at]]);
    cluster.push(of());
  });
  return { codes: Int32Array.from(codes), cluster: Int32Array.from(cluster), clusters };
}

/** The first rows that have a vector: which clusters come first is by chance. */
function vectorsOf({ sample }: Part) {
  const column = sample.features.get('embedding') as NumberColumn;
  const { sides, values } = column;
  const codes = new Map<number, number>();
  const rows: number[] = [];
  const order = clustersByChance(sample);
  for (const row of order) {
    if (rows.length === ENERGY_ROWS) break;
    if (!Number.isNaN(values[row * sides])) rows.push(row);
  }
  const cluster = Int32Array.from(rows, (row) => {
    const of = sample.cluster[row];
    const code = codes.get(of) ?? codes.size;
    codes.set(of, code);
    return code;
  });
  const own = new Float64Array(rows.length * sides);
  rows.forEach((row, i) => {
    own.set(values.subarray(row * sides, (row + 1) * sides), i * sides);
  });
  return { values: own, columns: sides, cluster, clusters: codes.size };
}

/** All rows, cluster after cluster in random order, the same one each time. */
function clustersByChance({ rows, cluster, clusters }: Sample): Uint32Array {
  const place = new Random('drift/energy').permutation(clusters);
  const order = Uint32Array.from({ length: rows }, (_, row) => row);
  return order.sort((a, b) => place[cluster[a]] - place[cluster[b]] || a - b);
}

/** Numbers as words where the other side has words. */
function asCategories(column: FeatureColumn): CategoryColumn {
  if (column.type === 'category') return column;
  const names: string[] = [];
  const codes = new Map<number, number>();
  const coded = Int32Array.from(column.values, (value) => {
    if (Number.isNaN(value)) return -1;
    if (!codes.has(value)) codes.set(value, names.push(String(value)) - 1);
    return codes.get(value)!;
  });
  return { type: 'category', sides: column.sides, names, codes: coded };
}

/** How many rows have each value. */
function counted({ names, codes }: CategoryColumn): Map<string, number> {
  const counts = new Float64Array(names.length);
  for (const code of codes) if (code >= 0) counts[code]++;
  return new Map(names.map((name, code) => [name, counts[code]]));
}

function rowsOf({ names, codes }: CategoryColumn, value: string): Int32Array {
  const wanted = names.indexOf(value);
  return wanted < 0 ? new Int32Array(0) : Int32Array.from(codes.keys()).filter((row) => codes[row] === wanted);
}

/** The most frequent names of both sides together, and what stands for the rest, and for none. */
function sharedNames(columns: readonly CategoryColumn[]): string[] {
  const totals = new Map<string, number>();
  for (const column of columns) {
    for (const [name, count] of counted(column)) totals.set(name, (totals.get(name) ?? 0) + count);
  }
  const frequent = [...totals].sort(([, a], [, b]) => b - a).map(([name]) => name);
  return [...frequent.slice(0, MOST_CATEGORIES), ...(frequent.length > MOST_CATEGORIES ? [OTHERS] : []), MISSING];
}
