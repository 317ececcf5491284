import { basename } from 'node:path';
import type { Checkpoint } from '../../checkpoint/checkpoint.js';
import { openCheckpoint } from '../../checkpoint/open.js';
import { DEFAULT_GATE, DEFAULT_SEED, type Filled, filled } from '../../defaults.js';
import { HpsError } from '../../errors.js';
import { type Budget, GOLDEN_ATOL } from '../../gate/budget.js';
import { type GateReference, runGate } from '../../gate/gate.js';
import { readFacts } from '../../gate/model.js';
import type { GateLevel, GateReport } from '../../gate/report.js';
import { type RemoteFileOptions, withAddresses } from '../../hub/with-addresses.js';
import { checkModel } from '../../onnx/check.js';
import { openOnnx } from '../../onnx/read.js';
import { type Run, runOf } from '../../run.js';
import type { ModelLimits } from '../../runtime/child.js';

export interface VerifyOptions extends Run {
  /** The model that is judged where only one is given, the one it is compared with where there are two. */
  readonly model: string;
  /** The model that must decide as `model` does. */
  readonly other?: string;
  /** Inputs and outputs of the reference implementation (safetensors). */
  readonly golden?: string;
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

export const VERIFY_DEFAULTS = { level: DEFAULT_GATE, seed: DEFAULT_SEED } as const satisfies Partial<VerifyOptions>;

type Settled = Filled<VerifyOptions, typeof VERIFY_DEFAULTS>;

export interface VerifyReport extends GateReport {
  readonly models: readonly string[];
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
  const { model, other, golden, inputs } = options;
  if (other !== undefined && golden !== undefined) {
    throw new HpsError('USAGE', 'a second model and `golden` are given together', {
      hint: 'Compare with one of them at a time.',
    });
  }
  const models = other === undefined ? [model] : [model, other];
  for (const path of models) assertSound(path);

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
