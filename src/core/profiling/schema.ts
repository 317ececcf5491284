import { defineDocument, formatDocument } from '../documents/define.js';
import { count, interval, milliseconds, positive, sha256 } from '../documents/parts.js';
import { LIMITS } from '../limits.js';
import { OPTIMIZATION_LEVELS } from '../runtime/session.js';
import * as z from '../zod.js';

/** A median or quantile with the ends of its interval; null where there are too few runs for one. */
const estimate = z.strictObject({ value: z.number(), ci: interval.nullable() });

/** How a model is run. */
export const settingSchema = z.strictObject({
  /** `model`, or the name of a --variant. */
  variant: z.string(),
  /** Samples of one run. */
  batch: positive,
  /** Threads inside one operator. */
  threads: positive,
  optimization: z.enum(OPTIMIZATION_LEVELS),
});

const latencySchema = z.strictObject({
  setting: settingSchema,
  runs: positive,
  meanMs: milliseconds,
  minMs: milliseconds,
  maxMs: milliseconds,
  p50Ms: estimate,
  p90Ms: estimate,
  p95Ms: estimate,
  p99Ms: estimate,
  /** Batch over mean: back to back, all waiting included. */
  samplesPerSecond: z.number().positive(),
});

/** What kernels of one kind, or one kernel, do in one run. */
const work = {
  /** Multiply-accumulates. */
  macs: count,
  /** Read and written, each operand once. */
  bytes: count,
};

const kernelSchema = z.strictObject({
  name: z.string(),
  operator: z.string(),
  ...work,
  ms: milliseconds,
  /** Of the wall time of a run. */
  share: z.number(),
  /** What the measured peaks allow at least, in milliseconds: by arithmetic or by memory, whichever takes longer. */
  idealMs: milliseconds,
  bound: z.enum(['compute', 'memory']),
  /** ms - idealMs, never below 0. */
  recoverableMs: milliseconds,
});

const ratio = z.strictObject({
  /** Median over blocks of the median ratio of paired runs. */
  value: z.number().positive(),
  ci: interval.nullable(),
  /** Of the interval. */
  level: z.number(),
  blocks: positive,
  pairs: positive,
});

const verdictSchema = z.enum(['within', 'slower', 'none']);

const sweepRow = z.strictObject({
  setting: settingSchema,
  /** Median time of a run; null where it failed. The rate is by the mean. */
  ms: milliseconds.nullable(),
  samplesPerSecond: z.number().nonnegative().nullable(),
  /** Separate processes it was measured in. */
  repeats: count,
  /** Error code of a setting that cannot be run here, e.g. for lack of memory. */
  failed: z.string().nullable(),
});

const fields = z.strictObject({
  tool: z.string(),
  model: z.strictObject({ file: z.string(), sha256, bytes: count, parameters: count }),
  variants: z.array(z.strictObject({ name: z.string(), file: z.string(), sha256, bytes: count })),
  machine: z.strictObject({
    cpu: z.string(),
    cores: positive,
    memoryBytes: positive,
    platform: z.string(),
    node: z.string(),
    runtime: z.string(),
    device: z.string(),
    /** Runnable processes a core over the last minute, before and after; null where the system does not tell. */
    load: z.tuple([z.number(), z.number()]).nullable(),
  }),
  inputs: z.strictObject({
    origin: z.enum(['probes', 'inputs']),
    /** Of one sample. */
    shapes: z.record(z.string(), z.array(count)),
    seed: count,
  }),
  /** The same model against itself. Where `quiet` is false, differences smaller than `resolution` cannot be told here. */
  noise: z.strictObject({
    ratio,
    resolution: z.number().nonnegative().nullable(),
    quiet: z.boolean(),
    reason: z.string().nullable(),
  }),
  coldStart: z.strictObject({
    runs: positive,
    processMs: milliseconds,
    runtimeMs: milliseconds,
    loadMs: milliseconds,
    firstRunMs: milliseconds,
    totalMs: milliseconds,
  }),
  latency: latencySchema,
  memory: z.strictObject({
    /** Resident: a process with the runtime, then with the model, after all runs, and at most. */
    runtimeBytes: count,
    loadedBytes: count,
    steadyBytes: count,
    peakBytes: count,
  }),
  counts: z.strictObject({
    setting: z.strictObject({ batch: positive }),
    macs: count,
    parameters: count,
    bytes: count,
    operators: z.array(z.strictObject({ operator: z.string(), nodes: positive, parameters: count, ...work })),
    /** Operators that multiply but whose products are not counted. */
    uncounted: z.array(z.string()),
  }),
  time: z.strictObject({
    setting: settingSchema,
    /** Traced runs that the means are of: the faster half. */
    runs: positive,
    wallMs: milliseconds,
    kernelsMs: milliseconds,
    /** wallMs - kernelsMs, split: inside the runtime between kernels, and outside it (inputs, outputs, the call itself). */
    remainderMs: z.number(),
    runtimeMs: z.number(),
    callMs: z.number(),
    /** Median of a traced run over that of an untraced one. */
    traceOverhead: z.number(),
    recoverableMs: milliseconds,
    operators: z.array(
      z.strictObject({
        operator: z.string(),
        kernels: positive,
        ...work,
        ms: milliseconds,
        share: z.number(),
        recoverableMs: milliseconds,
      }),
    ),
    kernels: z.array(kernelSchema),
  }),
  /** Rates measured in the same run with the same threads: a matrix product and a copy. */
  peaks: z.strictObject({
    macsPerSecond: z.number().positive(),
    /** 8-bit integer products; null where the model has none. */
    integerMacsPerSecond: z.number().positive().nullable(),
    bytesPerSecond: z.number().positive(),
  }),
  sweep: z.strictObject({
    settings: z.array(sweepRow),
    /** For each variant, threads and level: the smallest batch with 95 % of the most samples a second. */
    knees: z.array(settingSchema),
    /** Settings to use: for many rows, and for one sample as soon as possible. Null where nothing ran. */
    recommended: z.strictObject({ throughput: settingSchema, latency: settingSchema }).nullable(),
  }),
  baseline: z
    .strictObject({
      file: z.string(),
      sha256,
      /** `interleaved` with the model, or `recorded` in a profile and scaled by the measured peaks. */
      how: z.enum(['interleaved', 'recorded']),
      ratio,
      /** Largest ratio that passes. */
      budget: z.number().positive(),
      difference: z.enum(['slower', 'faster', 'none', 'unknown']),
      verdict: verdictSchema,
      reason: z.string(),
    })
    .nullable(),
  warnings: z.array(z.string()),
});

/** What `hpsv3 profile` writes. Times are of this machine at that moment: compare them within one document. */
export const profileDocument = defineDocument('hpsv3/profile@1', fields, {
  what: 'a profile',
  made: 'hpsv3 profile',
  limit: LIMITS.profileBytes,
});

export type Profile = z.output<typeof profileDocument.schema>;

/** The file's text. */
export const formatProfile = (profile: Profile): string => formatDocument(profileDocument.schema.parse(profile));

export type Setting = z.infer<typeof settingSchema>;
export type Ratio = z.infer<typeof ratio>;
export type Estimate = z.infer<typeof estimate>;
export type Kernel = z.infer<typeof kernelSchema>;
export type SweepRow = z.infer<typeof sweepRow>;
export type Latency = z.infer<typeof latencySchema>;
export type BaselineReport = NonNullable<Profile['baseline']>;
