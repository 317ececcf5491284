import type { Diagnosis } from '../lifecycle/doctor/doctor.js';
import { formatBytes } from './format.js';
import { formatTable, terminalWidth } from './table.js';

/** The text of `hpsv3 doctor`: what there is, then what to do. */
export function formatDiagnosis(diagnosis: Diagnosis): string {
  const { hpsv3, node, platform, packages, devices, tools, temporaryFiles, telemetry, advice } = diagnosis;
  const rows = [
    ['hpsv3', hpsv3, ''],
    ['node', node.version, node.supported ? '' : `needs ${node.required}`],
    ['platform', `${platform.os} ${platform.arch}`, `${platform.cores} cores, ${formatBytes(platform.memoryBytes)}`],
    ...packages.map(({ name, version, optional, loads, use }) => [
      name,
      version ?? 'not installed',
      loads === false ? 'does not load' : `${use}${optional ? ' (optional)' : ''}`,
    ]),
    ...devices.map(({ name, state, note }) => [`device ${name}`, state, note]),
    ...tools.map(({ name, found, use }) => [name, found ? 'found' : 'not found', `${use} (optional)`]),
    ['temporary files', temporaryFiles, ''],
    ['telemetry', telemetry, 'nothing leaves this machine'],
  ];
  const steps = advice.length === 0 ? 'Nothing is missing.' : advice.map((line) => `- ${line}`).join('\n');
  return `${formatTable(['what', 'state', 'note'], rows, { width: terminalWidth() })}\n\n${steps}`;
}
