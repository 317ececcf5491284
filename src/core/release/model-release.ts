import { dirname } from 'node:path';
import { assertSpace } from '../bytes/free-space.js';
import { type OutputOptions, StagedOutput } from '../bytes/output.js';
import { outputError } from '../bytes/output-error.js';
import type { FileSink } from '../bytes/sink.js';
import { formatReport, type ReportName } from '../documents/reports.js';
import type { GateReport } from '../gate/report.js';
import { checkModel } from '../onnx/check.js';
import type { LineageStep, Manifest } from '../onnx/manifest.js';
import { MANIFEST_KEY } from '../onnx/manifest-names.js';
import { type OnnxModel, opsetOf } from '../onnx/model.js';
import { assertOpset } from '../onnx/opset.js';
import { type WrittenOnnx, writeOnnx } from '../onnx/write.js';
import { type Run, reporter } from '../run.js';
import { VERSION } from '../version.js';
import { gateFailed } from './gate-failed.js';
import { fillHashes, type PendingLineage, settled } from './lineage.js';
import { refuseNonFinite } from './nonfinite.js';

/** Producer of the graphs that hpsv3 builds, as `producer_name` states it. */
const OWN_PRODUCER = 'hpsv3';
export const REPORT_SUFFIX = '.report.json';

/** A model that is not released yet. */
export interface ModelDraft {
  readonly model: OnnxModel;
  /** With the lineage of what it was made from; null for a model that never had one, and then gets none. */
  readonly manifest: Manifest | null;
  /** The step that made it. */
  readonly lineage: PendingLineage;
  /** Weights in `NAME.data` beside the model, also where one file could hold them. */
  readonly externalData?: boolean;
  /** As `writeOnnx` takes it: which weights are read first. */
  readonly order?: (initializer: string) => number | undefined;
  /** Accept NaN and infinities among the weights; minus infinity is accepted anyhow in a model without manifest, where masks have it. */
  readonly allowNonfinite?: boolean;
}

/** A draft as it lies in the staging folder: whole, under its final name, for the gate to look at. */
export interface StagedModel {
  readonly path: string;
  readonly sha256: string;
  /** Of the .onnx file; external data come on top. */
  readonly bytes: number;
  readonly externalData: { readonly name: string; readonly sha256: string; readonly bytes: number } | null;
}

/** What a report can say of a model that passed; it is still staged, so that it can be measured. */
export interface ReleasedModel extends StagedModel {
  /** Base name. */
  readonly out: string;
  readonly gate: GateReport;
  /** The step of the draft, with the hashes of its inputs. */
  readonly step: LineageStep;
}

export interface PublishSteps<Report extends object> extends Run {
  /** Of the report. */
  readonly schema: ReportName;
  /** Looks at the staged model: nothing is released unless it passes. */
  judge(staged: StagedModel): Promise<GateReport>;
  /** Written as `NAME.report.json` beside the model, and returned. */
  report(released: ReleasedModel): Report | Promise<Report>;
  /** More small files beside the model, by what comes after its name. */
  readonly beside?: Readonly<Record<string, string | Uint8Array>>;
}

/**
 * A place that is kept for a model from before the work until the model may take it. The only way that a model gets to a path:
 * nothing is there, or what was there, until graph, opset, weights and gate have been checked; then the model, its external data
 * and its report appear together.
 *
 * ```ts
 * const release = await ModelRelease.reserve(out, { force, inputs });
 * try {
 *   return await release.publish({ model, manifest, lineage }, { judge, report });
 * } finally {
 *   await release.close();
 * }
 * ```
 */
export class ModelRelease {
  private constructor(
    private readonly output: StagedOutput,
    private readonly reportFile: FileSink,
  ) {}

  /**
   * Call it before the work: it refuses at once what could not be written after it.
   * @param suffixes - of files beside the model that are written only later
   * @throws HpsError OUTPUT_EXISTS for a model or report that is there without `force`, OUTPUT_INVALID, OUTPUT_BUSY
   */
  static async reserve(
    out: string,
    options: OutputOptions & { readonly suffixes?: readonly string[] },
  ): Promise<ModelRelease> {
    const output = await StagedOutput.open(out, options);
    try {
      for (const suffix of options.suffixes ?? []) output.check(`${output.name}${suffix}`);
      return new ModelRelease(output, await output.create(`${output.name}${REPORT_SUFFIX}`));
    } catch (error) {
      await output.discard();
      throw error;
    }
  }

  /** Base name of the model. */
  get name(): string {
    return this.output.name;
  }

  /**
   * Writes a draft beside its place, has it judged, and moves it there with its report. A draft that is refused leaves the place
   * kept, so that another can be tried.
   *
   * @throws HpsError ONNX_CORRUPT, ONNX_UNSUPPORTED, OPSET_UNSUPPORTED as `assertReleasable`; NONFINITE_WEIGHTS; GATE_FAILED with
   *   the gate's report in `details`; OUTPUT_WRITE_FAILED
   */
  async publish<Report extends object>(draft: ModelDraft, steps: PublishSteps<Report>): Promise<Report> {
    const { output, name } = this;
    assertReleasable(draft.model, name);
    try {
      const staged = await this.stage(draft, steps);
      const gate = await steps.judge(staged);
      steps.signal?.throwIfAborted();
      if (!gate.passed) throw gateFailed(name, gate);
      const report = await steps.report({ out: name, ...staged, gate, step: await settled(draft.lineage) });
      for (const [suffix, content] of Object.entries(steps.beside ?? {})) {
        await output.writeFile(`${name}${suffix}`, content);
      }
      await this.reportFile.write(Buffer.from(formatReport(steps.schema, report)));
      await this.reportFile.finish();
      await output.commit();
      return report;
    } catch (error) {
      throw outputError(name, error);
    }
  }

  /** Gives the place up; after `publish` it does nothing. */
  async close(): Promise<void> {
    await this.output.discard();
  }

  private async stage(draft: ModelDraft, run: Run): Promise<StagedModel> {
    const { output, name } = this;
    for (const file of [name, `${name}.data`]) await output.drop(file); // of a draft that was refused
    const { externalData, allowNonfinite, manifest, order } = draft;
    const { model, deferred } = complete(draft);
    const watched = allowNonfinite ? model : refuseNonFinite(model, { allowMasks: manifest === null });
    const written = await writeOnnx(watched, output, {
      externalData,
      deferred,
      order,
      onSize: (bytes) => assertSpace(dirname(output.path()), name, bytes),
      onProgress: reporter(run, 'Writing', 'bytes'),
      signal: run.signal,
    });
    return { path: output.path(), ...factsOf(written) };
  }
}

/**
 * Checks what can be known of a model before it is written.
 * @throws HpsError ONNX_CORRUPT, ONNX_UNSUPPORTED as `checkModel`; OPSET_UNSUPPORTED for nodes that its opset does not have
 */
export function assertReleasable(model: OnnxModel, name: string): void {
  checkModel(model, name);
  assertOpset(model, opsetOf(model) ?? 1, name);
}

/** The model as it is written: the tool's version where the graph is the tool's own, and the manifest once its hashes are there. */
function complete({ model, manifest, lineage }: ModelDraft) {
  const versioned = model.producerName === OWN_PRODUCER ? { ...model, producerVersion: VERSION } : model;
  if (manifest === null) return { model: versioned, deferred: undefined };
  const text = JSON.stringify({ ...manifest, lineage: [...manifest.lineage, lineage.step] });
  const metadataProps = model.metadataProps.filter(({ key }) => key !== MANIFEST_KEY);
  return { model: { ...versioned, metadataProps }, deferred: new Map([[MANIFEST_KEY, fillHashes(text, lineage)]]) };
}

const factsOf = ({ model, data }: WrittenOnnx): Omit<StagedModel, 'path'> => ({
  sha256: model.sha256,
  bytes: model.byteLength,
  externalData: data ? { name: data.name, sha256: data.sha256, bytes: data.byteLength } : null,
});
