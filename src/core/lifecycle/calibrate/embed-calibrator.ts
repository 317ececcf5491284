import type { Calibrator } from '../../calibration/calibrator.js';
import { calibratedManifest, embedCalibrator, embeddedOutputs } from '../../calibration/embed.js';
import { checkEmbedded } from '../../calibration/embed-gate.js';
import { HpsError } from '../../errors.js';
import { type Budget, withDefaults } from '../../gate/budget.js';
import { runGate } from '../../gate/gate.js';
import type { GateLevel, GateReport } from '../../gate/report.js';
import { checkModel } from '../../onnx/check.js';
import { type Manifest, manifestOf } from '../../onnx/manifest.js';
import { opsetOf } from '../../onnx/model.js';
import { type OnnxFile, openOnnx } from '../../onnx/read.js';
import type { PendingLineage } from '../../release/lineage.js';
import { ModelRelease, type ReleasedModel } from '../../release/model-release.js';
import { type Run, runOf } from '../../run.js';

export interface EmbeddingOptions extends Run {
  /** The model without the calibrator, and the one to write. */
  readonly model: string;
  readonly out: string;
  /** Files the output must not be. */
  readonly inputs: readonly string[];
  readonly gate: GateLevel;
  readonly budget?: Budget;
  readonly seed: number;
  readonly allowNonfinite?: boolean;
  readonly force: boolean;
}

/** A model that waits for its calibrator, with its place kept. */
export class Embedding {
  private constructor(
    private readonly file: OnnxFile,
    private readonly manifest: Manifest,
    private readonly release: ModelRelease,
    private readonly options: EmbeddingOptions,
  ) {}

  /** @throws HpsError ONNX_UNSUPPORTED for a file without a manifest; as `openOnnx` and `checkModel`; the OUTPUT_… codes */
  static async open(options: EmbeddingOptions): Promise<Embedding> {
    const file = openOnnx(options.model);
    try {
      const { model, source, externalFiles } = file;
      checkModel(model, source.name);
      const manifest = manifestOf(model, source.name) ?? refuseForeign(source.name);
      const inputs = [...options.inputs, ...externalFiles.map(({ path }) => path)];
      const suffixes = externalFiles.length > 0 ? ['.data'] : [];
      const release = await ModelRelease.reserve(options.out, { force: options.force, inputs, suffixes });
      return new Embedding(file, manifest, release, options);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /**
   * Publishes the model with the calibrator inside. All that it gave before is as it was, and what is new is the fitted map of it.
   * @throws HpsError as `embedCalibrator` and `ModelRelease.publish`
   */
  publish<Report extends object>(
    calibrator: Calibrator,
    lineage: PendingLineage,
    report: (released: ReleasedModel) => Report,
  ): Promise<Report> {
    const { file, manifest, options } = this;
    const { model, source, externalFiles } = file;
    const { allowNonfinite } = options;
    return this.release.publish(
      {
        model: embedCalibrator(model, manifest, calibrator, source.name),
        manifest: calibratedManifest(manifest, calibrator),
        lineage,
        externalData: externalFiles.length > 0,
        allowNonfinite,
      },
      {
        schema: 'calibration',
        judge: ({ path }) => judge(path, calibrator, opsetOf(model)!, options),
        report,
        ...runOf(options),
      },
    );
  }

  async close(): Promise<void> {
    await this.release.close();
    this.file.close();
  }
}

function refuseForeign(file: string): never {
  throw new HpsError('ONNX_UNSUPPORTED', `${file}: has no manifest that says what it decides by`, {
    hint: 'Embed into a file that `hpsv3 export` wrote.',
    details: { file },
  });
}

/** The gate of every model that is written, and what only a calibrator can be asked. */
async function judge(
  candidate: string,
  calibrator: Calibrator,
  opset: number,
  options: EmbeddingOptions,
): Promise<GateReport> {
  const { model: source, gate: level, seed, budget } = options;
  const common = { candidate, level, seed: String(seed), ...runOf(options) };
  const reference = { kind: 'model', path: source } as const;
  const report = await runGate({ ...common, reference, budgetKind: 'calibrate', budget });
  if (level === 'off') return report;
  const checks = await checkEmbedded({
    ...common,
    level,
    source,
    outputs: embeddedOutputs(calibrator),
    curve: calibrator.parameters,
    budget: withDefaults('calibrate', budget).probability ?? 0,
    opset,
  });
  return {
    ...report,
    passed: report.passed && checks.every(({ passed }) => passed),
    checks: [...report.checks, ...checks],
  };
}
