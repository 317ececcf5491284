import { basename } from 'node:path';
import { DEFAULT_GATE, DEFAULT_SEED, filled } from '../../defaults.js';
import { readWhole } from '../../documents/read-whole.js';
import { HpsError } from '../../errors.js';
import { runGate } from '../../gate/gate.js';
import type { GateLevel, GateReport } from '../../gate/report.js';
import { LIMITS } from '../../limits.js';
import { checkModel } from '../../onnx/check.js';
import type { ContractOutput } from '../../onnx/manifest.js';
import { MANIFEST_KEY, TOKENIZER_KEY } from '../../onnx/manifest-names.js';
import { manifestSchemaFor } from '../../onnx/manifest-schema.js';
import { DATA_TYPE, metadataOf, type NodeProto, type OnnxModel, type TensorProto } from '../../onnx/model.js';
import { openOnnx } from '../../onnx/read.js';
import { startLineage } from '../../release/lineage.js';
import { ModelRelease } from '../../release/model-release.js';
import { type Run, runOf } from '../../run.js';
import { type ContractFile, type ForeignScore, parseContract } from '../../samples/contract.js';

export interface EmbedContractOptions extends Run {
  readonly model: string;
  readonly contract: ContractFile;
  /** A tokenizer.json to put into the model, for one that reads text. */
  readonly tokenizer?: string;
  readonly out: string;
  readonly gate?: GateLevel;
  readonly seed?: number;
  /** Replace `out`. */
  readonly force?: boolean;
}

export const EMBED_CONTRACT_DEFAULTS = {
  gate: DEFAULT_GATE,
  seed: DEFAULT_SEED,
  force: false,
} as const satisfies Partial<EmbedContractOptions>;

export interface EmbedContractReport {
  /** Base name. */
  readonly out: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly modality: string;
  /** Where the score was in the model: its output and column. */
  readonly score: {
    readonly output: string;
    readonly column: number;
    readonly range: readonly [number, number] | null;
  };
  readonly gate: GateReport;
}

/**
 * Puts a contract into a model of another tool: its score becomes the outputs `utility_logit` and, where the contract has a range,
 * `utility`, and a manifest says what its inputs mean. Nothing else changes, and every command then reads it without a contract.
 *
 * @throws HpsError CONFIG_INVALID for the contract; ONNX_UNSUPPORTED where the model has no such input or output; as `openOnnx` and
 *   `ModelRelease.publish`
 */
export async function embedContract(given: EmbedContractOptions): Promise<EmbedContractReport> {
  const options = filled(given, EMBED_CONTRACT_DEFAULTS);
  const { model: path, contract: file, out, force, gate: level, seed } = options;
  const contract = parseContract(file.value, file.name);
  const score = contract.score!;
  const opened = openOnnx(path);
  try {
    const { model, source, externalFiles } = opened;
    checkModel(model, source.name);
    assertForeign(model, source.name);
    assertInputs(
      model,
      contract.inputs.map(({ name }) => name),
      source.name,
    );
    const inputs = [path, ...externalFiles.map((data) => data.path)];
    const release = await ModelRelease.reserve(out, {
      force,
      inputs,
      suffixes: externalFiles.length > 0 ? ['.data'] : [],
    });
    try {
      const lineage = startLineage({ step: 'contract', options: { contract: file.name } }, [{ path }], options.signal);
      return await release.publish(
        {
          model: { ...withScore(model, score, source.name), metadataProps: metadataWith(model, options.tokenizer) },
          manifest: {
            schema: manifestSchemaFor(contract.inputs),
            architecture: 'foreign',
            modality: contract.modality,
            mode: 'item',
            dtype: 'fp32',
            decision: contract.decision,
            inputs: [...contract.inputs],
            outputs: outputsOf(score),
            session: { ...contract.session },
            calibrator: null,
            lineage: [],
          },
          lineage,
          externalData: externalFiles.length > 0,
        },
        {
          schema: 'contract-embedding',
          judge: (staged) =>
            runGate({
              candidate: staged.path,
              reference: { kind: 'none' },
              level,
              seed: String(seed),
              ...runOf(options),
            }),
          report: ({ sha256, bytes, gate }) => ({
            out: basename(out),
            sha256,
            bytes,
            modality: contract.modality,
            score: { output: score.output, column: score.column, range: score.range ?? null },
            gate,
          }),
          ...runOf(options),
        },
      );
    } finally {
      await release.close();
    }
  } finally {
    opened.close();
  }
}

function assertForeign(model: OnnxModel, file: string): void {
  if (metadataOf(model, MANIFEST_KEY) === undefined) return;
  throw new HpsError('USAGE', `${file}: carries a manifest, and needs no contract`, {
    hint: 'Use it as it is.',
    details: { file },
  });
}

function assertInputs(model: OnnxModel, names: readonly string[], file: string): void {
  const weights = new Set(model.graph.initializer.map(({ name }) => name));
  const found = model.graph.input.map(({ name }) => name).filter((name) => !weights.has(name));
  const differs = [...names, ...found].find((name) => !names.includes(name) || !found.includes(name));
  if (differs === undefined) return;
  throw new HpsError(
    'ONNX_UNSUPPORTED',
    `${file}: ${names.includes(differs) ? `has no input ${differs}` : `has an input ${differs}, which the contract leaves out`}`,
    {
      hint: 'Begin with `hpsv3 contract init`, which has the inputs of the graph.',
      details: { file, inputs: found, contract: names },
    },
  );
}

const SCOPE = 'contract/';

/** The column of the score as `utility_logit`, and on the scale of its range as `utility`: operators that every opset from 7 on has. */
function withScore(model: OnnxModel, { output, column, range }: ForeignScore, file: string): OnnxModel {
  const { graph } = model;
  const from = graph.output.find(({ name }) => name === output);
  const dims = from?.type?.tensorType?.shape?.dim;
  if (
    !from ||
    !dims ||
    dims.length < 1 ||
    dims.length > 2 ||
    column >= (dims[1]?.dimValue ?? (dims.length === 1 ? 1 : Infinity))
  ) {
    throw new HpsError('ONNX_UNSUPPORTED', `${file}: has no output ${output} with a column ${column} for each row`, {
      hint: 'See its outputs with `hpsv3 inspect`.',
      details: { file, output, column, outputs: graph.output.map(({ name }) => name) },
    });
  }
  const node: NodeProto[] = [];
  const initializer: TensorProto[] = [];
  const add = (opType: string, input: string[], result: string, attribute: NodeProto['attribute'] = []): string => {
    node.push({ opType, name: `${SCOPE}${opType}_${node.length}`, input, output: [result], attribute });
    return result;
  };
  const constant = (name: string, dataType: number, rawData: Uint8Array): string => {
    initializer.push({ name: `${SCOPE}${name}`, dims: [], dataType, rawData });
    return `${SCOPE}${name}`;
  };
  const float = (name: string, value: number): string =>
    constant(name, DATA_TYPE.FLOAT, new Uint8Array(Float32Array.of(value).buffer));
  const axis = { name: 'axis', i: 1n, type: 2 } as NodeProto['attribute'][number];
  if (dims.length === 1) add('Identity', [output], 'utility_logit');
  else {
    const index = constant('column', DATA_TYPE.INT64, new Uint8Array(BigInt64Array.of(BigInt(column)).buffer));
    add('Gather', [output, index], 'utility_logit', [axis]);
  }
  if (range) {
    const [low, high] = range;
    const scaled = add('Mul', ['utility_logit', float('scale', 2 / (high - low))], `${SCOPE}scaled`);
    add('Add', [scaled, float('shift', (-2 * low) / (high - low) - 1)], 'utility');
  }
  const like = (name: string) => ({
    ...from,
    name,
    type: { ...from.type!, tensorType: { ...from.type!.tensorType!, shape: { dim: [dims[0]] } } },
  });
  return {
    ...model,
    graph: {
      ...graph,
      node: [...graph.node, ...node],
      initializer: [...graph.initializer, ...initializer],
      output: [...graph.output, like('utility_logit'), ...(range ? [like('utility')] : [])],
    },
  };
}

function outputsOf({ output, column, range }: ForeignScore): ContractOutput[] {
  const of = { dtype: 'F32', shape: ['batch'] };
  const logit = `Column ${column} of ${output}, as the contract has it.`;
  return [
    { name: 'utility_logit', ...of, meaning: logit, range: range ?? [null, null] },
    ...(range
      ? [
          {
            name: 'utility',
            ...of,
            meaning: `The same, its range ${range.join(' to ')} brought to -1 to 1.`,
            range: [-1, 1] as [number, number],
          },
        ]
      : []),
  ];
}

function metadataWith(model: OnnxModel, tokenizer: string | undefined): OnnxModel['metadataProps'] {
  if (tokenizer === undefined) return model.metadataProps;
  const { bytes } = readWhole(tokenizer, {
    limit: LIMITS.jsonBytes,
    what: 'a tokenizer.json',
    hint: 'Give the tokenizer.json of the model.',
  });
  const rest = model.metadataProps.filter(({ key }) => key !== TOKENIZER_KEY);
  return [...rest, { key: TOKENIZER_KEY, value: Buffer.from(bytes).toString() }];
}
