import { CAUSE_WORDS, CAUSES, type Cause } from './causes.js';
import type { WindowFindings } from './check-window.js';
import type { CategoryShares, FeatureDrift } from './compare.js';
import type { DriftVerdict } from './document.js';
import type { NumberSummary } from './numbers.js';
import type { DriftState } from './state.js';

export interface Judgement {
  readonly verdict: DriftVerdict;
  /** What moved: causes before what follows from them. */
  readonly causes: readonly Cause[];
  /** In words, the first the one that matters. */
  readonly reasons: readonly string[];
}

/** What the findings come to. @param rows - of the window, and how many of them were refused */
export function judgeFindings(
  { identity, comparison, calibration }: WindowFindings,
  monitors: DriftState['monitors'],
  rows: { readonly count: number; readonly clusters: number; readonly least: { rows: number; clusters: number } },
): Judgement {
  if (identity.length > 0) {
    const reasons = identity.map(
      ({ field, reference, window }) =>
        `${FIELD_WORDS[field]}: ${short(window)}, where the reference has ${short(reference)}.`,
    );
    return { verdict: 'identity-changed', causes: ['identity'], reasons };
  }
  const moved = (comparison?.features ?? []).filter((feature) => feature.moved);
  const spoke = monitors.filter(({ alarm }) => alarm !== null);
  const found = new Set<Cause>([
    ...moved.map(({ cause }) => cause),
    ...(calibration?.moved ? (['calibration'] as const) : []),
    ...spoke.map(({ of }) => of),
  ]);
  const causes = CAUSES.filter((cause) => found.has(cause));
  const reasons = [
    ...causes.flatMap((cause) => moved.filter((feature) => feature.cause === cause).map(featureReason)),
    ...(calibration?.moved
      ? [
          `Probabilities do not hold: calibration error ${calibration.ece.toFixed(3)} over ${calibration.n} judged pairs, p = ${p(calibration.holm)}.`,
        ]
      : []),
    ...spoke.map(
      ({ of, group, alarm, mostLogE }) =>
        `The monitor of ${of}${group ? ` in ${group}` : ''} spoke at its look ${alarm!.look}, after ${alarm!.n} clusters: evidence ${evidence(mostLogE)}.`,
    ),
  ];
  if (causes.length > 0) {
    const lead = causes[0];
    const follows = causes.slice(1).map((cause) => CAUSE_WORDS[cause]);
    const first = `What moved is ${CAUSE_WORDS[lead]}${follows.length > 0 ? `; ${follows.join(' and ')} moved with it` : ''}.`;
    return { verdict: 'drift', causes, reasons: [first, ...reasons] };
  }
  if (comparison === null || comparison.features.length === 0) {
    const { least, count, clusters } = rows;
    const why =
      comparison === null
        ? `${count} rows of ${clusters} clusters: a window takes ${least.rows} of ${least.clusters}`
        : 'no feature is in both with enough values, or none can have moved';
    return { verdict: comparison === null ? 'not-enough-data' : 'no-drift', causes: [], reasons: [`${upper(why)}.`] };
  }
  const asked = comparison.features.length + (calibration ? 1 : 0);
  return {
    verdict: 'no-drift',
    causes: [],
    reasons: [`Nothing moved by as much as counts, of ${asked} questions asked.`],
  };
}

const FIELD_WORDS = {
  model: 'Another model scores',
  calibrator: 'Another calibrator',
  preprocessing: 'Inputs are prepared otherwise',
  runtime: 'Another runtime',
  calibrated: 'Whether scores are calibrated',
  'score-map': 'Scores follow from logits otherwise, as by another calibrator',
} as const;

const short = (names: readonly string[]): string => names.slice(0, 3).join(', ');
const upper = (text: string): string => text[0].toUpperCase() + text.slice(1);
const p = (value: number): string => (value < 0.001 ? value.toExponential(0) : value.toFixed(3));

/** e-values can be beyond what a number holds. */
export const evidence = (logE: number): string =>
  logE < 14 ? Math.exp(logE).toPrecision(3) : `10^${Math.floor(logE / Math.LN10)}`;

function featureReason(feature: FeatureDrift): string {
  const { feature: name, group, effect, holm, reference, window, test } = feature;
  if (test === 'residuals') {
    return `What a score means to raters changed by ${effect.toFixed(3)}, p = ${p(holm)}.`;
  }
  const how =
    test === 'numbers'
      ? `median ${median(reference as NumberSummary)} to ${median(window as NumberSummary)}`
      : test === 'categories'
        ? changedShares(feature)
        : 'embeddings lie elsewhere';
  return `${name}${group ? ` in ${group}` : ''}: ${how}; effect ${effect.toFixed(2)}, p = ${p(holm)}.`;
}

const median = ({ quartiles }: NumberSummary): string => String(Number(quartiles[1].toPrecision(4)));

/** The category whose share grew most. */
function changedShares({ reference, window }: FeatureDrift): string {
  const before = new Map((reference as CategoryShares).shares.map(({ name, share }) => [name, share]));
  const changes = (window as CategoryShares).shares.map(({ name, share }) => ({
    name,
    share,
    was: before.get(name) ?? 0,
  }));
  const most = changes.reduce((a, b) => (b.share - b.was > a.share - a.was ? b : a));
  const percent = (value: number): string => `${(100 * value).toFixed(1)} %`;
  return `${most.name} ${percent(most.was)} to ${percent(most.share)}`;
}
