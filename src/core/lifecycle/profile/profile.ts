import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';
import { basename } from 'node:path';
import { hashFile } from '../../bytes/hash.js';
import { withAtomicOutput } from '../../bytes/output.js';
import { withSource } from '../../bytes/source.js';
import { latencyChart, rooflineChart } from '../../card/charts/profile.js';
import { openCheckpoint } from '../../checkpoint/open.js';
import { DEFAULT_DEVICE, DEFAULT_SEED, type Filled, filled } from '../../defaults.js';
import { HpsError } from '../../errors.js';
import { readProbes } from '../../gate/golden.js';
import { type ModelFacts, readFacts } from '../../gate/model.js';
import { rasterizeSvg } from '../../media/rasterize.js';
import { openOnnx } from '../../onnx/read.js';
import { chromeTrace } from '../../profiling/chrome-trace.js';
import { type ColdStart, measureColdStart } from '../../profiling/cold-start.js';
import { compareInTurn, judgeBaseline } from '../../profiling/compare.js';
import { type ProfileInputs, profileInputs, type Sizes } from '../../profiling/inputs.js';
import { type TracedKernels, traceKernels, traceOverhead } from '../../profiling/kernels.js';
import { measureLatency } from '../../profiling/latency.js';
import { MODEL_VARIANT } from '../../profiling/names.js';
import { operatorTimes } from '../../profiling/operators.js';
import { measurePeaks } from '../../profiling/peaks.js';
import { readProfile } from '../../profiling/recommended.js';
import { compareRecorded } from '../../profiling/recorded.js';
import { type BaselineReport, formatProfile, type Profile, type Setting } from '../../profiling/schema.js';
import { type Bench, openSubject, type Subject } from '../../profiling/subject.js';
import { sweep } from '../../profiling/sweep.js';
import { INTEGER_OPERATORS } from '../../profiling/work.js';
import { type Run, startStage } from '../../run.js';
import { type ModelLimits, withModelProcess } from '../../runtime/child.js';
import { CPU, candidates, type Device, formatDevice, parseDevice } from '../../runtime/device.js';
import type { OptimizationLevel, ValueInfo } from '../../runtime/session.js';
import { TOOL } from '../../version.js';

export interface ProfileOptions extends Run {
  readonly model: string;
  /** The JSON to write; charts and trace are written beside it. */
  readonly out: string;
  /** Samples of one run, in the order given; the first is what is looked at in detail. */
  readonly batches?: readonly number[];
  /** Threads to try; 1 and the cores by default. */
  readonly threads?: readonly number[];
  /** Levels to try. */
  readonly optimizations?: readonly OptimizationLevel[];
  /** The same model in other files, by name, for the sweep: other precisions. */
  readonly variants?: ReadonlyMap<string, string>;
  readonly device?: string;
  /** A model, or an earlier profile. */
  readonly baseline?: string;
  /** Largest time over that of the baseline that passes. */
  readonly budget?: number;
  /** Rows of the user's own (safetensors, by input name). */
  readonly inputs?: string;
  readonly sizes?: Sizes;
  /** Time spent on one figure. */
  readonly seconds?: number;
  readonly seed?: number;
  /** Replace `out`. */
  readonly force?: boolean;
  readonly limits?: ModelLimits;
}

export const PROFILE_DEFAULTS = {
  batches: [1, 8, 32],
  optimizations: ['all'],
  variants: new Map(),
  device: DEFAULT_DEVICE,
  budget: 1.05,
  sizes: new Map(),
  seconds: 5,
  seed: DEFAULT_SEED,
  force: false,
} as const satisfies Partial<ProfileOptions>;

type Settled = Filled<ProfileOptions, typeof PROFILE_DEFAULTS>;

/**
 * Measures a model: start, latency, memory, where the time goes and what of it the machine could save, the best setting, and
 * the comparison with a baseline. Every figure comes from processes of their own, so that nothing here is measured with it.
 * @throws HpsError INPUTS_INVALID where sizes have to be told; MODEL_CRASHED, MODEL_TIMEOUT, MODEL_OUT_OF_MEMORY;
 *   MODELS_INCOMPARABLE for a baseline of other inputs or another machine; those of reading and writing
 */
export async function profileModel(given: ProfileOptions): Promise<Profile> {
  const options = filled(given, PROFILE_DEFAULTS);
  const names = outputNames(options.out);
  const inputs = [options.model, ...options.variants.values(), ...(options.baseline ? [options.baseline] : [])];
  return withAtomicOutput(options.out, { force: options.force, inputs }, async (output) => {
    const { profile, times, traced } = await measure(options);
    await output.writeFile(names.main, formatProfile(profile));
    const charts = { roofline: rooflineChart(profile), latency: latencyChart(profile, times) };
    for (const [name, svg] of Object.entries(charts)) {
      await output.writeFile(`${names.stem}.${name}.svg`, svg);
      await output.writeFile(`${names.stem}.${name}.png`, await rasterizeSvg(svg));
    }
    const run = medianRun(traced);
    await output.writeFile(`${names.stem}.trace.json`, chromeTrace(profile, traced.runs[run], traced.work));
    return profile;
  });
}

function outputNames(out: string): { main: string; stem: string } {
  const main = basename(out);
  return { main, stem: main.replace(/\.json$/i, '') };
}

interface Measured {
  readonly profile: Profile;
  readonly times: readonly number[];
  readonly traced: TracedKernels;
}

async function measure(options: Settled): Promise<Measured> {
  const loadBefore = systemLoad();
  const facts = await readFacts(options.model);
  const baseline = options.baseline === undefined ? null : await readBaseline(options.baseline);
  const { subject, bench, cold, warnings } = await startSubject(facts, options);
  const { fixedBatch } = subject.inputs;
  refuseOtherBatches(facts, fixedBatch, options);
  const main = mainSetting(options, fixedBatch);
  const rival = baseline?.kind === 'model' ? await openRival(subject, baseline.facts, main, options, bench) : null;
  const comparison = await compareInTurn(subject, rival, main, options.budget, bench);
  const warm = await measureLatency(subject, main, bench);
  const { traced, peaks } = await lookInside(subject, main, bench);
  const subjects = new Map([[MODEL_VARIANT, subject]]);
  for (const [name, path] of options.variants)
    subjects.set(name, await openRival(subject, await readFacts(path), main, options, bench));
  const swept = await sweep(
    { subjects, settings: sweptSettings(options, fixedBatch, [...subjects.keys()]), seed: options.seed },
    bench,
  );
  const profile: Profile = {
    schema: 'hpsv3/profile@1',
    tool: TOOL,
    model: { ...(await fileFacts(facts, options.signal)), parameters: traced.counts.parameters },
    variants: await Promise.all(
      [...subjects]
        .filter(([name]) => name !== MODEL_VARIANT)
        .map(async ([name, variant]) => ({ name, ...(await fileFacts(variant.facts, options.signal)) })),
    ),
    machine: machineFacts(cold.runtimeVersion, bench.device, loadBefore),
    inputs: { origin: subject.inputs.origin, shapes: subject.inputs.shapes, seed: options.seed },
    noise: comparison.noise,
    coldStart: cold.coldStart,
    latency: warm.latency,
    memory: {
      runtimeBytes: cold.runtimeBytes,
      loadedBytes: cold.loadedBytes,
      steadyBytes: warm.steadyBytes,
      peakBytes: warm.peakBytes,
    },
    counts: traced.counts,
    time: {
      setting: main,
      traceOverhead: traceOverhead(traced.wallMs, warm.latency.p50Ms.value),
      ...operatorTimes({ ...traced, peaks }),
    },
    peaks,
    sweep: swept,
    baseline: null,
    warnings: [...warnings, ...warningsOf(traced, comparison.noise, bench.device)],
  };
  const judged = await judge(profile, baseline, comparison.baseline, options);
  return { profile: { ...profile, baseline: judged }, times: warm.times, traced };
}

/** The setting that is looked at in detail: the first batch, the most threads, all optimisations where they are asked for. */
function mainSetting({ batches, threads, optimizations }: Settled, fixedBatch: number | null): Setting {
  return {
    variant: MODEL_VARIANT,
    batch: fixedBatch ?? batches[0],
    threads: Math.max(...(threads ?? [availableParallelism()])),
    optimization: optimizations.includes('all') ? 'all' : optimizations[optimizations.length - 1],
  };
}

function sweptSettings(options: Settled, fixedBatch: number | null, variants: readonly string[]): Setting[] {
  const { batches, threads = [1, availableParallelism()], optimizations } = options;
  const sizes = fixedBatch === null ? [...new Set(batches)] : [fixedBatch];
  return variants.flatMap((variant) =>
    optimizations.flatMap((optimization) =>
      [...new Set(threads)].flatMap((count) =>
        sizes.map((batch): Setting => ({ variant, batch, threads: count, optimization })),
      ),
    ),
  );
}

interface Started {
  readonly subject: Subject;
  readonly bench: Bench;
  readonly cold: ColdStart;
  readonly warnings: readonly string[];
}

/** Starts the model on the device asked for or, under `auto`, on the first that works; its inputs are known from then on. */
async function startSubject(facts: ModelFacts, options: Settled): Promise<Started> {
  const choice = parseDevice(options.device);
  const devices = candidates(choice);
  for (const [i, device] of devices.entries()) {
    const bench = benchOf(options, device);
    let inputs: ProfileInputs | undefined;
    const prepared = async (infos: readonly ValueInfo[]) => {
      inputs ??= await inputsFor(facts, infos, options);
      return inputs.feeds(inputs.fixedBatch ?? 1);
    };
    try {
      const cold = await measureColdStart(facts, mainSetting(options, null), prepared, bench);
      const warnings =
        i > 0 ? [`Device ${formatDevice(devices[0])} is not there; measured on ${formatDevice(device)}.`] : [];
      return { subject: { facts, inputs: inputs! }, bench, cold, warnings };
    } catch (error) {
      const missing = error instanceof HpsError && error.code === 'BACKEND_UNAVAILABLE';
      if (!missing || i === devices.length - 1) throw error;
    }
  }
  throw new RangeError(`no device for ${options.device}`);
}

function benchOf(options: Settled, device: Device): Bench {
  const { limits, signal, seconds } = options;
  return {
    child: { limits, signal },
    device,
    budgetMs: 1000 * seconds,
    onStep: (step) => startStage(options, step),
  };
}

async function inputsFor(
  { manifest, file }: ModelFacts,
  infos: readonly ValueInfo[],
  { inputs: path, sizes, seed, batches }: Settled,
): Promise<ProfileInputs> {
  const common = { inputs: infos, manifest, file, sizes, seed, rows: Math.max(...batches) };
  if (path === undefined) return profileInputs(common);
  const { tensors, close } = await openCheckpoint(path, {});
  try {
    return profileInputs({
      ...common,
      given: await readProbes(tensors, { file: basename(path), manifest, inputs: infos }),
    });
  } finally {
    close();
  }
}

/** Another model on the same inputs. @throws HpsError MODELS_INCOMPARABLE where its inputs differ */
async function openRival(
  subject: Subject,
  facts: ModelFacts,
  setting: Setting,
  options: Settled,
  bench: Bench,
): Promise<Subject> {
  const infos = await withModelProcess(
    bench.child,
    async (process) => (await openSubject(process, { facts }, setting, bench)).inputs,
  );
  const inputs = await inputsFor(facts, infos, options);
  const [ours, theirs] = [subject.inputs, inputs].map(({ shapes }) => JSON.stringify(Object.entries(shapes).sort()));
  if (ours === theirs) return { facts, inputs };
  throw new HpsError('MODELS_INCOMPARABLE', `${facts.file} and ${subject.facts.file} take different inputs`, {
    hint: 'Compare models of the same inputs; `sizes` sets sizes that both leave open.',
    details: { inputs: subject.inputs.shapes, other: inputs.shapes },
  });
}

function refuseOtherBatches({ file }: ModelFacts, fixedBatch: number | null, { batches }: Settled): void {
  if (fixedBatch === null || batches.includes(fixedBatch)) return;
  throw new HpsError('INPUTS_INVALID', `${file}: takes batches of ${fixedBatch} only`, {
    hint: `Give \`batches\` ${fixedBatch}.`,
    details: { file, batch: fixedBatch },
  });
}

async function lookInside(
  subject: Subject,
  setting: Setting,
  bench: Bench,
): Promise<{ traced: TracedKernels; peaks: Profile['peaks'] }> {
  const { model, close } = openOnnx(subject.facts.path);
  try {
    const traced = await traceKernels(subject, model, setting, bench);
    const integers = traced.runs.some(({ kernels }) => kernels.some(({ operator }) => INTEGER_OPERATORS.has(operator)));
    return { traced, peaks: await measurePeaks(setting.threads, integers, bench) };
  } finally {
    close();
  }
}

type Baseline =
  | { readonly kind: 'model'; readonly facts: ModelFacts }
  | { readonly kind: 'profile'; readonly file: string; readonly profile: Profile };

/** Told apart by content: no ONNX file begins with a brace. */
async function readBaseline(path: string): Promise<Baseline> {
  const isJson = await withSource(path, async (source) => source.byteLength > 0 && source.readSync(0, 1)[0] === BRACE);
  if (isJson) return { kind: 'profile', file: basename(path), profile: readProfile(path) };
  return { kind: 'model', facts: await readFacts(path) };
}

const BRACE = '{'.charCodeAt(0);

async function judge(
  profile: Profile,
  baseline: Baseline | null,
  ratio: NonNullable<BaselineReport>['ratio'] | null,
  { budget, signal }: Settled,
): Promise<BaselineReport | null> {
  if (baseline === null) return null;
  if (baseline.kind === 'profile') return compareRecorded(profile, baseline.profile, baseline.file, budget);
  const { file, sha256 } = await fileFacts(baseline.facts, signal);
  return { file, sha256, how: 'interleaved', ratio: ratio!, budget, ...judgeBaseline(ratio!, budget, profile.noise) };
}

async function fileFacts({ path, file, bytes }: ModelFacts, signal?: AbortSignal) {
  return { file, sha256: (await hashFile(path, { signal })).sha256, bytes };
}

/** Runnable processes a core; null where the system does not tell (Windows says 0). */
const systemLoad = (): number | null => (process.platform === 'win32' ? null : loadavg()[0] / availableParallelism());

function machineFacts(runtime: string, device: Device, before: number | null): Profile['machine'] {
  const after = systemLoad();
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    platform: `${process.platform}-${process.arch}`,
    node: process.versions.node,
    runtime: `onnxruntime ${runtime}`,
    device: formatDevice(device),
    load: before === null || after === null ? null : [before, after],
  };
}

function warningsOf({ counts }: TracedKernels, noise: Profile['noise'], device: Device): string[] {
  return [
    ...(noise.reason === null ? [] : [`Noise: ${noise.reason}.`]),
    ...(counts.uncounted.length === 0
      ? []
      : [`The products of ${counts.uncounted.join(', ')} are not in the count of multiply-accumulates.`]),
    ...(device.kind === CPU.kind
      ? []
      : [
          'On a GPU the runtime traces when kernels are launched, not when they end: times by operator are not theirs.',
        ]),
  ];
}

/** The traced run of the median wall time. */
function medianRun({ wallMs }: TracedKernels): number {
  const order = wallMs.map((_, run) => run).sort((a, b) => wallMs[a] - wallMs[b]);
  return order[order.length >> 1];
}
