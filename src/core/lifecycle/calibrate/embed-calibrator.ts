import { withAtomicOutput } from '../../bytes/output.js';
import type { Calibrator } from '../../calibration/calibrator.js';
import { calibratedManifest, embedCalibrator, embeddedOutputs } from '../../calibration/embed.js';
import { checkEmbedded } from '../../calibration/embed-gate.js';
import { HpsError } from '../../errors.js';
import { type Budget, withDefaults } from '../../gate/budget.js';
import { type GateProgress, runGate } from '../../gate/gate.js';
import type { GateLevel, GateReport } from '../../gate/report.js';
import { checkModel } from '../../onnx/check.js';
import { type LineageStep, MANIFEST_KEY, manifestOf } from '../../onnx/manifest.js';
import { opsetOf, setMetadata } from '../../onnx/model.js';
import { openOnnx } from '../../onnx/read.js';
import { writeOnnx } from '../../onnx/write.js';
import { gateFailed } from '../../release/gate-failed.js';

export interface EmbedOptions {
  /** The model without the calibrator, and the one to write. */
  readonly model: string;
  readonly out: string;
  /** Files the output must not be. */
  readonly inputs: readonly string[];
  readonly calibrator: Calibrator;
  readonly step: LineageStep;
  readonly gate: GateLevel;
  readonly budget?: Budget;
  readonly seed: number;
  readonly force: boolean;
  readonly onGate?: (progress: GateProgress) => void;
  readonly signal?: AbortSignal;
}

export interface EmbeddedModel {
  readonly out: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly gate: GateReport;
}

/**
 * Writes a model with a calibrator inside. The target changes only when the gate passed: all that the model gave before is as it
 * was, and what is new is the fitted map of it.
 *
 * @throws HpsError as `embedCalibrator`; ONNX_UNSUPPORTED for a file without a manifest; GATE_FAILED; the OUTPUT_… codes
 */
export async function embedInModel(options: EmbedOptions): Promise<EmbeddedModel> {
  const { calibrator, out, force, inputs } = options;
  const file = openOnnx(options.model);
  try {
    const { model, source, externalFiles } = file;
    checkModel(model, source.name);
    const manifest = manifestOf(model, source.name);
    if (!manifest) {
      throw new HpsError('ONNX_UNSUPPORTED', `${source.name}: has no manifest that says what it decides by`, {
        hint: 'Embed into a file that `hpsv3 export` wrote.',
        details: { file: source.name },
      });
    }
    const embedded = embedCalibrator(model, manifest, calibrator, source.name);
    const metadataProps = embedded.metadataProps.map((entry) => ({ ...entry }));
    const withMetadata = { ...embedded, metadataProps };
    const lineage = [...manifest.lineage, options.step];
    setMetadata(withMetadata, MANIFEST_KEY, JSON.stringify({ ...calibratedManifest(manifest, calibrator), lineage }));
    return await withAtomicOutput(
      out,
      { force, inputs: [...inputs, ...externalFiles.map(({ path }) => path)] },
      async (output) => {
        const externalData = externalFiles.length > 0;
        const written = await writeOnnx(withMetadata, output, { externalData, signal: options.signal });
        const gate = await judge(output.path(), opsetOf(model)!, options);
        if (!gate.passed) throw gateFailed(output.name, gate);
        return { out: output.name, sha256: written.model.sha256, bytes: written.model.byteLength, gate };
      },
    );
  } finally {
    file.close();
  }
}
/** The gate of every model that is written, and what only a calibrator can be asked. */
async function judge(candidate: string, opset: number, options: EmbedOptions): Promise<GateReport> {
  const { model: source, calibrator, gate: level, seed, signal, onGate: onProgress } = options;
  const budget = withDefaults('calibrate', options.budget);
  const report = await runGate({
    candidate,
    reference: { kind: 'model', path: source },
    budgetKind: 'calibrate',
    budget: options.budget,
    level,
    seed: String(seed),
    signal,
    onProgress,
  });
  if (level === 'off') return report;
  const checks = await checkEmbedded({
    source,
    candidate,
    outputs: embeddedOutputs(calibrator),
    curve: calibrator.parameters,
    level,
    budget: budget.probability ?? 0,
    opset,
    seed: String(seed),
    signal,
    onProgress,
  });
  return {
    ...report,
    passed: report.passed && checks.every(({ passed }) => passed),
    checks: [...report.checks, ...checks],
  };
}
