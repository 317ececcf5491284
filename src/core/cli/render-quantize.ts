import type { CalibrationFacts, QuantizeReport } from '../lifecycle/quantize/quantize.js';
import { formatBytes, formatCount, formatHash } from './format.js';
import { formatEstimate, formatFigure } from './render-figures.js';
import { formatGate } from './render-gate.js';
import { formatTable, terminalWidth } from './table.js';

/** Excluded nodes shown before the rest is counted. */
const SHOWN = 10;

/** The text of `hpsv3 quantize`: what was written, what stayed float and why, then the gate's answer. */
export function formatQuantize(report: QuantizeReport): string {
  const { scheme, out, beside, sha256, bytes, ratio, latency, accuracy, quantized, excluded, calibration, gate } =
    report;
  const rows = [
    [
      'out',
      out,
      sha256 === null ? 'not written (dry run)' : `${formatBytes(bytes ?? 0)}, sha256 ${formatHash(sha256)}`,
    ],
    ['scheme', scheme, `${formatCount(quantized)} nodes quantized, ${formatCount(excluded.length)} left as they were`],
    ...(calibration === null ? [] : [calibrationRow(calibration)]),
    ...(report.processor === null ? [] : [['processor', report.processor, PROCESSOR_NOTES[report.processor]]]),
    ...beside.map((file) => [
      'beside',
      file,
      /\.pareto\.(svg|png)$/.test(file) ? 'size, speed and flips of all that auto tried' : '',
    ]),
    ...(ratio === null ? [] : [['size', `${ratio.toFixed(2)} times smaller`, '']]),
    ...(latency === null
      ? []
      : [
          ['speed', `${latency.ratio.toFixed(2)} times float`, `${ms(latency.quantized)} against ${ms(latency.float)}`],
        ]),
    ...(accuracy === undefined
      ? []
      : [
          [
            'accuracy',
            `${percent(accuracy.quantized)} (float ${percent(accuracy.float)})`,
            `${formatCount(accuracy.pairs)} judged pairs, McNemar p ${accuracy.pValue.toPrecision(2)}`,
          ],
        ]),
    ...(report.bestOf?.picks ?? []).map((pick) => [
      `best of ${pick.n}`,
      `${formatFigure(pick.quantized.value)} (float ${formatFigure(pick.float.value)})`,
      `human score of the pick, ${formatCount(pick.prompts)} held-out prompts; difference ${formatEstimate({ value: pick.difference, ci: pick.ci })}`,
    ]),
  ];
  const facts = formatTable(['what', 'value', 'note'], rows, { width: terminalWidth() });
  const left = excluded.slice(0, SHOWN).map(({ node, why }) => [node, why]);
  const more = excluded.length > SHOWN ? `\n… and ${formatCount(excluded.length - SHOWN)} more (--json lists all)` : '';
  const kept =
    left.length === 0 ? '' : `\n\n${formatTable(['not quantized', 'why'], left, { width: terminalWidth() })}${more}`;
  return `${facts}${kept}${gate === null ? '' : `\n\n${formatGate(gate)}`}`;
}

function calibrationRow({ calibrator, rows, equalization: { values, gains } }: CalibrationFacts): string[] {
  const added = gains === 0 ? '' : `, ${formatCount(gains)} of them by an added multiplication`;
  const note = values === 0 ? '' : `channels of ${formatCount(values)} values equalized${added}`;
  return ['calibration', `${calibrator}, ${formatCount(rows)} rows`, note];
}

const PROCESSOR_NOTES = {
  any: 'weights of 7 to 8 bits, so that integer sums are exact everywhere',
  vnni: 'weights of 8 bits; refused where integer sums are cut off',
};

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
const ms = (value: number): string => `${value.toPrecision(3)} ms`;
