import { curvesOf, spanWords } from '../data/score-windows.js';
import type { ExplainedWindows } from '../explanation/document.js';
import type { ExplainReport } from '../lifecycle/explain/explain.js';

/** The text of `hpsv3 explain`: what weighs most, and how far the numbers add up. */
export function formatExplanation(report: ExplainReport): string {
  const { samples, summary, failed, out, method, faithfulness } = report;
  if (summary.length > 0) {
    const groups = summary.map(
      ({ group, samples: count, units }) =>
        `${group} (${count}): ${units
          .slice(0, 5)
          .map(({ name, times }) => `${name} ${times}`)
          .join(', ')}`,
    );
    const lost = failed.length > 0 ? [`${failed.length} rows could not be explained.`] : [];
    return [
      samples.some(({ windows }) => windows)
        ? 'What decides most often in the worst windows:'
        : 'What decides most often:',
      ...groups.map((line) => `  ${line}`),
      ...faithful(faithfulness),
      ...lost,
      `See ${out}/index.html.`,
    ].join('\n');
  }
  const [{ kind, logit, baselineLogit, completeness, maps, check, windows }] = samples;
  const preferred = logit === 0 ? 'neither side is preferred' : `${logit > 0 ? 'left' : 'right'} is preferred`;
  return [
    ...(windows ? describeWindows(windows) : []),
    kind === 'pair' ? `${preferred}: logit ${figure(logit)}` : `utility logit ${figure(logit)}`,
    ...maps.map(({ side, kind: part, sum, top }) => {
      const own = sum === null ? '' : ` ${figure(sum)}`;
      const heavy = top.slice(0, 3).map(({ name, value }) => `${name} ${figure(value)}`);
      return `  ${side} ${part}${own}: ${heavy.join(', ')}`;
    }),
    ...(baselineLogit !== null && Math.abs(baselineLogit) > 1e-4
      ? [`  ${figure(baselineLogit)} is there without any part: ${kind === 'pair' ? EMPTY_SIDES : EMPTY_ITEM}.`]
      : []),
    ...(completeness
      ? [
          `The parts sum to ${figure(completeness.sum)} of ${figure(completeness.expected)} (${method}${completeness.nodes === null ? '' : `, ${completeness.nodes} nodes`}).`,
        ]
      : []),
    ...(check ? [`Checked: ${check.verdict}.`, ...check.reasons.map((reason) => `  ${reason}`)] : []),
    `See ${out}/index.html.`,
  ].join('\n');
}

const EMPTY_ITEM = 'it is the logit of an empty item';
const EMPTY_SIDES = 'sides of other sizes differ when they are empty, too';

/** What the whole came to, and which part of it is explained below. */
const describeWindows = (windows: ExplainedWindows): string[] => [
  `Scored in windows of ${windows.window}, one every ${windows.stride}: logit ${figure(windows.logit)} (${windows.aggregate}).`,
  ...curvesOf(windows).map(([side, { count, worst, best }]) => {
    const place = (window: typeof worst): string =>
      `${spanWords(window, windows.unit)} with logit ${figure(window.logit)}`;
    const name = side === 'item' ? '' : `${side}: `;
    if (count === 1) return `  ${name}1 window ${place(worst)}`;
    return `  ${name}${count} windows, the worst ${place(worst)}, the best ${place(best)}`;
  }),
  explainedWindow(windows),
];

/** What the numbers below are of; nothing is the worst where it is alone. */
function explainedWindow(windows: ExplainedWindows): string {
  const isAlone = curvesOf(windows).every(([, { count }]) => count === 1);
  if ('curve' in windows) return isAlone ? 'Explained:' : 'The worst window, explained by itself:';
  return isAlone ? 'Explained:' : 'The worst windows of both sides, explained by themselves:';
}

function faithful(found: ExplainReport['faithfulness']): string[] {
  if (!found) return [];
  const { samples, verdicts, deletion } = found;
  const ci = deletion.ci ? ` [${deletion.ci.map(figure).join(', ')}]` : '';
  return [
    `Checked on ${samples} rows: ${verdicts.trustworthy} trustworthy, ${verdicts.doubtful} doubtful, ${verdicts.untrustworthy} untrustworthy;`,
    `deletion is better than in random orders by ${figure(deletion.value ?? 0)}${ci}.`,
  ];
}

const figure = (value: number): string =>
  Math.abs(value) < 1e-3 && value !== 0 ? value.toExponential(1) : value.toFixed(3);
