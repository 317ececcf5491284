import { basename } from 'node:path';
import { openCheckpoint } from '../../checkpoint/open.js';
import { type Filled, filled } from '../../defaults.js';
import { HpsError } from '../../errors.js';
import { runGate } from '../../gate/gate.js';
import { probesSha256 } from '../../gate/probes.js';
import type { GateReport } from '../../gate/report.js';
import type { LineageStep } from '../../onnx/manifest.js';
import type { Coverage, Equalization } from '../../quantization/ranges/calibrate.js';
import type { RangeMethodId } from '../../quantization/ranges/methods.js';
import { asTensors, type RowSets, rowSets, splitRows } from '../../quantization/rows.js';
import type { SampleJudgements } from '../../quantization/sample-rows.js';
import { judgeChecks } from '../../quantization/schemes/checks.js';
import { type SchemeId, schemeOf } from '../../quantization/schemes/registry.js';
import type { Excluded } from '../../quantization/schemes/scheme.js';
import type { AccuracyChange } from '../../quantization/search/accuracy.js';
import type { SearchReport, Trial } from '../../quantization/search/auto.js';
import {
  type Candidate,
  type CandidateOptions,
  makeCandidate,
  quantizedManifest,
} from '../../quantization/search/candidate.js';
import { compareLatency, type Latency, speedWarnings } from '../../quantization/search/latency.js';
import { sparedOfNoise } from '../../quantization/search/noise.js';
import type { PicksChange } from '../../quantization/search/picks.js';
import { openSource, type QuantizationSource } from '../../quantization/source.js';
import { settled as settledStep, startLineage } from '../../release/lineage.js';
import { assertReleasable, ModelRelease, REPORT_SUFFIX, type StagedModel } from '../../release/model-release.js';
import { counter, runOf } from '../../run.js';
import { KeptProcess, withModelProcess } from '../../runtime/child.js';
import { sumsAreCutOff } from '../../runtime/integer-sums.js';
import type { Processor } from '../../runtime/processors.js';
import { QUANTIZE_DEFAULTS, type QuantizeOptions } from './options.js';

type Settled = Filled<QuantizeOptions, typeof QUANTIZE_DEFAULTS>;

/** With what the processor made of them. */
interface Chosen extends Settled {
  readonly bitNotes: readonly string[];
  /** Of the steps before anything is written. */
  readonly kept: KeptProcess;
}

export interface QuantizeReport {
  readonly scheme: SchemeId;
  /** Base name. */
  readonly out: string;
  /** Base names of what is written beside it; none on a dry run. */
  readonly beside: readonly string[];
  readonly sha256: string | null;
  readonly bytes: number | null;
  /** Bytes of the float files over bytes of the quantized ones. */
  readonly ratio: number | null;
  /** Measured here; null where the gate was off. */
  readonly latency: Latency | null;
  readonly flips: number | null;
  readonly flipRate: number | null;
  readonly kendall: number | null;
  readonly maxLogitDiff: number | null;
  /** On held-out rows that raters judged, where there are any. */
  readonly accuracy?: AccuracyChange;
  /** The best of N by score before and after, on held-out prompts with two judged items or more. */
  readonly bestOf?: PicksChange;
  /** Nodes that compute with fewer bits, or whose weights have fewer. */
  readonly quantized: number;
  readonly excluded: readonly Excluded[];
  readonly gate: GateReport | null;
  readonly clipRates: Readonly<Record<string, number>>;
  readonly calibration: CalibrationFacts | null;
  /** What integer sums are exact on: `vnni` has weights of 8 bits; null for schemes that add no integers. */
  readonly processor: Processor | null;
  /** Session options that the file needs, as its manifest states them. */
  readonly session: Readonly<Record<string, string>>;
  readonly lineage: readonly LineageStep[];
  readonly warnings: readonly string[];
  /** What `auto` tried. */
  readonly search?: SearchReport;
  /** Of the search: what the candidate was tried as. */
  readonly trial?: Trial;
}

export interface CalibrationFacts {
  readonly calibrator: RangeMethodId;
  readonly rows: number;
  readonly origin: RowSets['origin'];
  /** Of the rows themselves. */
  readonly sha256: string;
  readonly equalization: Equalization;
  readonly coverage: Readonly<Record<string, Coverage>>;
}

/**
 * Quantizes an ONNX model and proves that it decides as before. Weights stream; the target changes only when the gate passed.
 * @throws HpsError OPSET_UNSUPPORTED, ALREADY_QUANTIZED, NOTHING_TO_QUANTIZE; GATE_FAILED with the gate's report in `details`;
 *   those of reading, running and writing
 */
export async function quantizeModel(given: QuantizeOptions): Promise<QuantizeReport> {
  const settled = filled(given, QUANTIZE_DEFAULTS);
  const source = await openSource(settled.model);
  const kept = new KeptProcess();
  let release: ModelRelease | null = null;
  try {
    const options = { ...settled, ...(await weightBits(settled, kept)), kept };
    if (!options.dryRun) {
      const { out, force, scheme } = options;
      const inputs = [...source.files, ...rowFiles(options)];
      release = await ModelRelease.reserve(out, { force, inputs, suffixes: scheme === 'auto' ? PARETO : [] });
    }
    if (options.scheme === 'auto') return await quantizeBest(source, release, options);
    const { scheme } = options;
    const needsRows = options.gate !== 'off' || schemeOf(scheme).observes !== undefined;
    const rows = needsRows ? await givenOrMade(source, options) : NO_ROWS;
    const candidate = await fixedCandidate(source, { ...candidateOptions(rows, options), scheme });
    await kept.close(); // what writes, and what judges, need its memory
    return await publishCandidate(release, { source, candidate, rows }, { ...options, scheme });
  } finally {
    await kept.close();
    await release?.close();
    source.close();
  }
}

/** Whether weights take all 8 bits, and what is to be said of that: where nothing else is asked, the processor is not. */
async function weightBits(
  options: Settled,
  kept: KeptProcess,
): Promise<{ fullRange: boolean; bitNotes: readonly string[] }> {
  const { processor } = options;
  const asked = options.fullRange ? 'vnni' : processor;
  const { scheme } = options;
  const addsIntegers = scheme === 'auto' || schemeOf(scheme).addsIntegers === true;
  if (asked === 'any' || !addsIntegers) return { fullRange: asked === 'vnni', bitNotes: [] };
  const cutOff = await withModelProcess({ ...childOptions(options), kept }, sumsAreCutOff);
  if (asked === 'auto') return { fullRange: !cutOff, bitNotes: [] };
  return { fullRange: true, bitNotes: cutOff ? [CUT_OFF_HERE] : [] };
}

const CUT_OFF_HERE =
  'This processor has no VNNI and cuts sums of such a file off: it decides otherwise here than where it is meant to run.';

/** What `auto` writes beside the model and its report, after its name. */
const PARETO = ['.pareto.svg', '.pareto.png'] as const;

/** Where nobody said anything. */
const UNJUDGED: SampleJudgements = { judgements: [], comparisons: [], ratings: [] };

/** Stands where nothing is run: weight-only with the gate off. */
const NO_ROWS: JudgedRows = {
  calibration: { rows: 0, feeds: new Map() },
  heldOut: { rows: 0, feeds: new Map() },
  origin: 'probes',
  ...UNJUDGED,
};

type FixedOptions = Chosen & { readonly scheme: SchemeId };

/** By one scheme; where scales of activations are fixed, without the few layers that make most of the noise. */
async function fixedCandidate(source: QuantizationSource, options: CandidateOptions): Promise<Candidate> {
  const candidate = await makeCandidate(source, options);
  if (options.maxMemory !== undefined && candidate.calibration === null) {
    options.onWarning?.(
      `\`maxMemory\` bounds only calibration rows, and the scheme ${candidate.scheme.id} runs none: it may need more memory.`,
    );
  }
  return candidate.scheme.id === 'static' ? sparedOfNoise(source, candidate, options) : candidate;
}

/** Searches, then writes the first finalist that the gate lets pass: it judges by rows of its own. */
async function quantizeBest(
  source: QuantizationSource,
  release: ModelRelease | null,
  options: Chosen,
): Promise<QuantizeReport> {
  const { searchQuantization } = await import('../../quantization/search/auto.js'); // only where one scheme is not asked for
  const rows = await givenOrMade(source, options);
  const halves = splitRows(rows.heldOut);
  const { report: search, finalists } = await searchQuantization(source, {
    ...candidateOptions(rows, options),
    searchRows: halves[0],
    heldOutRows: halves[1],
  });
  await options.kept.close();
  let refusal: unknown;
  for (const { candidate, trial, calibrator } of finalists) {
    try {
      const chosen = { ...options, scheme: trial.scheme, ranges: calibrator };
      return await publishCandidate(release, { source, candidate, rows, search, trial }, chosen);
    } catch (error) {
      if (!(error instanceof HpsError && error.code === 'GATE_FAILED')) throw error;
      refusal ??= error;
    }
  }
  throw refusal;
}

function candidateOptions(rows: RowSets, options: Chosen) {
  return {
    ...options,
    calibrator: options.ranges,
    contrib: options.allowContrib,
    calibrationRows: rows.calibration,
    child: { ...childOptions(options), kept: options.kept },
    onBatch: counter(options, options.scheme === 'auto' ? 'Trials' : 'Calibration', 'batches'),
  };
}

const childOptions = ({ limits, signal }: Settled) => ({ limits, signal });

/** Rows that `auto` searches and checks by, half each: enough that one pair in two hundred shows. */
const AUTO_ROWS = 96;

/** With what people said of the held-out rows. */
interface JudgedRows extends RowSets, SampleJudgements {}

async function givenOrMade(source: QuantizationSource, options: Settled): Promise<JudgedRows> {
  const { inputs, samples, seed } = options;
  if (inputs !== undefined && samples !== undefined) {
    throw new HpsError('USAGE', '`samples` and `inputs` are given together', { hint: 'Give one of them.' });
  }
  const common = { seed, heldOutRows: options.scheme === 'auto' ? AUTO_ROWS : undefined };
  if (samples !== undefined) {
    // media take longer to load than to quantize
    const { heldOutPlaces, judgementsOf, readCalibrationSamples } = await import('../../quantization/sample-rows.js');
    const { probes, prompts, ...said } = await readCalibrationSamples(source, samples, options.mediaRoot);
    const heldOut = heldOutPlaces(prompts);
    return { ...(await rowSets(source, { ...common, prepared: { probes, heldOut } })), ...judgementsOf(said, heldOut) };
  }
  const given = inputs === undefined ? null : await openCheckpoint(inputs, {});
  try {
    const rows = given ? { given: { file: basename(inputs!), tensors: given.tensors } } : {};
    return { ...(await rowSets(source, { ...common, ...rows })), ...UNJUDGED };
  } finally {
    given?.close();
  }
}

/** Files of the user's that rows come from. */
const rowFiles = ({ inputs, samples }: Settled): string[] => [inputs, samples].filter((path) => path !== undefined);

interface Quantized {
  readonly source: QuantizationSource;
  readonly candidate: Candidate;
  readonly rows: JudgedRows;
  readonly search?: SearchReport;
  /** Of the search: what the candidate was tried as. */
  readonly trial?: Trial;
}

/** @param release - null where nothing is to be written */
async function publishCandidate(
  release: ModelRelease | null,
  { source, candidate, rows, search, trial }: Quantized,
  options: FixedOptions,
): Promise<QuantizeReport> {
  const calibration = calibrationFacts(candidate, rows);
  const lineage = startLineage(
    { step: 'quantize', options: lineageOptions(candidate, calibration, options) },
    [...source.files, ...rowFiles(options)].map((path) => ({ path })),
    options.signal,
  );
  const facts = {
    scheme: options.scheme,
    out: basename(options.out),
    beside: release === null ? [] : [REPORT_SUFFIX, ...(search ? PARETO : [])].map((suffix) => release.name + suffix),
    quantized: candidate.quantized.length,
    excluded: candidate.excluded,
    clipRates: clipRates(calibration),
    calibration,
    processor: candidate.processor,
    ...(search ? { search } : {}),
    session: source.manifest ? { ...source.manifest.session, ...candidate.session } : {},
  };
  const warnings = [
    ...madeUpRows(candidate, rows, options),
    ...source.notes,
    ...(candidate.processor === null ? [] : options.bitNotes),
    ...candidate.notes,
    ...(candidate.calibration?.warnings ?? []),
  ];
  const { model } = candidate;
  if (release === null) {
    assertReleasable(model, facts.out);
    const unknown = { sha256: null, bytes: null, ratio: null, latency: null, gate: null, ...decisionFigures(null) };
    return { ...facts, ...unknown, lineage: [await settledStep(lineage)], warnings };
  }
  const manifest = source.manifest && quantizedManifest(source.manifest, candidate);
  const { maxSize, allowNonfinite } = options;
  return release.publish<QuantizeReport>(
    { model, manifest, lineage, allowNonfinite },
    {
      schema: 'quantization',
      judge: (staged) => {
        const bytes = bytesOf(staged);
        if (maxSize !== undefined && bytes > maxSize) throw tooLarge(facts.out, bytes, maxSize);
        return judge(staged.path, source, candidate, rows, options);
      },
      report: async ({ gate, step, ...released }) => {
        const bytes = bytesOf(released);
        const measured = options.gate === 'off' ? null : await measure(source, released.path, rows, options);
        const latency = measured?.latency ?? null;
        return {
          ...facts,
          ...(measured?.accuracy ? { accuracy: measured.accuracy } : {}),
          ...(measured?.bestOf ? { bestOf: measured.bestOf } : {}),
          sha256: released.sha256,
          bytes,
          ratio: source.bytes / bytes,
          latency,
          ...decisionFigures(gate),
          gate,
          lineage: [...(source.manifest?.lineage ?? []), step],
          warnings: [...warnings, ...speedWarnings(latency), ...sizeWarnings(source.bytes, bytes)],
        };
      },
      beside: search ? await drawTrials(search, source.bytes, trial ?? null) : {},
      ...runOf(options),
    },
  );
}

/** The picture of the search, by what comes after the model's name. */
async function drawTrials({ trials }: SearchReport, floatBytes: number, written: Trial | null) {
  const [{ paretoChart }, { rasterizeSvg }] = await Promise.all([
    import('../../card/charts/pareto.js'),
    import('../../media/rasterize.js'),
  ]);
  const svg = paretoChart(trials, floatBytes, written);
  return { [PARETO[0]]: svg, [PARETO[1]]: await rasterizeSvg(svg) };
}

/** Of all files of a model. */
const bytesOf = ({ bytes, externalData }: Pick<StagedModel, 'bytes' | 'externalData'>): number =>
  bytes + (externalData?.bytes ?? 0);

/** How fast and how right the quantized model is, beside the float one. */
async function measure(source: QuantizationSource, quantized: string, rows: JudgedRows, options: Settled) {
  const { heldOut, judgements, comparisons, ratings } = rows;
  const child = childOptions(options);
  const latency = await compareLatency(source.path, quantized, heldOut, { child, threads: options.threads });
  if (comparisons.length + ratings.length === 0) return { latency };
  // Statistics and readers of labels: only where somebody judged the rows.
  const [{ compareAccuracy, scoreBoth }, { comparePromptPicks }] = await Promise.all([
    import('../../quantization/search/accuracy.js'),
    import('../../quantization/search/picks.js'),
  ]);
  const scores = await scoreBoth(source.path, quantized, heldOut, child);
  const bestOf = await comparePromptPicks(scores, rows, options);
  return { latency, accuracy: compareAccuracy(scores, judgements), bestOf };
}

async function judge(
  path: string,
  source: QuantizationSource,
  candidate: Candidate,
  rows: RowSets,
  options: Settled,
): Promise<GateReport> {
  const gate = await runGate({
    candidate: path,
    reference: { kind: 'model', path: source.path },
    budgetKind: 'quantize',
    level: options.gate,
    budget: options.budget,
    seed: String(options.seed),
    levels: ['disabled', 'basic', 'extended'],
    locate: false,
    ...(rows.origin !== 'probes'
      ? { inputs: { file: basename(rowFiles(options)[0] ?? source.name), tensors: asTensors(rows.heldOut) } }
      : {}),
    threads: options.threads,
    ...childOptions(options),
    onProgress: options.onProgress,
  });
  return judgeChecks(gate, candidate.scheme.determinism, options.allowBatchDependence);
}

const decisionFigures = (gate: GateReport | null) => ({
  flips: gate?.flips ?? null,
  flipRate: gate?.flipRate ?? null,
  kendall: gate?.kendall ?? null,
  maxLogitDiff: gate?.maxScoreDiff ?? null,
});

function calibrationFacts({ calibration }: Candidate, { calibration: rows, origin }: RowSets): CalibrationFacts | null {
  if (calibration === null) return null;
  const { calibrator, equalization, coverage } = calibration;
  return { calibrator, rows: rows.rows, origin, sha256: probesSha256(rows), equalization, coverage };
}

const clipRates = (calibration: CalibrationFacts | null): Record<string, number> =>
  Object.fromEntries(Object.entries(calibration?.coverage ?? {}).map(([value, { clipRate }]) => [value, clipRate]));

/** Digits kept of figures that go into the file: enough to read, few enough to be the same on every machine. */
const rounded = (value: number): number => Number(value.toPrecision(4));

function lineageOptions(
  { excluded }: Candidate,
  calibration: CalibrationFacts | null,
  options: FixedOptions,
): LineageStep['options'] {
  return {
    scheme: options.scheme,
    perChannel: options.perChannel,
    ...(options.fullRange ? { fullRange: true } : {}),
    exclude: [...options.exclude],
    ...(options.allowContrib ? { contrib: true } : {}),
    excluded: excluded.map(({ node }) => node),
    ...(calibration === null
      ? {}
      : {
          calibration: {
            calibrator: calibration.calibrator,
            rows: calibration.rows,
            origin: calibration.origin,
            ...(calibration.origin === 'probes' ? { seed: options.seed } : {}),
            sha256: calibration.sha256,
            equalization: { ...calibration.equalization },
            values: Object.fromEntries(
              Object.entries(calibration.coverage).map(([value, { clipRate, coverage }]) => [
                value,
                { clipRate: rounded(clipRate), coverage: rounded(coverage) },
              ]),
            ),
          },
        }),
  };
}

/** What rests on rows that nobody gave: such a file may do worse on those it is for. */
function madeUpRows({ calibration }: Candidate, rows: RowSets, { gate, dryRun }: FixedOptions): string[] {
  const resting = [
    ...(calibration === null ? [] : ['ranges of activations']),
    ...(gate === 'off' || dryRun ? [] : ['the gate, decisions and speed']),
  ];
  if (rows.origin !== 'probes' || resting.length === 0) return [];
  return [
    `Made-up inputs, not data of yours, stand behind ${resting.join(' and ')}: give \`samples\` FILE or \`inputs\` FILE.`,
  ];
}

const sizeWarnings = (before: number, after: number): string[] =>
  after < before ? [] : [`Larger than the float model (${after} against ${before} bytes).`];

const tooLarge = (file: string, bytes: number, limit: number): HpsError =>
  new HpsError('GATE_FAILED', `${file}: ${bytes} bytes are more than \`maxSize\` ${limit}`, {
    hint: 'Choose a scheme with fewer bits, exclude less, or raise `maxSize`. Nothing was written.',
    details: { bytes, limit },
  });
