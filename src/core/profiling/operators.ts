import { kernelKey } from './counts.js';
import type { Kernel, Profile } from './schema.js';
import type { TracedRun } from './trace.js';
import { INTEGER_OPERATORS, type Work } from './work.js';

export type Peaks = Profile['peaks'];
type Time = Profile['time'];

export interface OperatorTimes extends Omit<Time, 'setting' | 'traceOverhead'> {}

export interface TracedRuns {
  readonly runs: readonly TracedRun[];
  /** Milliseconds of the same runs as the caller saw them. */
  readonly wallMs: readonly number[];
  readonly work: ReadonlyMap<string, Work>;
  readonly peaks: Peaks;
}

const US = 1000;

/**
 * Where the time of a run goes, by kernel and by operator. All figures are means over the same runs, the faster half of those
 * traced, so that kernels and remainder add up to the wall time.
 */
export function operatorTimes({ runs, wallMs, work, peaks }: TracedRuns): OperatorTimes {
  const chosen = fasterHalf(wallMs);
  const mean = (of: (run: number) => number): number => chosen.reduce((sum, run) => sum + of(run), 0) / chosen.length;
  const wall = mean((run) => wallMs[run]);
  const kernels = kernelMeans(chosen.map((run) => runs[run])).map((kernel): Kernel => {
    const { macs, bytes } = work.get(kernel.key) ?? { macs: 0, bytes: 0 };
    const ideal = idealTime({ macs, bytes }, kernel.operator, peaks);
    return {
      name: kernel.name,
      operator: kernel.operator,
      macs,
      bytes,
      ms: kernel.ms,
      share: kernel.ms / wall,
      ...ideal,
      recoverableMs: Math.max(0, kernel.ms - ideal.idealMs),
    };
  });
  kernels.sort((a, b) => b.recoverableMs - a.recoverableMs);
  const kernelsMs = kernels.reduce((sum, { ms }) => sum + ms, 0);
  const runtimeMs = mean((run) => runs[run].durationUs / US) - kernelsMs;
  const operators = byOperator(kernels, wall);
  return {
    runs: chosen.length,
    wallMs: wall,
    kernelsMs,
    remainderMs: wall - kernelsMs,
    runtimeMs,
    callMs: wall - kernelsMs - runtimeMs,
    recoverableMs: operators.reduce((sum, { recoverableMs }) => sum + recoverableMs, 0),
    operators,
    kernels,
  };
}

/** Indices of the runs up to the median: what disturbed the others is not the model's. */
function fasterHalf(wallMs: readonly number[]): number[] {
  const order = wallMs.map((_, run) => run).sort((a, b) => wallMs[a] - wallMs[b]);
  return order.slice(0, Math.ceil(order.length / 2));
}

interface KernelMean {
  readonly key: string;
  readonly name: string;
  readonly operator: string;
  readonly ms: number;
}

function kernelMeans(runs: readonly TracedRun[]): KernelMean[] {
  const sums = new Map<string, { name: string; operator: string; us: number }>();
  for (const { kernels } of runs) {
    for (const kernel of kernels) {
      const key = kernelKey(kernel);
      const { name, operator } = kernel;
      sums.set(key, { name, operator, us: (sums.get(key)?.us ?? 0) + kernel.selfUs });
    }
  }
  return Array.from(sums, ([key, { name, operator, us }]) => ({ key, name, operator, ms: us / US / runs.length }));
}

/** Roofline: arithmetic at the peak rate or memory at the peak rate, whichever takes longer (Williams et al., 2009). */
function idealTime({ macs, bytes }: Work, operator: string, peaks: Peaks): Pick<Kernel, 'idealMs' | 'bound'> {
  const rate = (INTEGER_OPERATORS.has(operator) ? peaks.integerMacsPerSecond : null) ?? peaks.macsPerSecond;
  const computeMs = (1000 * macs) / rate;
  const memoryMs = (1000 * bytes) / peaks.bytesPerSecond;
  return { idealMs: Math.max(computeMs, memoryMs), bound: computeMs > memoryMs ? 'compute' : 'memory' };
}

function byOperator(kernels: readonly Kernel[], wallMs: number): Time['operators'] {
  const rows = new Map<string, Time['operators'][number]>();
  for (const { operator, macs, bytes, ms, recoverableMs } of kernels) {
    const row = rows.get(operator);
    rows.set(operator, {
      operator,
      kernels: (row?.kernels ?? 0) + 1,
      macs: (row?.macs ?? 0) + macs,
      bytes: (row?.bytes ?? 0) + bytes,
      ms: (row?.ms ?? 0) + ms,
      share: ((row?.ms ?? 0) + ms) / wallMs,
      recoverableMs: (row?.recoverableMs ?? 0) + recoverableMs,
    });
  }
  return [...rows.values()].sort((a, b) => b.recoverableMs - a.recoverableMs);
}
