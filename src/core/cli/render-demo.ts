import type { DemoReport } from '../lifecycle/demo.js';
import { formatBytes, formatCount } from './format.js';
import { formatTable, terminalWidth } from './table.js';

/** The text of `hpsv3 demo`: one row a modality. */
export function formatDemo({ folder, checkpoint, parameters, rows, passed }: DemoReport): string {
  const columns = [
    'modality',
    'file',
    'size',
    'parameters',
    'nodes',
    'folded',
    'pairs',
    'flips',
    'max score diff',
    'seconds',
  ];
  const cells = rows.map((row) => [
    row.modality,
    row.file,
    formatBytes(row.bytes),
    formatCount(row.parameters),
    row.nodes,
    row.optimizedNodes,
    row.pairs,
    row.flips,
    row.maxScoreDiff === 0 ? 0 : row.maxScoreDiff.toExponential(1),
    row.seconds.toFixed(1),
  ]);
  const verdict = passed
    ? 'Every folded file decides every pair as the plain one does.'
    : 'Some folded file decides differently: see the flips.';
  return [
    '',
    formatTable(columns, cells, { width: terminalWidth() }),
    '',
    verdict,
    `The weights of ${checkpoint} (${formatCount(parameters)} values) are random: the scores mean nothing yet. Everything is in ${folder}/.`,
  ].join('\n');
}
