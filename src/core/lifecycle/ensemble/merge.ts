import { basename } from 'node:path';
import { DEFAULT_GATE, DEFAULT_SEED, type Filled, filled } from '../../defaults.js';
import type { MemberGraph } from '../../ensemble/contracts.js';
import { readEnsemble } from '../../ensemble/ensemble-file.js';
import { type MergedModel, mergeModels } from '../../ensemble/merge.js';
import { givenWeights } from '../../ensemble/weights.js';
import { HpsError } from '../../errors.js';
import type { Budget } from '../../gate/budget.js';
import { runGate } from '../../gate/gate.js';
import type { GateLevel, GateReport } from '../../gate/report.js';
import { LIMITS } from '../../limits.js';
import { checkModel } from '../../onnx/check.js';
import {
  type Decision,
  type LineageStep,
  MANIFEST_KEY,
  type Manifest,
  type Modality,
  type Mode,
  manifestOf,
  TOKENIZER_KEY,
} from '../../onnx/manifest.js';
import { metadataOf, type OnnxModel, opsetOf } from '../../onnx/model.js';
import { type OnnxFile, openOnnx } from '../../onnx/read.js';
import { startLineage } from '../../release/lineage.js';
import { ModelRelease } from '../../release/model-release.js';
import { type Run, runOf } from '../../run.js';
import { PROCESSOR_KEY } from '../../runtime/processors.js';
import { replacedMember, usage } from './inputs.js';

/** A member by the path of its model, with its weight or its name in an ensemble file. */
export interface ModelFile {
  readonly path: string;
  readonly weight?: number;
  readonly name?: string;
}

export interface MergeEnsembleOptions extends Run {
  readonly members: readonly ModelFile[];
  /** An ensemble file that has the weights. */
  readonly ensemble?: string;
  readonly out: string;
  readonly gate?: GateLevel;
  readonly budget?: Budget;
  readonly seed?: number;
  /** Weights in `OUT.data`; always so above 2 GiB. */
  readonly externalData?: boolean;
  /** Accept NaN and infinities among the weights. */
  readonly allowNonfinite?: boolean;
  /** Replace `out`. */
  readonly force?: boolean;
}

export const MERGE_ENSEMBLE_DEFAULTS = {
  gate: DEFAULT_GATE,
  seed: DEFAULT_SEED,
  externalData: false,
  allowNonfinite: false,
  force: false,
} as const satisfies Partial<MergeEnsembleOptions>;

type Settled = Filled<MergeEnsembleOptions, typeof MERGE_ENSEMBLE_DEFAULTS>;

export interface MergeEnsembleReport {
  readonly out: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly externalData: { readonly name: string; readonly sha256: string; readonly bytes: number } | null;
  readonly members: readonly { readonly file: string; readonly weight: number }[];
  /** The logits are this times the weighted average of the members'. */
  readonly slope: number;
  readonly opset: number;
  readonly modality: Modality | null;
  readonly mode: Mode;
  readonly decision: Decision;
  readonly nodes: number;
  /** Initializers that an equal one stands for, and the bytes saved by it. */
  readonly shared: MergedModel['shared'];
  readonly gate: GateReport;
  readonly lineage: readonly LineageStep[];
  readonly warnings: readonly string[];
}

/**
 * Puts several models into one graph that gives the weighted average of their logits. Weights stream from file to file; the target
 * changes only when the gate has found the average in it.
 *
 * @throws HpsError USAGE for weights that make no average; MODELS_INCOMPARABLE where the members' contracts differ; GATE_FAILED with
 *   the gate's report in `details`; and the OUTPUT_… codes
 */
export async function mergeEnsemble(given: MergeEnsembleOptions): Promise<MergeEnsembleReport> {
  const options = filled(given, MERGE_ENSEMBLE_DEFAULTS);
  const weighted = weighMembers(options);
  const files: OnnxFile[] = [];
  let release: ModelRelease | undefined;
  try {
    for (const { path } of weighted.members) files.push(openOnnx(path));
    release = await ModelRelease.reserve(options.out, {
      force: options.force,
      inputs: sourcePaths(files),
      suffixes: options.externalData ? ['.data'] : [],
    });
    return await mergeInto(release, files, weighted, options);
  } finally {
    await release?.close();
    for (const file of files) file.close();
  }
}

const sourcePaths = (files: readonly OnnxFile[]): string[] =>
  files.flatMap(({ source, externalFiles }) => [source.path, ...externalFiles.map(({ path }) => path)]);

interface WeightedFile {
  readonly path: string;
  readonly weight: number;
  /** The model that the ensemble file names in its place, by sha256. */
  readonly model: string | null;
}

interface Weighted {
  /** Those with a weight above 0. */
  readonly members: readonly WeightedFile[];
  readonly slope: number;
  /** What the ensemble file is bound to. */
  readonly decision: Decision | null;
  readonly warnings: readonly string[];
}

function weighMembers({ members, ensemble }: Settled): Weighted {
  if (members.length < 2) throw usage('an ensemble has at least two members', 'Give `members` for each of them.');
  if (members.length > LIMITS.ensembleMembers) {
    throw usage(`${members.length} members, at most ${LIMITS.ensembleMembers} can be combined`, 'Leave some out.');
  }
  const weighted = ensemble === undefined ? weightsGiven(members) : weightsFrom(ensemble, members);
  const idle = weighted.members.filter(({ weight }) => weight === 0);
  return {
    ...weighted,
    members: weighted.members.filter(({ weight }) => weight > 0),
    warnings: idle.map(({ path }) => `${basename(path)} has a weight of 0: left out.`),
  };
}

function weightsGiven(members: readonly ModelFile[]): Omit<Weighted, 'warnings'> {
  const unweighted = members.find(({ weight }) => weight === undefined);
  if (unweighted) {
    throw usage(`${basename(unweighted.path)} has no weight`, 'Write it behind the path: `members` a.onnx:0.6.');
  }
  // Keys tell members apart that are the same file.
  const named = members.map(({ path, weight }, m) => [`member ${m + 1} (${basename(path)})`, weight!] as const);
  const { weights, slope } = givenWeights(new Map(named));
  return { members: members.map(({ path }, m) => ({ path, weight: weights[m], model: null })), slope, decision: null };
}

function weightsFrom(path: string, members: readonly ModelFile[]): Omit<Weighted, 'warnings'> {
  const { document: file } = readEnsemble(path);
  const names = file.members.map(({ name }) => name);
  const expected = `The ensemble's members are ${names.join(', ')}: \`members\` NAME=FILE for each with a weight.`;
  if (members.some(({ weight }) => weight !== undefined)) {
    throw usage('members have weights, and the ensemble file has them too', 'Give weights in one of the two places.');
  }
  const given = new Set(members.map(({ name }) => name));
  const unknown = members.find(({ name }) => name === undefined || !names.includes(name));
  if (unknown) throw usage(`${unknown.name ?? basename(unknown.path)} is no member of the ensemble`, expected);
  if (given.size < members.length) throw usage('two models have one name', expected);
  const absent = file.members.find(({ name, weight }) => weight > 0 && !given.has(name));
  if (absent) throw usage(`no model is given for ${absent.name}`, expected);
  const memberOf = new Map(file.members.map((member) => [member.name, member]));
  return {
    members: members.map(({ path: model, name }) => {
      const { weight, model: sha256 } = memberOf.get(name!)!;
      return { path: model, weight, model: sha256 };
    }),
    slope: file.slope,
    decision: file.decision,
  };
}

async function mergeInto(
  release: ModelRelease,
  files: readonly OnnxFile[],
  { members, slope, decision, warnings }: Weighted,
  options: Settled,
): Promise<MergeEnsembleReport> {
  const { externalData, allowNonfinite, signal } = options;
  const sources = sourcePaths(files);
  const graphs = files.map(memberGraph);
  assertDecision(graphs[0], decision);
  const coefficients = members.map(({ weight }) => slope * weight);
  const merged = await mergeModels(
    graphs.map((graph, m) => ({ ...graph, coefficient: coefficients[m] })),
    signal,
  );
  const weights = members.map(({ weight }) => weight);
  const lineage = startLineage(
    { step: 'ensemble', options: { weights, slope } },
    sources.map((path) => ({ path })),
    signal,
  );
  const manifest = manifestOfEnsemble(graphs, merged);
  const draft = {
    model: withMetadata(
      merged.model,
      graphs.map((graph) => graph.model),
    ),
    manifest,
    lineage,
    externalData,
    allowNonfinite,
  };
  return release.publish<MergeEnsembleReport>(draft, {
    schema: 'ensemble-merge',
    judge: async ({ path: candidate }) => {
      const hashes = await lineage.hashes;
      assertNamedModels(members, new Map(sources.map((path, i) => [path, hashes[i]])));
      return runGate({
        candidate,
        reference: {
          kind: 'ensemble',
          members: members.map(({ path }, m) => ({ path, coefficient: coefficients[m] })),
        },
        level: options.gate,
        budget: options.budget,
        seed: String(options.seed),
        ...runOf(options),
      });
    },
    report: ({ step, ...released }) => ({
      out: released.out,
      sha256: released.sha256,
      bytes: released.bytes,
      externalData: released.externalData,
      members: members.map(({ path, weight }) => ({ file: basename(path), weight })),
      slope,
      opset: opsetOf(merged.model) ?? 0,
      modality: manifest.modality,
      mode: manifest.mode,
      decision: manifest.decision,
      nodes: merged.model.graph.node.length,
      shared: merged.shared,
      gate: released.gate,
      lineage: [step],
      warnings,
    }),
    ...runOf(options),
  });
}

/** Members have one decision; the ensemble file may be bound to another. */
function assertDecision({ file, manifest }: MemberGraph, decision: Decision | null): void {
  if (decision === null || decision === manifest.decision) return;
  const problem = `${file} decides by ${manifest.decision}, the scores of the ensemble by ${decision}`;
  throw new HpsError('MODELS_INCOMPARABLE', problem, {
    hint: 'Make the ensemble from scores of these models.',
    details: { file, decision: manifest.decision, expected: decision },
  });
}

/** @param hashes - of the members' files, by path */
function assertNamedModels(members: readonly WeightedFile[], hashes: ReadonlyMap<string, string>): void {
  for (const { path, model } of members) {
    const actual = hashes.get(path)!;
    if (model !== null && model !== actual) throw replacedMember(basename(path), model, actual);
  }
}

/** @throws HpsError MODELS_INCOMPARABLE for a model without a manifest; ONNX_CORRUPT, ONNX_UNSUPPORTED as `checkModel` */
function memberGraph({ model, source }: OnnxFile): MemberGraph {
  checkModel(model, source.name);
  const manifest = manifestOf(model, source.name);
  if (manifest !== null) return { file: source.name, model, manifest };
  throw new HpsError('MODELS_INCOMPARABLE', `${source.name} does not say what its inputs and outputs are`, {
    hint: 'Give models that hpsv3 export wrote; models of other tools can be combined by their scores.',
    details: { file: source.name, missing: MANIFEST_KEY },
  });
}

function manifestOfEnsemble(members: readonly MemberGraph[], merged: MergedModel): Manifest {
  const [{ manifest: first }] = members;
  return {
    schema: first.schema,
    architecture: 'ensemble',
    modality: first.modality,
    mode: first.mode,
    dtype: members.some(({ manifest }) => manifest.dtype === 'fp16') ? 'fp16' : 'fp32',
    decision: first.decision,
    inputs: first.inputs,
    outputs: [...merged.outputs],
    session: first.session,
    calibrator: null,
    lineage: members.flatMap(({ manifest }) => manifest.lineage),
  };
}

/** The members' tokenizers are equal, so any of them serves all; and what one member cannot run on, none can. */
function withMetadata(model: OnnxModel, members: readonly OnnxModel[]): OnnxModel {
  const metadataProps = [TOKENIZER_KEY, PROCESSOR_KEY].flatMap((key) => {
    const [value] = members.flatMap((member) => metadataOf(member, key) ?? []);
    return value === undefined ? [] : [{ key, value }];
  });
  return { ...model, metadataProps };
}
