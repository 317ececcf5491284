import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { withAtomicOutput } from '../../bytes/output.js';
import { openCheckpoint } from '../../checkpoint/open.js';
import { writeSafetensors } from '../../checkpoint/write-safetensors.js';
import { defineDocument, parseDocumentBytes } from '../../documents/define.js';
import { count, positive } from '../../documents/parts.js';
import { HpsError } from '../../errors.js';
import { readTensor, type Tensor, tensorFromBytes } from '../../tensor/tensor.js';
import { asFloat32, bytesOf } from '../../tensor/values.js';
import * as z from '../../zod.js';
import type { LossScaleState } from '../graph/half-precision.js';
import type { Parameters } from '../update/parameters.js';

/** What a run must know to go on, beside the parameters. */
export interface Progress {
  /** Steps done. */
  step: number;
  /** Pairs of one run of the graph: less than configured where memory ran out. */
  pairsPerRun: number;
  /** Evaluations since the last better one. */
  stale: number;
  /** Checkpoints kept, the best first. */
  best: { readonly step: number; readonly auc: number }[];
  /** Sums of losses and of gradient norms over the steps since the last evaluation, and their number: the next log line is their mean. */
  since: { steps: number; sums: Record<string, number> };
  /** Scale of the loss where products are in float16. */
  lossScale?: LossScaleState;
  /** sha256 of what the run was started with: configuration, seed and data. */
  readonly fingerprint: string;
}

/** A run that has not begun. */
export const newProgress = (pairsPerRun: number, fingerprint: string): Progress => ({
  step: 0,
  pairsPerRun,
  stale: 0,
  best: [],
  since: { steps: 0, sums: {} },
  fingerprint,
});

const STATE_FILE = 'state.safetensors';
const PROGRESS = 'progress';

/** What the tensor `progress` of a state holds, as the bytes of JSON; the others are the vectors of each slab of parameters. */
export const trainingStateDocument = defineDocument(
  'hpsv3/training-state@1',
  // in the order in which a run that was not resumed has them: both write the same bytes
  z.strictObject({
    step: count.describe('Steps done'),
    pairsPerRun: positive.describe('Pairs of one run of the graph'),
    stale: count.describe('Evaluations since the last better one'),
    best: z.array(z.strictObject({ step: count, auc: z.number() })).describe('Checkpoints kept, the best first'),
    since: z
      .strictObject({ steps: count, sums: z.record(z.string(), z.number().nullable()) })
      .describe('Sums over the steps since the last line of the log; null where one is not finite'),
    fingerprint: z.string().describe('sha256 of what the run was started with'),
    lossScale: z.strictObject({ scale: z.number().positive(), good: count }).optional(),
    updates: z.record(z.string(), count).describe('Updates of each slab'),
  }),
  { what: 'the state of a training run', made: 'hpsv3 train', code: 'CHECKPOINT_CORRUPT', unmarked: true },
);

export const hasState = (folder: string): boolean => existsSync(join(folder, STATE_FILE));

/** Writes everything a run needs to go on as if it had not stopped. The file is replaced whole. */
export async function writeState(folder: string, parameters: Parameters, progress: Progress): Promise<void> {
  const updates: Record<string, number> = {};
  const tensors: Tensor[] = [];
  for (const { slab, average, firstMoment, secondMoment, parameters: values, ...rest } of parameters.states) {
    updates[slab.name] = rest.updates;
    const parts = { values, firstMoment, secondMoment, ...(average ? { average } : {}) };
    for (const [part, vector] of Object.entries(parts)) {
      const info = { name: `${slab.name}/${part}`, dtype: 'F32' as const, shape: [slab.length] };
      tensors.push(tensorFromBytes(info, bytesOf(vector)));
    }
  }
  const json = Buffer.from(JSON.stringify({ schema: trainingStateDocument.id, ...progress, updates }));
  tensors.push(tensorFromBytes({ name: PROGRESS, dtype: 'U8', shape: [json.byteLength] }, json));
  await withAtomicOutput(join(folder, STATE_FILE), { force: true }, async (output) => {
    const sink = await output.create();
    await writeSafetensors(sink, tensors);
    await sink.finish();
  });
}

/**
 * Puts a saved state into the parameters.
 * @throws HpsError USAGE where it belongs to another run; CHECKPOINT_CORRUPT
 */
export async function readState(folder: string, parameters: Parameters, fingerprint: string): Promise<Progress> {
  const checkpoint = await openCheckpoint(join(folder, STATE_FILE));
  try {
    const bytesOfTensor = async (name: string): Promise<Uint8Array> => {
      const tensor = checkpoint.tensors.get(name);
      if (tensor) return readTensor(tensor);
      throw otherRun(`it has no ${name}`);
    };
    const json = await bytesOfTensor(PROGRESS);
    const { schema: _, updates, ...progress } = parseDocumentBytes(trainingStateDocument, json, STATE_FILE);
    if (progress.fingerprint !== fingerprint) throw otherRun('configuration, seed or data have changed since');
    for (const state of parameters.states) {
      const { slab } = state;
      const take = async (part: string, into: Float32Array): Promise<void> => {
        const name = `${slab.name}/${part}`;
        const bytes = await bytesOfTensor(name);
        if (bytes.byteLength !== into.byteLength) throw otherRun(`its ${name} has another length`);
        into.set(asFloat32(bytes));
      };
      await take('values', state.parameters);
      await take('firstMoment', state.firstMoment);
      await take('secondMoment', state.secondMoment);
      if (state.average) await take('average', state.average);
      state.updates = updates[slab.name] ?? 0;
    }
    const sums = Object.fromEntries(Object.entries(progress.since.sums).map(([key, sum]) => [key, sum ?? NaN]));
    return { ...progress, since: { ...progress.since, sums } };
  } finally {
    checkpoint.close();
  }
}

const otherRun = (reason: string): HpsError =>
  new HpsError('USAGE', `${STATE_FILE}: belongs to another run: ${reason}`, {
    hint: 'Resume with the same configuration, seed and data, or start anew with `force`.',
    details: { reason },
  });
