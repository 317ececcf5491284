import { basename } from 'node:path';
import { withAtomicOutput } from '../../bytes/output.js';
import type { Checkpoint } from '../../checkpoint/checkpoint.js';
import { openCheckpoint } from '../../checkpoint/open.js';
import { DEFAULT_DEVICE, DEFAULT_GATE, DEFAULT_SEED, type Filled, filled } from '../../defaults.js';
import { formatDocument, readDocument } from '../../documents/define.js';
import { HpsError } from '../../errors.js';
import { type Budget, GOLDEN_ATOL } from '../../gate/budget.js';
import { type GateReference, runGate } from '../../gate/gate.js';
import { readFacts } from '../../gate/model.js';
import {
  compareRecorded,
  type RunSettings,
  recordedDocument,
  recordScores,
  runtimeDifferences,
  type Skew,
} from '../../gate/recorded.js';
import type { GateLevel, GateReport } from '../../gate/report.js';
import { type RemoteFileOptions, withAddresses } from '../../hub/with-addresses.js';
import { checkModel } from '../../onnx/check.js';
import { openOnnx } from '../../onnx/read.js';
import { type Run, runOf, startStage } from '../../run.js';
import type { ModelLimits } from '../../runtime/child.js';
import { parseDevice } from '../../runtime/device.js';
import { TOOL } from '../../version.js';

export interface VerifyOptions extends Run {
  /** The model that is judged where only one is given, the one it is compared with where there are two. */
  readonly model: string;
  /** The model that must decide as `model` does. */
  readonly other?: string;
  /** Inputs and outputs of the reference implementation (safetensors). */
  readonly golden?: string;
  /** Scores of this very model that were recorded elsewhere (`record`), which it must give here, too. */
  readonly recorded?: string;
  /** Writes the scores of the model as they are here to this file, for `recorded`. */
  readonly record?: string;
  /** Replace `record`. */
  readonly force?: boolean;
  /** Where the model runs, for `recorded` and `record`: `cpu`, `webgpu` or `cuda:N`. */
  readonly device?: string;
  /** Threads inside one operator, for the same; the cores where omitted. */
  readonly threads?: number;
  /** Inputs of the user's own instead of seeded probes. */
  readonly inputs?: string;
  /** Largest accepted |output - golden|; by the model's dtype where omitted. */
  readonly atol?: number;
  readonly budget?: Budget;
  readonly level?: Exclude<GateLevel, 'off'>;
  readonly seed?: number;
  /** How files on other machines are reached, where an option names one: hf://, https://, s3://. */
  readonly remote?: RemoteFileOptions;
  /** Of the process that runs a model: memory, time, size of outputs. */
  readonly limits?: ModelLimits;
}

export const VERIFY_DEFAULTS = {
  level: DEFAULT_GATE,
  seed: DEFAULT_SEED,
  device: DEFAULT_DEVICE,
  force: false,
} as const satisfies Partial<VerifyOptions>;

type Settled = Filled<VerifyOptions, typeof VERIFY_DEFAULTS>;

export interface VerifyReport extends GateReport {
  readonly models: readonly string[];
  /** What runs here, and ran there, where scores were recorded elsewhere. */
  readonly skew?: Pick<Skew, 'recordedBy' | 'computedBy'>;
  /** Base name of the file the scores were recorded in. */
  readonly record?: string;
}

/**
 * The gate on files that exist: two models against each other, or one against golden outputs (or against itself alone).
 * A "no" is a report with `passed: false`.
 * @throws HpsError for files that cannot be read, run or compared
 */
export function verifyModels(given: VerifyOptions): Promise<VerifyReport> {
  return withAddresses(given, { checkpoints: ['golden', 'inputs'] }, verifyLocally);
}

async function verifyLocally(given: VerifyOptions): Promise<VerifyReport> {
  const options = filled(given, VERIFY_DEFAULTS);
  const { model, other, golden } = options;
  refuseTogether(options);
  if (other !== undefined && golden !== undefined) {
    throw new HpsError('USAGE', 'a second model and `golden` are given together', {
      hint: 'Compare with one of them at a time.',
    });
  }
  const models = other === undefined ? [model] : [model, other];
  for (const path of models) assertSound(path);
  if (options.recorded !== undefined) return verifyRecorded(options, options.recorded);
  if (options.record !== undefined) return recordInto(options.record, options);
  return verifyByGate(options, models);
}

async function verifyByGate(options: Settled, models: readonly string[]): Promise<VerifyReport> {
  const { model, other, inputs } = options;

  const opened: Checkpoint[] = [];
  const tensorsOf = async (path: string): Promise<{ file: string; tensors: Checkpoint['tensors'] }> => {
    const checkpoint = await openCheckpoint(path, {});
    opened.push(checkpoint);
    return { file: basename(path), tensors: checkpoint.tensors };
  };
  try {
    const report = await runGate({
      candidate: other ?? model,
      reference: await referenceOf(options, tensorsOf),
      level: options.level,
      budget: options.budget,
      seed: String(options.seed),
      limits: options.limits,
      ...(inputs === undefined ? {} : { inputs: await tensorsOf(inputs) }),
      ...runOf(options),
    });
    return { models: models.map((path) => basename(path)), ...report };
  } finally {
    for (const checkpoint of opened) checkpoint.close();
  }
}

async function referenceOf(
  { model, other, golden, atol }: Settled,
  tensorsOf: (path: string) => Promise<{ file: string; tensors: Checkpoint['tensors'] }>,
): Promise<GateReference> {
  if (other !== undefined) return { kind: 'model', path: model };
  if (golden === undefined) return { kind: 'none' };
  return {
    kind: 'golden',
    ...(await tensorsOf(golden)),
    atol: atol ?? GOLDEN_ATOL[(await readFacts(model)).half ? 'fp16' : 'fp32'],
  };
}

/** A model of a stranger is checked as a graph before a runtime sees it. */
function assertSound(path: string): void {
  const file = openOnnx(path);
  try {
    checkModel(file.model, file.source.name);
  } finally {
    file.close();
  }
}

/** @throws HpsError USAGE for what cannot be asked at once */
function refuseTogether({ recorded, record, other, golden, inputs }: Settled): void {
  const asked = recorded === undefined ? record && 'record' : 'recorded';
  if (asked === undefined) return;
  const beside = Object.entries({ other, golden, inputs, ...(recorded === undefined ? {} : { record }) });
  const [clash] = beside.find(([, value]) => value !== undefined) ?? [];
  if (clash === undefined) return;
  throw new HpsError(
    'USAGE',
    `\`${asked}\` and ${clash === 'other' ? 'a second model' : `\`${clash}\``} are given together`,
    {
      hint: 'Ask for one of them at a time.',
    },
  );
}

const settingsOf = ({ device, threads, limits, signal }: Settled): RunSettings => {
  const chosen = parseDevice(device);
  if (chosen.kind === 'auto') {
    throw new HpsError('USAGE', '`device` auto: recorded scores need to know where they run', {
      hint: 'Name cpu, webgpu or cuda:N.',
    });
  }
  return { device: chosen, threads, limits, signal };
};

/** The scores that a file was recorded with, computed again with what runs here. */
async function verifyRecorded(options: Settled, path: string): Promise<VerifyReport> {
  const { document, name } = readDocument(recordedDocument, path);
  startStage(options, 'Recorded scores');
  const skew = await compareRecorded(options.model, document, name, { ...settingsOf(options), budget: options.budget });
  const { passed, budget, recordedBy, computedBy, pairs, flips, flipRate, kendall, maxScoreDiff } = skew;
  const different = runtimeDifferences(skew);
  const detail = `${document.rows} scores of ${name}; ${different.length > 0 ? different.join('; ') : 'the same runtime, device and threads'}`;
  return {
    ...emptyReport(options),
    models: [basename(options.model)],
    passed,
    reference: 'recorded',
    ...{ budget, pairs, flips, flipRate, kendall, maxScoreDiff },
    checks: [{ name: 'recorded scores', passed, maxAbsDiff: maxScoreDiff, detail }],
    skew: { recordedBy, computedBy },
  };
}

async function recordInto(path: string, options: Settled): Promise<VerifyReport> {
  const { model, force, seed } = options;
  return withAtomicOutput(path, { force, inputs: [model] }, async (output) => {
    const document = await recordScores(model, { ...settingsOf(options), seed: `${seed}`, tool: TOOL });
    await output.writeFile(output.name, formatDocument(document));
    const notes = [`Recorded: ${document.rows} scores.`];
    return {
      ...emptyReport(options),
      models: [basename(model)],
      passed: true,
      reference: 'none',
      notes,
      record: output.name,
    };
  });
}

/** The parts of a report that a gate fills in, where none is run. */
const emptyReport = ({ level, budget = {}, seed }: Settled) => ({
  level,
  budget,
  seed: `${seed}`,
  ...{ pairs: null, flips: null, flipRate: null, kendall: null, maxScoreDiff: null },
  checks: [],
  notes: [],
  parity: { golden: null, source: null },
  ...{ peakRssBytes: 0, loadMs: 0, runMs: 0 },
});
