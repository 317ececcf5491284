import { HpsError } from '../errors.js';
import { extractSubgraph } from '../onnx/extract.js';
import { OPSETS } from '../onnx/graph-core.js';
import { type ContractOutput, type Manifest, NEWER_MANIFEST_SCHEMA } from '../onnx/manifest.js';
import { DATA_TYPE, type OnnxModel, opsetOf, type ValueInfoProto } from '../onnx/model.js';
import type { Abstention } from './abstention.js';
import type { Calibrator } from './calibrator.js';
import { buildCurveGraph, CURVE_INPUT, CURVE_OUTPUT } from './curve-graph.js';
import type { Reference } from './reference.js';

/** Before the names of what is added, so that they read apart and collide with nothing. */
const SCOPE = 'calibrator/';

/** The output a calibrator reads, and the one it adds. */
export interface EmbeddedOutputs {
  readonly logit: string;
  readonly added: string;
}

const OUTPUTS: Record<Calibrator['kind'], EmbeddedOutputs & Pick<ContractOutput, 'meaning'>> = {
  pair: {
    logit: 'pair_logit',
    added: 'probability',
    meaning: 'Calibrated probability that raters prefer the left item.',
  },
  // Not `calibrated`: item files have that from the checkpoint's own calibration layers.
  absolute: { logit: 'utility_logit', added: 'human_score', meaning: 'The utility on the scale of the human labels.' },
};

export const embeddedOutputs = ({ kind }: Pick<Calibrator, 'kind'>): EmbeddedOutputs => OUTPUTS[kind];

/**
 * The model with the calibrator behind the output it decides by, in ai.onnx operators of its own opset; its other outputs, and its
 * weights, are as they were. The manifest in `metadata_props` is left to the caller.
 *
 * @param file - what errors call the model
 * @throws HpsError MODELS_INCOMPARABLE where the file does not have the output, decides otherwise than the calibrator, or is
 *   calibrated already; OPSET_UNSUPPORTED for an opset no graph is built for
 */
export function embedCalibrator(
  model: OnnxModel,
  manifest: Manifest,
  calibrator: Pick<Calibrator, 'kind' | 'decision' | 'parameters'>,
  file: string,
): OnnxModel {
  const { logit, added } = embeddedOutputs(calibrator);
  const output = model.graph.output.find(({ name }) => name === logit);
  if (!output) {
    throw incomparable(file, `it has no output ${logit}`, HINTS[calibrator.kind], {
      outputs: model.graph.output.map(({ name }) => name),
    });
  }
  if (manifest.calibrator || model.graph.output.some(({ name }) => name === added)) {
    throw incomparable(
      file,
      'it has a calibrator already',
      'Give the file as it was before its calibrator was embedded.',
    );
  }
  const { decision } = calibrator;
  if (decision !== null && decision !== manifest.decision) {
    throw incomparable(
      file,
      `it decides by ${manifest.decision}, the scores by ${decision}`,
      'Score the labels with this file.',
    );
  }
  const opset = opsetOf(model);
  if (opset === undefined || !OPSETS.includes(opset)) {
    throw new HpsError('OPSET_UNSUPPORTED', `${file}: nothing can be added at opset ${opset ?? 'of no standard'}`, {
      hint: `Export the model at opset ${OPSETS[0]} to ${OPSETS[OPSETS.length - 1]}.`,
      details: { file, opset: opset ?? null },
    });
  }
  return append(model, buildCurveGraph(calibrator.parameters, opset, logitType(output)), { logit, added });
}

const HINTS: Record<Calibrator['kind'], string> = {
  pair: 'Export the model with `mode` pair or head: a probability is one of two items.',
  absolute: 'Export the model with `mode` item: a place on a human scale is one of an item.',
};

/** The output's element type and shape, as a graph input has them. */
function logitType({ type }: ValueInfoProto): { dtype: 'F32' | 'F16'; shape: (number | string)[] } {
  const dims = type?.tensorType?.shape?.dim ?? [];
  return {
    dtype: type?.tensorType?.elemType === DATA_TYPE.FLOAT16 ? 'F16' : 'F32',
    shape: dims.map(({ dimValue, dimParam }, axis) => dimValue ?? (dimParam || `axis${axis}`)),
  };
}

function append(model: OnnxModel, { graph: added }: OnnxModel, outputs: EmbeddedOutputs): OnnxModel {
  const names: Record<string, string> = { [CURVE_INPUT]: outputs.logit, [CURVE_OUTPUT]: outputs.added };
  const rename = (name: string): string => names[name] ?? `${SCOPE}${name}`;
  return {
    ...model,
    graph: {
      ...model.graph,
      node: [
        ...model.graph.node,
        ...added.node.map((node) => ({
          ...node,
          name: `${SCOPE}${node.name}`,
          input: node.input.map(rename),
          output: node.output.map(rename),
        })),
      ],
      initializer: [
        ...model.graph.initializer,
        ...added.initializer.map((tensor) => ({ ...tensor, name: rename(tensor.name ?? '') })),
      ],
      output: [...model.graph.output, ...added.output.map((info) => ({ ...info, name: rename(info.name) }))],
    },
  };
}

/** The manifest of the model with the calibrator inside, without the lineage of the step. */
export function calibratedManifest(manifest: Manifest, calibrator: Calibrator): Manifest {
  const { kind, method, symmetric, parameters, band, n, clusters, dataSha256, abstention, reference } = calibrator;
  const { logit, added, meaning } = OUTPUTS[kind];
  const like = manifest.outputs.find(({ name }) => name === logit);
  const output: ContractOutput = {
    name: added,
    dtype: 'F32',
    shape: like?.shape ?? ['batch'],
    meaning,
    range: kind === 'pair' ? [0, 1] : [null, null],
  };
  const { decision } = manifest;
  const newer = {
    ...(abstention && { abstention: marginOf(abstention) }),
    ...(reference && { reference: placingOf(reference) }),
  };
  return {
    ...manifest,
    ...((abstention || reference) && { schema: NEWER_MANIFEST_SCHEMA }),
    outputs: [...manifest.outputs, output],
    calibrator: { method, decision, symmetric, parameters, band, n, clusters, dataSha256, ...newer },
  };
}

/** What of an abstention a decision needs; its curve stands in the calibrator file. */
const marginOf = ({ risk, confidence, margin, coverage }: Abstention) => ({ risk, confidence, margin, coverage });

/** What of a reference a score is placed by. */
const placingOf = ({ of, n, quantiles }: Reference) => ({ of, n, quantiles });

/** The model and its manifest as they were before a calibrator was embedded; as they are where there is none. */
export function removeCalibrator(
  model: OnnxModel,
  manifest: Manifest,
): { readonly model: OnnxModel; readonly manifest: Manifest } {
  if (!manifest.calibrator) return { model, manifest };
  const added = new Set(Object.values(OUTPUTS).map((each) => each.added));
  const namesOf = (values: readonly { readonly name: string }[]) => values.map(({ name }) => name);
  const { input, output } = model.graph;
  return {
    model: extractSubgraph(model, {
      inputs: namesOf(input),
      outputs: namesOf(output).filter((name) => !added.has(name)),
    }),
    manifest: { ...manifest, outputs: manifest.outputs.filter(({ name }) => !added.has(name)), calibrator: null },
  };
}

function incomparable(file: string, problem: string, hint: string, details: Record<string, unknown> = {}): HpsError {
  return new HpsError('MODELS_INCOMPARABLE', `${file} cannot take this calibrator: ${problem}`, {
    hint,
    details: { file, ...details },
  });
}
