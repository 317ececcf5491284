import { kernelKey } from './counts.js';
import type { Profile } from './schema.js';
import type { TracedRun } from './trace.js';
import type { Work } from './work.js';

const US = 1000;
/** Rows of the viewer. */
const START = 1;
const KERNELS = 2;

/**
 * The cold start and one warm run in the Chrome trace format, for chrome://tracing, Perfetto and speedscope.
 * @see "Trace Event Format", complete events
 */
export function chromeTrace(
  { model, coldStart }: Pick<Profile, 'model' | 'coldStart'>,
  run: TracedRun,
  work: ReadonlyMap<string, Work>,
): string {
  const event = (tid: number, name: string, ts: number, dur: number, args: object = {}) => ({
    name,
    cat: tid === START ? 'start' : 'kernel',
    ph: 'X',
    pid: 1,
    tid,
    ts,
    dur,
    args,
  });
  const label = (name: string, tid: number, text: string) => ({ name, ph: 'M', pid: 1, tid, args: { name: text } });
  let at = 0;
  const phases = (['processMs', 'runtimeMs', 'loadMs', 'firstRunMs'] as const).map((phase) => {
    const begun = at;
    at += coldStart[phase] * US;
    return event(START, phase.slice(0, -2), begun, coldStart[phase] * US);
  });
  const kernels = run.kernels.map((kernel) => {
    const { operator, inputs, outputs } = kernel;
    const args = { operator, inputs, outputs, ...work.get(kernelKey(kernel)) };
    return event(KERNELS, kernel.name || operator, at + kernel.startUs - run.startUs, kernel.durationUs, args);
  });
  const traceEvents = [
    label('process_name', 0, model.file),
    label('thread_name', START, 'cold start'),
    label('thread_name', KERNELS, 'one warm run'),
    ...phases,
    ...kernels,
  ];
  return `${JSON.stringify({ displayTimeUnit: 'ms', traceEvents })}\n`;
}
