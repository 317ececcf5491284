import { rowsWarnings } from '../data/row-counts.js';
import type { Figures } from '../ensemble/figures.js';
import type { ApplyEnsembleReport } from '../lifecycle/ensemble/apply.js';
import type { MakeEnsembleReport } from '../lifecycle/ensemble/fit.js';
import type { InputRows } from '../lifecycle/ensemble/inputs.js';
import type { MergeEnsembleReport } from '../lifecycle/ensemble/merge.js';
import type { Estimate } from '../stats/bootstrap.js';
import { formatBytes, formatCount, formatHash, printable } from './format.js';
import { formatGate } from './render-gate.js';
import { formatTable, terminalWidth } from './table.js';

const percent = (value: number): string => `${(100 * value).toFixed(1)} %`;

/** Three decimals, without the sign of a zero. */
const decimals = (value: number): string => value.toFixed(3).replace(/^-(0\.0*)$/, '$1');

/** `0.748 [0.712, 0.781]`; a dash for a figure that is undefined. */
function formatEstimate({ value, ci }: Estimate): string {
  if (value === null) return '-';
  return ci === null ? decimals(value) : `${decimals(value)} [${ci.map(decimals).join(', ')}]`;
}

const figureCells = ({ accuracy, auc, nll }: Figures): string[] => [accuracy, auc, nll].map(formatEstimate);

/** The text of `hpsv3 ensemble --fit` and `--weights`: members beside the ensemble, then the verdict. */
export function formatMadeEnsemble(report: MakeEnsembleReport): string {
  const names = Object.keys(report.weights);
  const shareOf = (name: string): string => percent(report.shares[name]);
  const written = [report.out, report.outScores].filter((name) => name !== null).map(printable);
  const outputs = written.length > 0 ? `\nWritten: ${written.join(', ')}.` : '';
  if (report.n === null) {
    const rows = names.map((name) => [name, report.weights[name].toPrecision(4)]);
    return `${formatTable(['member', 'weight'], rows, { width: terminalWidth() })}\nNot judged: no labels were given.${outputs}`;
  }
  const rows = names.map((name) => [
    name,
    report.weights[name].toPrecision(4),
    shareOf(name),
    ...figureCells(report.single[name]),
    formatEstimate(report.leaveOneOut[name].accuracy),
  ]);
  const headers = ['member', 'weight', 'share', 'accuracy', 'auc', 'log loss', 'accuracy it adds'];
  const table = formatTable(headers, [...rows, ['ensemble', '', '', ...figureCells(report.ensemble), '']], {
    width: terminalWidth(),
  });
  return `${table}\n${judged(report)}\n${describeVerdict(report)}${outputs}`;
}

function judged({ n, clusters, fit, disagreement }: MakeEnsembleReport & { n: number }): string {
  const how =
    fit === null
      ? 'weights given by hand'
      : `figures out of fold, ${fit.folds} folds, penalty ${fit.penalty.toPrecision(2)}`;
  const unanimous =
    disagreement === null ? '' : ` All members agree on ${percent(disagreement.unanimous)} of the pairs.`;
  return `${formatCount(n)} pairs in ${formatCount(clusters ?? 0)} clusters; ${how}.${unanimous}`;
}

const VERDICTS = {
  better: 'The ensemble is better than the best single member',
  worse: 'The ensemble is worse than the best single member',
  undecided: 'Undecided whether the ensemble is better than the best single member',
} as const;

function describeVerdict({ comparison, best }: MakeEnsembleReport & { n: number }): string {
  const { verdict, difference, ci } = comparison!;
  const points = (value: number): string => `${value > 0 ? '+' : ''}${(100 * value).toFixed(1)}`;
  const figure = difference === null ? '' : `: ${points(difference)} points of accuracy`;
  const interval = ci === null ? '' : ` [${points(ci[0])}, ${points(ci[1])}]`;
  return `${VERDICTS[verdict]} (${printable(best!)})${figure}${interval}.`;
}

/** The text of `hpsv3 ensemble --apply` on scores. */
export function formatAppliedEnsemble({ out, sha256, n, missing, disagreement }: ApplyEnsembleReport): string {
  const lines = [`${printable(out)}: ${formatCount(n)} rows, sha256 ${formatHash(sha256)}.`];
  for (const [name, count] of Object.entries(missing)) {
    if (count > 0)
      lines.push(`${printable(name)} has no score for ${formatCount(count)} of them: there it counts as a logit of 0.`);
  }
  if (disagreement) lines.push(`All members agree on ${percent(disagreement.unanimous)} of them.`);
  return lines.join('\n');
}

/** The text of `hpsv3 ensemble --member …`: what was written, then what the gate found. */
export function formatMergedEnsemble(report: MergeEnsembleReport): string {
  const { out, bytes, sha256, externalData, members, modality, mode, opset, nodes, shared } = report;
  const rows = [
    ['out', out, `${formatBytes(bytes)}, sha256 ${formatHash(sha256)}`],
    ...(externalData
      ? [
          [
            'weights',
            externalData.name,
            `${formatBytes(externalData.bytes)}, sha256 ${formatHash(externalData.sha256)}`,
          ],
        ]
      : []),
    ...members.map(({ file, weight }) => ['member', file, `weight ${weight.toPrecision(4)}`]),
    ['model', ['ensemble', modality, mode].filter(Boolean).join(' '), `opset ${opset}, ${formatCount(nodes)} nodes`],
    ['shared', `${formatCount(shared.initializers)} initializers`, `${formatBytes(shared.bytes)} stored once`],
  ];
  return `${formatTable(['what', 'value', 'note'], rows, { width: terminalWidth() })}\n\n${formatGate(report.gate)}`;
}

/** What of the rows of each file a reader should know. */
export const describeInputRows = ({ labels, scores, errors }: InputRows): string[] => [
  ...[...(labels ? [['Labels', labels] as const] : []), ...Object.entries(scores)].flatMap(([name, report]) =>
    rowsWarnings(name, report).map(printable),
  ),
  ...(errors === undefined ? [] : [`The refused rows are in ${printable(errors)}.`]),
];
