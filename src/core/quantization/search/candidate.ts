import type { Probes } from '../../gate/probes.js';
import type { Manifest } from '../../onnx/manifest.js';
import { MANIFEST_KEY } from '../../onnx/manifest-names.js';
import { type OnnxModel, setMetadata } from '../../onnx/model.js';
import { assertOpset } from '../../onnx/opset.js';
import { type ModelProcessOptions, withModelProcess } from '../../runtime/child.js';
import { underWay, watchMemory } from '../../runtime/memory-watch.js';
import { PROCESSOR_KEY, type Processor } from '../../runtime/processors.js';
import { type Calibration, chooseRanges, observe } from '../ranges/calibrate.js';
import { type RangeMethodId, rangeMethodOf } from '../ranges/methods.js';
import { RowsAtOnce } from '../rows.js';
import { excluder } from '../schemes/exclude.js';
import { nothingToQuantize, refuseOpset } from '../schemes/refusal.js';
import { type SchemeId, schemeOf } from '../schemes/registry.js';
import type { ObservedModel, QuantizationScheme, QuantizedModel, SchemeRequest } from '../schemes/scheme.js';
import { sparedNodes } from '../schemes/spared.js';
import type { QuantizationSource } from '../source.js';

export interface CandidateOptions {
  /** One of the registry by its id, or another. */
  readonly scheme: SchemeId | QuantizationScheme;
  readonly calibrator: RangeMethodId;
  readonly perChannel: boolean;
  /** See `SchemeRequest`. */
  readonly fullRange: boolean;
  readonly exclude: readonly string[];
  /** Nodes left out by name, each with the reason. */
  readonly excludeNamed?: ReadonlyMap<string, string>;
  readonly contrib: boolean;
  readonly calibrationRows: Probes;
  /** Ranges known already; the model is then not run. */
  readonly calibration?: Calibration;
  readonly child: ModelProcessOptions;
  readonly threads?: number;
  /** Bytes that all of it should take: fewer calibration rows are run at once where memory comes near that. */
  readonly maxMemory?: number;
  readonly onBatch?: () => void;
  readonly onWarning?: (warning: string) => void;
}

/** A quantized model, not yet written. */
export interface Candidate extends QuantizedModel {
  readonly scheme: QuantizationScheme;
  /** Null for schemes that look at no activations. */
  readonly calibration: Calibration | null;
  /** What its integer sums are exact on; null for schemes without any. */
  readonly processor: Processor | null;
}

/**
 * Quantizes a model by a scheme.
 * @throws HpsError OPSET_UNSUPPORTED, ALREADY_QUANTIZED, NOTHING_TO_QUANTIZE, or what running it for calibration throws
 */
export async function makeCandidate(source: QuantizationSource, options: CandidateOptions): Promise<Candidate> {
  const scheme = typeof options.scheme === 'string' ? schemeOf(options.scheme) : options.scheme;
  const { contrib, fullRange, perChannel } = options;
  if (source.opset < scheme.minOpset && !(scheme.id === 'int4' && contrib))
    throw refuseOpset(source.name, `scheme ${scheme.id}`, source.opset, scheme.minOpset);
  const model = await source.prepared(scheme.foldsNorms);
  const request: SchemeRequest = {
    perChannel,
    fullRange,
    contrib,
    exclude: excluder(options.exclude, new Map([...sparedNodes(model.graph, scheme), ...(options.excludeNamed ?? [])])),
    hasManifest: source.manifest !== null,
  };
  const calibration = options.calibration ?? (await calibrated());
  const quantized = await scheme.apply(calibration?.model ?? model, { ...request, ranges: calibration?.ranges });
  if (quantized.quantized.length === 0) throw nothingToQuantize(source.name, `scheme ${scheme.id}`, quantized.excluded);
  assertOpset(quantized.model, source.opset, source.name);
  const processor = scheme.addsIntegers ? (fullRange ? 'vnni' : 'any') : null;
  return { ...quantized, model: markedFor(processor, quantized.model), scheme, calibration, processor };

  async function calibrated(): Promise<Calibration | null> {
    const observed = scheme.observes?.(model, request);
    if (!observed || observed.values.length === 0) return null;
    const failed = new AbortController();
    const reading = scheme.readAhead?.(model, request, failed.signal).catch(() => undefined); // `apply` meets it again
    const calibrator = scheme.id === 'static' ? options.calibrator : 'minmax';
    try {
      return (await calibrateModel(source, observed, [calibrator], options))[0];
    } catch (error) {
      failed.abort();
      throw error;
    } finally {
      await reading; // files may be closed once nobody reads them
    }
  }
}

/** The model, saying so where its sums are cut off on some processors. */
function markedFor(processor: Processor | null, model: OnnxModel): OnnxModel {
  if (processor !== 'vnni') return model;
  return { ...model, metadataProps: [...model.metadataProps, { key: PROCESSOR_KEY, value: processor }] };
}

/** Ranges by several calibrators, from one look at the activations. */
export async function calibrateModel(
  { path, keyOf }: QuantizationSource,
  observed: ObservedModel,
  calibrators: readonly RangeMethodId[],
  {
    child,
    threads,
    maxMemory,
    onBatch,
    onWarning = () => undefined,
    calibrationRows,
  }: Pick<CandidateOptions, 'child' | 'threads' | 'maxMemory' | 'onBatch' | 'onWarning' | 'calibrationRows'>,
): Promise<Calibration[]> {
  const histograms = calibrators.some((id) => rangeMethodOf(id).choose !== undefined);
  const rowsAtOnce = new RowsAtOnce();
  const options = { threads, rowsAtOnce, onBatch, histograms, path, keyOf: keyOf(observed.values) };
  const halve = (): string | null => {
    const rows = rowsAtOnce.halve();
    return rows === null ? null : underWay(rows);
  };
  const endWatch = watchMemory({ maxMemory, halve, least: 'with one calibration row at a time', onWarning });
  try {
    const seen = await withModelProcess(child, (process) =>
      observe(observed, calibrationRows, { ...options, child: process }),
    );
    return calibrators.map((id) => chooseRanges(seen, id));
  } finally {
    endWatch();
  }
}

/** The manifest of the quantized file: which options it needs, what is left of the way back to the checkpoint. */
export function quantizedManifest(manifest: Manifest, candidate: Candidate): Manifest {
  const { scheme, model, session } = candidate;
  const left = new Set(model.graph.initializer.map(({ name = '' }) => name));
  const { parameters, ...rest } = manifest;
  const traceable = Object.entries(parameters ?? {}).filter(([name]) => left.has(name));
  return {
    ...rest,
    dtype: scheme.id === 'fp16' ? 'fp16' : manifest.dtype,
    session: { ...manifest.session, ...session },
    // Folding batch norms scales what keeps its name.
    ...(parameters && !scheme.foldsNorms ? { parameters: Object.fromEntries(traceable) } : {}),
  };
}

/** The model with a manifest in its metadata, for trials; models without one stay without. */
export function withManifest(model: OnnxModel, manifest: Manifest | null): OnnxModel {
  if (manifest === null) return model;
  const copy = { ...model, metadataProps: model.metadataProps.map((entry) => ({ ...entry })) };
  setMetadata(copy, MANIFEST_KEY, JSON.stringify(manifest));
  return copy;
}
