import type { OnnxModel } from '../onnx/model.js';
import { withModelProcess } from '../runtime/child.js';
import { type Counts, countWork, nodesByName, workByKernel } from './counts.js';
import { median } from './median.js';
import type { Setting } from './schema.js';
import type { Bench, SessionSetting, Subject } from './subject.js';
import { type TracedRun, withTrace } from './trace.js';
import type { Work } from './work.js';

/** Weights stay as they are, so that the trace shows their shapes. */
const NO_PACKING = { 'session.disable_prepacking': '1' };
const WARM_UP_RUNS = 3;
const FEWEST_RUNS = 10;
const MOST_RUNS = 60;
/** Kernels in one trace: some 1.5 kB each in its file. */
const TRACED_KERNELS = 60_000;

export interface TracedKernels {
  readonly counts: Counts;
  readonly runs: readonly TracedRun[];
  /** Milliseconds of the same runs. */
  readonly wallMs: readonly number[];
  readonly work: ReadonlyMap<string, Work>;
}

/** Traces a setting three times: the graph as written for its shapes, the one that runs for those of its kernels, and for time. */
export async function traceKernels(
  subject: Subject,
  model: OnnxModel,
  setting: Setting,
  bench: Bench,
): Promise<TracedKernels> {
  bench.onStep('Shapes');
  const written = await traceOnce(subject, { ...setting, optimization: 'disabled' }, setting.batch, bench);
  const optimized = await traceOnce(subject, setting, setting.batch, bench);
  bench.onStep('Trace');
  let wallMs: readonly number[] = [];
  const runs = await withTrace((tracePrefix) =>
    withModelProcess(bench.child, async (process) => {
      const session = await process.load(
        subject.facts.path,
        { ...sessionOptions(subject, setting, bench), tracePrefix },
        subject.facts.bytes,
      );
      const trial = [{ session, feeds: subject.inputs.feeds(setting.batch) }];
      await process.time(trial, { rounds: WARM_UP_RUNS, budgetMs: bench.budgetMs });
      wallMs = await timeTraced(
        (rounds, budgetMs) => process.time(trial, { rounds, budgetMs }),
        optimized.kernels.length,
        bench,
      );
      await session.release();
    }),
  );
  return {
    counts: countWork(model, written, setting.batch),
    runs: runs.slice(-wallMs.length),
    wallMs,
    work: workByKernel(optimized, nodesByName(model)),
  };
}

async function timeTraced(
  time: (rounds: number, budgetMs: number) => Promise<readonly (readonly number[])[]>,
  kernels: number,
  { budgetMs }: Bench,
): Promise<number[]> {
  const most = Math.max(FEWEST_RUNS, Math.min(MOST_RUNS, Math.floor(TRACED_KERNELS / Math.max(1, kernels))));
  const times: number[] = [];
  do {
    times.push(...(await time(most - times.length, budgetMs))[0]);
  } while (times.length < FEWEST_RUNS);
  return times;
}

const sessionOptions = ({ facts }: Subject, { threads, optimization }: SessionSetting, { device }: Bench) => ({
  device,
  threads,
  optimization,
  config: { ...facts.manifest?.session },
});

async function traceOnce(subject: Subject, setting: SessionSetting, batch: number, bench: Bench): Promise<TracedRun> {
  const [run] = await withTrace((tracePrefix) =>
    withModelProcess(bench.child, async (process) => {
      const options = sessionOptions(subject, setting, bench);
      const config = { ...options.config, ...NO_PACKING };
      const session = await process.load(subject.facts.path, { ...options, config, tracePrefix }, subject.facts.bytes);
      await process.time([{ session, feeds: subject.inputs.feeds(batch) }], { rounds: 1, budgetMs: 0 });
      await session.release();
    }),
  );
  return run;
}

/** How much slower the median traced run is than an untraced one. */
export const traceOverhead = (traced: readonly number[], untraced: number): number => median(traced) / untraced;
