import { HpsError } from '../errors.js';
import { formatShape } from '../tensor/shape.js';
import { judgeBaseline } from './compare.js';
import type { BaselineReport, Profile, Ratio } from './schema.js';

type Now = Pick<Profile, 'machine' | 'latency' | 'peaks' | 'noise' | 'inputs'>;

/**
 * Compares with a profile made earlier. Nothing is interleaved, so both latencies are taken relative to the peak rate that was
 * measured beside them, and the interval takes in those of both and the noise of both.
 * @throws HpsError MODELS_INCOMPARABLE for another machine, runtime, setting or input
 */
export function compareRecorded(now: Now, then: Profile, file: string, budget: number): BaselineReport {
  refuseOther(now, then, file);
  const scale = now.peaks.macsPerSecond / then.peaks.macsPerSecond;
  const value = (scale * now.latency.p50Ms.value) / then.latency.p50Ms.value;
  const slack = (1 + (now.noise.resolution ?? 0)) * (1 + (then.noise.resolution ?? 0)); // without one there is no verdict
  const [low, high] = now.latency.p50Ms.ci ?? [Number.NaN, Number.NaN];
  const [thenLow, thenHigh] = then.latency.p50Ms.ci ?? [Number.NaN, Number.NaN];
  const ends: [number, number] = [(scale * low) / thenHigh / slack, (scale * high * slack) / thenLow];
  const ratio: Ratio = {
    value,
    ci: ends.every(Number.isFinite) ? ends : null,
    level: now.noise.ratio.level,
    blocks: 1,
    pairs: now.latency.runs,
  };
  const quiet = now.noise.quiet && then.noise.quiet;
  const reason = now.noise.reason ?? then.noise.reason;
  const verdict = judgeBaseline(ratio, budget, { ...now.noise, quiet, reason });
  return { file, sha256: then.model.sha256, how: 'recorded', ratio, budget, ...verdict };
}

function refuseOther(now: Now, then: Profile, file: string): void {
  const differing = (
    [
      ['processor', now.machine.cpu, then.machine.cpu],
      ['number of cores', now.machine.cores, then.machine.cores],
      ['runtime', now.machine.runtime, then.machine.runtime],
      ['device', now.machine.device, then.machine.device],
      ['batch', now.latency.setting.batch, then.latency.setting.batch],
      ['threads', now.latency.setting.threads, then.latency.setting.threads],
      ['optimisation', now.latency.setting.optimization, then.latency.setting.optimization],
      ['inputs', shapesText(now.inputs), shapesText(then.inputs)],
    ] as const
  ).find(([, ours, theirs]) => ours !== theirs);
  if (differing === undefined) return;
  const [what, ours, theirs] = differing;
  throw new HpsError('MODELS_INCOMPARABLE', `${file}: its ${what} is ${theirs}, here ${ours}`, {
    hint: 'Compare with the model itself: `baseline` FILE.onnx.',
    details: { file, what, recorded: theirs, here: ours },
  });
}

const shapesText = ({ shapes }: Profile['inputs']): string =>
  Object.entries(shapes)
    .map(([name, shape]) => `${name} ${formatShape(shape)}`)
    .join(', ');
