import type { ExportReport } from '../lifecycle/export/export.js';
import { formatBytes, formatCount, formatHash } from './format.js';
import { formatGate } from './render-gate.js';
import { remoteFacts } from './render-remote.js';
import { formatTable, terminalWidth } from './table.js';

/** The text of `hpsv3 export`: what was written, then what was checked. */
export function formatExport(report: ExportReport): string {
  const { out, sha256, bytes, externalData, architecture, modality, mode, dtype, opset, nodes, parameters, tensors } =
    report;
  const rows = [
    ['out', out, sha256 === null ? 'not written (dry run)' : describeFile(bytes, sha256)],
    ...(externalData ? [['weights', externalData.name, describeFile(externalData.bytes, externalData.sha256)]] : []),
    ['model', [architecture, modality, mode].filter(Boolean).join(' '), `opset ${opset}, ${dtype}`],
    ['graph', `${formatCount(nodes)} nodes`, `${formatCount(parameters)} parameters`],
    ['tensors', `${formatCount(tensors.used)} used`, `${formatCount(tensors.ignored.length)} ignored`],
    ...remoteFacts(report.remote).map((row) => [...row, '']),
  ];
  const facts = formatTable(['what', 'value', 'note'], rows, { width: terminalWidth() });
  return report.gate === null ? facts : `${facts}\n\n${formatGate(report.gate)}`;
}

const describeFile = (bytes: number | null, sha256: string): string =>
  `${formatBytes(bytes ?? 0)}, sha256 ${formatHash(sha256)}`;
