import type { Auxiliary } from '../../data/rows.js';
import { partsOf } from '../../modality.js';
import type { ValueInfo } from '../../runtime/session.js';
import { concatRows, type TensorValue, takeRows } from '../../runtime/value.js';
import type { Score } from '../../scoring/result.js';
import type { ItemSample, PairSample, Sample } from '../../scoring/scorer.js';
import { VERSION } from '../../version.js';
import * as z from '../../zod.js';
import { parseAs, parseBody } from '../body.js';
import type { Answer, Call, Dialect, Route } from '../dialect.js';
import { RequestError } from '../failure.js';
import { base64Media, mediaNamed } from '../media.js';
import type { Generation } from '../model.js';
import {
  assertTensors,
  DATATYPES,
  formatData,
  type InputTensor,
  type OutputTensor,
  readTensor,
  tensorBytes,
} from '../oip-tensors.js';

/** Tensors of the file itself are asked of a model under its name with this ending. */
const RAW = '-raw';
const HEADER = 'inference-header-content-length';

const parameters = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]));
const inferSchema = z
  .object({
    id: z.string().optional(),
    parameters: parameters.optional(),
    inputs: z
      .array(
        z.object({
          name: z.string(),
          datatype: z.string(),
          shape: z.array(z.int().nonnegative()),
          parameters: parameters.optional(),
          data: z.array(z.json()).optional(),
        }),
      )
      .min(1),
    outputs: z.array(z.object({ name: z.string(), parameters: parameters.optional() })).optional(),
  })
  .meta({ id: 'InferenceRequest' });
type InferRequest = z.infer<typeof inferSchema>;

const tensorSchema = z.object({
  name: z.string(),
  datatype: z.string(),
  shape: z.array(z.int()),
  data: z.array(z.json()).optional(),
});
const answerSchema = z
  .object({
    model_name: z.string(),
    model_version: z.string(),
    id: z.string().optional(),
    outputs: z.array(tensorSchema),
  })
  .meta({ id: 'InferenceResponse' });

/** A model, and whether its own tensors are meant. */
interface Target {
  readonly model: Generation;
  readonly isRaw: boolean;
  readonly name: string;
}

const targetOf = ({ params, serving }: Call): Target => {
  const { name, version } = params;
  const exact = serving.models.all.find((model) => model.name === name);
  const isRaw = !exact && name.endsWith(RAW);
  const model = serving.models.find(isRaw ? name.slice(0, -RAW.length) : name).generation;
  if (version !== undefined && version !== '1' && version !== model.scorer.sha256) {
    throw new RequestError('MODEL_UNKNOWN', `model ${name} has no version ${JSON.stringify(version)}`);
  }
  return { model, isRaw, name };
};

const twice = (path: string, route: Omit<Route, 'url'>): Route[] =>
  ['/v2/models/:name', '/v2/models/:name/versions/:version'].map((start) => ({ ...route, url: `${start}${path}` }));

/**
 * The Open Inference Protocol, version 2, with its binary extension: tritonclient, kserve, Seldon, MLServer.
 * @see https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
 */
export const oipDialect: Dialect = {
  id: 'oip',
  title: 'Open Inference Protocol v2',
  prefix: '/v2/',
  failure: ({ status, message, headers }) => ({ status, headers, body: { error: message } }),
  routes: [
    {
      method: 'GET',
      url: '/v2',
      summary: 'Name, version and extensions of the server.',
      scope: null,
      handle: () => ({ body: { name: 'hpsv3', version: VERSION, extensions: ['binary_tensor_data'] } }),
    },
    {
      method: 'GET',
      url: '/v2/health/live',
      summary: 'Whether the process answers.',
      scope: null,
      handle: () => ({ body: { live: true } }),
    },
    {
      method: 'GET',
      url: '/v2/health/ready',
      summary: 'Whether requests should be sent here.',
      scope: null,
      handle: ready,
    },
    ...twice('', {
      method: 'GET',
      summary: 'Inputs and outputs of a model.',
      scope: 'score',
      handle: (call) => ({ body: metadata(targetOf(call)) }),
    }),
    ...twice('/ready', {
      method: 'GET',
      summary: 'Whether a model answers.',
      scope: null,
      async handle(call) {
        const { name } = targetOf(call);
        const answer = await ready(call);
        return { ...answer, body: { name, ...(answer.body as object) } };
      },
    }),
    ...twice('/infer', {
      method: 'POST',
      summary: 'Scores of items or pairs; or, of a model NAME-raw, its outputs for its own tensors.',
      scope: 'score',
      reads: 'bytes',
      body: inferSchema,
      answer: answerSchema,
      handle: infer,
    }),
  ],
};

async function ready({ serving }: Call): Promise<Answer> {
  const reason = await serving.whyNotReady();
  return reason === null ? { body: { ready: true } } : { status: 503, body: { ready: false, error: reason } };
}

function metadata({ model, isRaw, name }: Target): object {
  const { scorer } = model;
  const { inputs, outputs } = isRaw
    ? rawTensors(scorer.tensors)
    : { inputs: mediaInputs(scorer.modality), outputs: outputsOf(scorer) };
  return { name, versions: [scorer.sha256], platform: 'hpsv3', inputs, outputs, sha256: scorer.sha256 };
}

const described = (name: string, datatype: string, shape: readonly (number | string)[] = [-1]) => ({
  name,
  datatype,
  shape: shape.map((dim) => (typeof dim === 'number' ? dim : -1)),
});

const rawTensors = ({ inputs, outputs }: { inputs: readonly ValueInfo[]; outputs: readonly ValueInfo[] }) => {
  const describe = ({ name, dtype, shape }: ValueInfo) => described(name, DATATYPES.nameOf(dtype), shape);
  return { inputs: inputs.map(describe), outputs: outputs.map(describe) };
};

const mediaInputs = (modality: Generation['scorer']['modality']) =>
  partsOf(modality).flatMap((part) => [part, `left_${part}`, `right_${part}`].map((name) => described(name, 'BYTES')));

/** Of a model with auxiliary heads their scores, too: of items under the head's name, of pairs for each side. */
const outputsOf = ({ auxiliary }: Generation['scorer']) => [
  ...['score', 'logit'].map((name) => described(name, 'FP32')),
  described('winner', 'BYTES'),
  described('truncated', 'BOOL'),
  ...[...auxiliary, ...sidesOf(auxiliary)].map((name) => described(name, 'FP32')),
];

const sidesOf = (names: readonly string[]): string[] => names.flatMap((name) => [`left_${name}`, `right_${name}`]);

async function infer(call: Call): Promise<Answer> {
  const target = targetOf(call);
  const { request, inputs } = readRequest(call);
  const rows = assertTensors(inputs);
  const outputs = target.isRaw
    ? await rawOutputs(target, inputs, call)
    : await scoreOutputs(target, inputs, rows, call);
  return respond(request, target, choose(outputs, request));
}

/** The JSON of a request and, behind it, the raw tensors in the order in which inputs have `binary_data_size`. */
function readRequest({ bytes, headers }: Call): { request: InferRequest; inputs: InputTensor[] } {
  const given = headers[HEADER];
  const length = given === undefined ? bytes.length : Number(given);
  if (!(Number.isInteger(length) && length > 0 && length <= bytes.length && /^\d+$/.test(String(given ?? 0)))) {
    throw new RequestError(
      'REQUEST_INVALID',
      `${HEADER} is ${JSON.stringify(given)}, and the body has ${bytes.length} bytes`,
    );
  }
  const request = parseAs(inferSchema, parseBody(bytes.subarray(0, length)));
  let at = length;
  const inputs = request.inputs.map((input) => {
    const size = input.parameters?.['binary_data_size'];
    if (size === undefined) return readTensor(input, null);
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0 || at + size > bytes.length) {
      throw new RequestError(
        'REQUEST_INVALID',
        `${input.name}: binary_data_size is ${size}, and ${bytes.length - at} bytes are left`,
      );
    }
    const raw = bytes.subarray(at, at + size);
    at += size;
    return readTensor(input, raw);
  });
  if (at < bytes.length) {
    throw new RequestError('REQUEST_INVALID', `${bytes.length - at} bytes follow the last tensor`);
  }
  return { request, inputs };
}

async function scoreOutputs(
  { model }: Target,
  inputs: readonly InputTensor[],
  rows: number,
  call: Call,
): Promise<OutputTensor[]> {
  const samples = samplesOf(model, inputs, rows);
  const scores = await call.serving.scoreEvery(model, samples, call);
  return [
    { name: 'score', datatype: 'FP32', shape: [rows], data: scores.map(({ score }) => score) },
    { name: 'logit', datatype: 'FP32', shape: [rows], data: scores.map(({ logit }) => logit) },
    { name: 'winner', datatype: 'BYTES', shape: [rows], data: scores.map(winnerOf) },
    { name: 'truncated', datatype: 'BOOL', shape: [rows], data: Uint8Array.from(scores, truncation) },
    ...auxOutputs(model.scorer.auxiliary, scores),
  ];
}

/** All rows of a request are of one kind: items, or pairs. */
function auxOutputs(heads: readonly Auxiliary[], scores: readonly Score[]): OutputTensor[] {
  return heads.flatMap((head) => {
    const values = scores.map(({ aux = {} }) =>
      'left' in aux
        ? { [`left_${head}`]: aux.left[head]!, [`right_${head}`]: aux.right[head]! }
        : { [head]: aux[head]! },
    );
    return Object.keys(values[0]).map((name): OutputTensor => {
      return { name, datatype: 'FP32', shape: [scores.length], data: values.map((value) => value[name]) };
    });
  });
}

const truncation = ({ truncated }: Score): number => Number(truncated === true);

const winnerOf = (score: Score): string => ('winner' in score ? score.winner : '');

/** Items, or pairs where inputs are called `left_…` and `right_…`. */
function samplesOf(model: Generation, inputs: readonly InputTensor[], rows: number): Sample[] {
  const parts: readonly string[] = partsOf(model.scorer.modality);
  const isPair = inputs.some(({ name }) => name.startsWith('left_') || name.startsWith('right_'));
  const sides = isPair ? ['left_', 'right_'] : [''];
  const names = [...sides.flatMap((side) => parts.map((part) => `${side}${part}`)), 'context', 'task'];
  const byName = new Map(inputs.map((input) => [input.name, input]));
  for (const { name, datatype } of inputs) {
    if (!names.includes(name))
      throw new RequestError('REQUEST_INVALID', `there is no input ${JSON.stringify(name)}, but ${names.join(', ')}`);
    if (datatype !== 'BYTES')
      throw new RequestError('REQUEST_INVALID', `${name}: datatype ${datatype} given, and BYTES is read`);
  }
  const textAt = (name: string, row: number): string | undefined => {
    const element = byName.get(name)?.elements?.[row];
    return element === undefined ? undefined : typeof element === 'string' ? element : utf8(element, name);
  };
  const itemAt = (side: string, row: number): ItemSample['item'] =>
    Object.fromEntries(
      parts.map((part) => {
        const name = `${side}${part}`;
        if (part === 'text') return [part, textAt(name, row)];
        const element = byName.get(name)?.elements?.[row];
        if (element === undefined) throw new RequestError('REQUEST_INVALID', `input ${name} is missing`);
        return [part, typeof element === 'string' ? base64Media(element, name) : mediaNamed(element, name)];
      }),
    );
  return Array.from({ length: rows }, (_, row) => {
    const about = { context: textAt('context', row), task: textAt('task', row) };
    if (!isPair) return { item: itemAt('', row), ...about };
    return { left: itemAt('left_', row), right: itemAt('right_', row), ...about } satisfies PairSample;
  });
}

function utf8(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new RequestError('REQUEST_INVALID', `${name}: an element is not valid UTF-8`);
  }
}

async function rawOutputs({ model }: Target, inputs: readonly InputTensor[], call: Call): Promise<OutputTensor[]> {
  const { inputs: expected, outputs } = model.scorer.tensors;
  const values = new Map(expected.map((info) => [info.name, rawInput(info, inputs)]));
  const unknown = inputs.find(({ name }) => !values.has(name));
  if (unknown)
    throw new RequestError(
      'REQUEST_INVALID',
      `there is no input ${JSON.stringify(unknown.name)}, but ${[...values.keys()].join(', ')}`,
    );
  const rows = inputs[0].shape[0];
  const one = (row: number) => new Map(Array.from(values, ([name, value]) => [name, takeRows(value, [row])]));
  const work = call.serving.each(
    Array.from({ length: rows }, (_, row) => row),
    call,
    (row) => model.use((scorer) => scorer.runTensors(one(row)), call.signal),
  );
  const results = await Promise.all(work);
  return outputs
    .filter(({ name }) => results.every((result) => result.has(name)))
    .map(({ name }) => {
      const { dtype, shape, data } = concatRows(results.map((result) => result.get(name)!));
      return { name, datatype: DATATYPES.nameOf(dtype), shape, data };
    });
}

/** An input of the file, as it was sent. Free dimensions are bounded by what a body may hold. */
function rawInput({ name, dtype, shape }: ValueInfo, inputs: readonly InputTensor[]): TensorValue {
  const given = inputs.find((input) => input.name === name);
  if (!given) throw new RequestError('REQUEST_INVALID', `input ${name} is missing`);
  const datatype = DATATYPES.nameOf(dtype);
  if (given.datatype !== datatype)
    throw new RequestError('REQUEST_INVALID', `${name}: datatype ${given.datatype} given, and ${datatype} is read`);
  const fits =
    given.shape.length === shape.length &&
    shape.slice(1).every((dim, i) => typeof dim !== 'number' || dim < 0 || dim === given.shape[i + 1]);
  if (!fits)
    throw new RequestError(
      'REQUEST_INVALID',
      `${name}: shape [${given.shape.join(', ')}] given, and [${shape.join(', ')}] is read`,
    );
  return given.value!;
}

/** The outputs asked for, in the order asked for; all of them where none are named. */
function choose(outputs: readonly OutputTensor[], { outputs: asked }: InferRequest): OutputTensor[] {
  if (!asked || asked.length === 0) return [...outputs];
  return asked.map(({ name }) => {
    const found = outputs.find((output) => output.name === name);
    if (found) return found;
    throw new RequestError(
      'REQUEST_INVALID',
      `there is no output ${JSON.stringify(name)}, but ${outputs.map((output) => output.name).join(', ')}`,
    );
  });
}

function respond(request: InferRequest, { model, name }: Target, outputs: readonly OutputTensor[]): Answer {
  const allBinary = request.parameters?.['binary_data_output'] === true;
  const pieces: Uint8Array[] = [];
  const described = outputs.map((output) => {
    const { datatype, shape } = output;
    const asked = request.outputs?.find((one) => one.name === output.name)?.parameters?.['binary_data'];
    if (!(typeof asked === 'boolean' ? asked : allBinary)) {
      return { name: output.name, datatype, shape, data: formatData(output) };
    }
    const bytes = tensorBytes(output);
    pieces.push(bytes);
    return { name: output.name, datatype, shape, parameters: { binary_data_size: bytes.byteLength } };
  });
  const body = {
    model_name: name,
    model_version: model.scorer.sha256,
    ...(request.id === undefined ? {} : { id: request.id }),
    outputs: described,
  };
  if (pieces.length === 0) return { body };
  const json = Buffer.from(JSON.stringify(body));
  return {
    headers: { 'Inference-Header-Content-Length': String(json.length) },
    type: 'application/octet-stream',
    body: Buffer.concat([json, ...pieces]),
  };
}
