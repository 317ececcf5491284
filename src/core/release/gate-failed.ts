import { HpsError } from '../errors.js';
import type { GateReport } from '../gate/report.js';

/** The gate's "no" as an error (exit 3), for the commands that then leave their target as it was; the report is in its details. */
export function gateFailed(file: string, gate: GateReport): HpsError {
  const failed = gate.checks.filter(({ passed }) => !passed);
  const moved = gate.firstMoved ? `; first output that moved: ${gate.firstMoved.output}` : '';
  return new HpsError(
    'GATE_FAILED',
    `${file}: the gate failed (${failed.map(({ name }) => name).join(', ')})${moved}`,
    {
      hint: `${failed[0]?.detail ?? ''} Nothing was written.`.trim(),
      details: { gate },
    },
  );
}
