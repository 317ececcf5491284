import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { withTemporaryFolder } from '../bytes/temporary-folder.js';
import { HpsError } from '../errors.js';

/** One run of one kernel. */
export interface KernelRun {
  /** As the runtime calls it: the node's name, or that of the fusion it became part of. */
  readonly name: string;
  readonly operator: string;
  readonly nodeIndex: string;
  /** Microseconds since the session began. */
  readonly startUs: number;
  readonly durationUs: number;
  /** `durationUs` without the kernels inside: those of a branch or a loop body have their own. */
  readonly selfUs: number;
  /** Shapes of the inputs that are there at run time; a weight packed at load is not. */
  readonly inputs: readonly (readonly number[])[];
  readonly outputs: readonly (readonly number[])[];
  readonly parameterBytes: number;
  readonly activationBytes: number;
  readonly outputBytes: number;
}

/** One run of the model as the runtime saw it. */
export interface TracedRun {
  readonly startUs: number;
  readonly durationUs: number;
  readonly kernels: readonly KernelRun[];
}

/** Event of the Chrome trace format, as onnxruntime writes it: complete (`X`), times in microseconds. */
interface TraceEvent {
  readonly cat?: string;
  readonly name?: string;
  readonly ts?: number;
  readonly dur?: number;
  readonly args?: Readonly<Record<string, unknown>>;
}

/**
 * Gives `use` the prefix of a trace in a folder of its own, and reads the trace once `use` has released the session.
 * @throws HpsError BACKEND_UNAVAILABLE where the runtime wrote none
 */
export async function withTrace(use: (prefix: string) => Promise<void>): Promise<TracedRun[]> {
  return withTemporaryFolder('trace', async (folder) => {
    await use(join(folder, 'trace'));
    const [file] = await readdir(folder);
    if (file === undefined) {
      throw new HpsError('BACKEND_UNAVAILABLE', 'onnxruntime wrote no trace', {
        hint: 'Check that the temporary folder can be written to and is not full.',
      });
    }
    return parseTrace(JSON.parse(await readFile(join(folder, file), 'utf8')) as unknown);
  });
}

const KERNEL_SUFFIX = '_kernel_time';

/** The runs in an onnxruntime trace, in order; events that it does not know are passed over. */
export function parseTrace(trace: unknown): TracedRun[] {
  const events = (Array.isArray(trace) ? trace : []) as TraceEvent[];
  const kernels = events.filter(({ cat, name }) => cat === 'Node' && name?.endsWith(KERNEL_SUFFIX));
  kernels.sort((a, b) => a.ts! - b.ts! || b.dur! - a.dur!);
  const runs = events.filter(({ name }) => name === 'model_run').sort((a, b) => a.ts! - b.ts!);
  return runs.map(({ ts: startUs = 0, dur: durationUs = 0 }) => {
    const inside = kernels.filter(({ ts = 0 }) => ts >= startUs && ts <= startUs + durationUs);
    const selfUs = selfTimes(inside);
    return { startUs, durationUs, kernels: inside.map((event, i) => kernelRun(event, selfUs[i])) };
  });
}

/** Durations without what lies inside; the events are sorted by start, outer ones first. */
function selfTimes(events: readonly TraceEvent[]): number[] {
  const self = events.map(({ dur = 0 }) => dur);
  const open: number[] = [];
  for (const [i, { ts = 0, dur = 0 }] of events.entries()) {
    while (open.length > 0 && endOf(events[open[open.length - 1]]) < ts + dur) open.pop();
    if (open.length > 0 && endOf(events[open[open.length - 1]]) > ts) self[open[open.length - 1]] -= dur;
    open.push(i);
  }
  return self.map((us) => Math.max(0, us));
}

const endOf = ({ ts = 0, dur = 0 }: TraceEvent): number => ts + dur;

function kernelRun({ name = '', ts = 0, dur = 0, args = {} }: TraceEvent, selfUs: number): KernelRun {
  return {
    name: name.slice(0, -KERNEL_SUFFIX.length),
    operator: String(args['op_name'] ?? ''),
    nodeIndex: String(args['node_index'] ?? ''),
    startUs: ts,
    durationUs: dur,
    selfUs,
    inputs: shapesOf(args['input_type_shape']),
    outputs: shapesOf(args['output_type_shape']),
    parameterBytes: Number(args['parameter_size'] ?? 0),
    activationBytes: Number(args['activation_size'] ?? 0),
    outputBytes: Number(args['output_size'] ?? 0),
  };
}

/** `[{"float": [2, 3]}, …]`: one object a tensor, its only key the element type. */
function shapesOf(list: unknown): number[][] {
  if (!Array.isArray(list)) return [];
  return list.map((entry) => (Object.values(entry as Record<string, number[]>)[0] ?? []).map(Number));
}
