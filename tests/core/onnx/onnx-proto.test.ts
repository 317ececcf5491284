import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  ATTRIBUTE_TYPE,
  type AttributeProto,
  type GraphProto,
  type TensorProto,
  type ValueInfoProto,
} from '../../../src/core/onnx/model.js';
import { openOnnx } from '../../../src/core/onnx/read.js';
import { rawBytesOf } from '../../../src/core/onnx/tensor-data.js';
import { chunksOf } from '../../../src/core/onnx/weight.js';
import { hpsv3 } from '../../helpers/cli.js';
import { drawPairs, writeJudged } from '../../helpers/judged.js';
import { goldenModel } from '../../helpers/models.js';
import { exportFile } from '../../helpers/pico.js';
import { sharedFolder } from '../../helpers/temp.js';

// Oracle: onnx-proto 8.0.1, which decodes by protobufjs and a schema of its own (IR version 8). It drops the fields of a later
// schema, so it is no codec for us; what it knows must come out the same.
const { onnx } = createRequire(import.meta.url)('onnx-proto') as {
  onnx: { ModelProto: { decode(bytes: Uint8Array): Record<string, never> } };
};

const folder = sharedFolder();
const path = (name: string) => join(folder, `${name}.onnx`);

beforeAll(async () => {
  for (const modality of ['image', 'text', 'image-text', 'audio', 'video'] as const)
    await exportFile(path(modality), { modality });
  await exportFile(path('pair'), { modality: 'text', mode: 'pair' });
  await exportFile(path('head'), { modality: 'text', mode: 'head' });
  await exportFile(path('fp16'), { modality: 'text', dtype: 'fp16' });
  await exportFile(path('external'), { modality: 'text', externalData: true });
  await exportFile(path('optimized'), { modality: 'image', mode: 'pair', optimize: true });
  await exportFile(path('opset-21'), { modality: 'text', opset: 21 });
  writeJudged(folder, drawPairs({ prompts: 40, truth: 0.4 }));
  const run = async (...args: string[]) => {
    const { code, stderr } = await hpsv3(args, { cwd: folder });
    expect(code, stderr).toBe(0);
  };
  const quantize = (scheme: string, model: string, ...more: string[]) =>
    run('quantize', path(model), '--scheme', scheme, '--out', path(scheme), '--gate', 'off', ...more);
  const fitted = ['--scores', 'scores.jsonl', '--labels', 'labels.jsonl', '--resamples', '100', '--out', 'c.json'];
  await Promise.all([
    quantize('weight-only', 'text'),
    quantize('dynamic', 'text', '--allow-batch-dependence'),
    quantize('static', 'text'),
    run('quantize', path('text'), '--scheme', 'fp16', '--out', path('half'), '--gate', 'off'),
    run(
      'quantize',
      goldenModel('quantization', 'mlp'),
      '--scheme',
      'int4',
      '--allow-contrib',
      '--out',
      path('int4'),
      '--gate',
      'off',
    ),
    run(
      'calibrate',
      ...fitted,
      '--embed',
      path('pair'),
      '--model-out',
      path('calibrated'),
      '--method',
      'platt',
      '--gate',
      'off',
    ),
    run('ensemble', '--member', `${path('pair')}:0.5`, '--member', `${path('pair')}:0.5`, '--out', path('merged')),
  ]);
}, 120_000);

/** A message of protobufjs, whose 64-bit integers are Longs. */
type Theirs = Record<string, never> & { readonly toString: () => string };

const number = (value: unknown): number => Number(String(value ?? 0));
const bytes = (value: Uint8Array): string => Buffer.from(value).toString('base64');

async function bytesOfWeight(tensor: TensorProto): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of chunksOf(rawBytesOf(tensor))) pieces.push(Buffer.from(piece));
  return bytes(Buffer.concat(pieces));
}

interface Weight {
  readonly name: string;
  readonly dims: readonly number[];
  readonly dataType: number;
  readonly data: string;
}

const ourWeight = async (tensor: TensorProto): Promise<Weight> => ({
  name: tensor.name ?? '',
  dims: tensor.dims,
  dataType: tensor.dataType,
  data: await bytesOfWeight(tensor),
});

// Every tensor that we write holds its values as raw data, in the file or beside it.
const theirWeight = (tensor: Theirs): Weight => ({
  name: tensor.name,
  dims: Array.from(tensor.dims as Iterable<unknown>, number),
  dataType: tensor.dataType,
  data: bytes(dataOf(tensor)),
});

function dataOf({ rawData, externalData }: Theirs): Uint8Array {
  const entries = new Map(
    Array.from(externalData as Iterable<{ key: string; value: string }>, (e) => [e.key, e.value]),
  );
  const location = entries.get('location');
  if (location === undefined) return rawData;
  const [offset, length] = [number(entries.get('offset')), number(entries.get('length'))];
  return readFileSync(join(folder, location)).subarray(offset, offset + length);
}

const nameOfType = new Map(Object.entries(ATTRIBUTE_TYPE).map(([name, type]) => [type as number, name]));

async function ourAttribute(attribute: AttributeProto): Promise<unknown> {
  const { name, type, f, i, s, t, floats, ints, strings } = attribute;
  const values: Record<string, () => unknown> = {
    FLOAT: () => f,
    INT: () => number(i),
    STRING: () => bytes(s!),
    TENSOR: () => ourWeight(t!),
    FLOATS: () => [...floats!],
    INTS: () => [...ints!].map(number),
    STRINGS: () => strings!.map(bytes),
  };
  return { name, type, value: await values[nameOfType.get(type!)!]?.() };
}

function theirAttribute(attribute: Theirs): unknown {
  const { name, type, f, i, s, t, floats, ints, strings } = attribute;
  const values: Record<string, () => unknown> = {
    FLOAT: () => f,
    INT: () => number(i),
    STRING: () => bytes(s),
    TENSOR: () => theirWeight(t),
    FLOATS: () => [...(floats as Iterable<number>)],
    INTS: () => Array.from(ints as Iterable<unknown>, number),
    STRINGS: () => Array.from(strings as Iterable<Uint8Array>, bytes),
  };
  return { name, type, value: values[nameOfType.get(type)!]?.() };
}

/** Name, element type and shape; an open size by its symbol. */
const ourValue = ({ name, type }: ValueInfoProto): unknown => ({
  name,
  elemType: type?.tensorType?.elemType,
  shape: type?.tensorType?.shape?.dim.map(({ dimValue, dimParam }) => dimParam ?? Number(dimValue)),
});

const theirValue = ({ name, type }: Theirs): unknown => {
  const { elemType, shape } = (type as Theirs).tensorType as Theirs;
  const dims = (shape as Theirs).dim as Iterable<Theirs>;
  return { name, elemType, shape: Array.from(dims, ({ dimValue, dimParam }) => dimParam || number(dimValue)) };
};

async function ourGraph(graph: GraphProto): Promise<unknown> {
  return {
    name: graph.name,
    nodes: await Promise.all(
      graph.node.map(async ({ opType, input, output, name = '', domain = '', attribute }) => ({
        opType,
        input,
        output,
        name,
        domain,
        attributes: await Promise.all(attribute.map(ourAttribute)),
      })),
    ),
    inputs: graph.input.map(ourValue),
    outputs: graph.output.map(ourValue),
    weights: await Promise.all(graph.initializer.map(ourWeight)),
  };
}

const theirGraph = (graph: Theirs): unknown => ({
  name: graph.name,
  nodes: Array.from(graph.node as Iterable<Theirs>, ({ opType, input, output, name, domain, attribute }) => ({
    opType,
    input,
    output,
    name,
    domain,
    attributes: Array.from(attribute as Iterable<Theirs>, theirAttribute),
  })),
  inputs: Array.from(graph.input as Iterable<Theirs>, theirValue),
  outputs: Array.from(graph.output as Iterable<Theirs>, theirValue),
  weights: Array.from(graph.initializer as Iterable<Theirs>, theirWeight),
});

describe('a file that we write, decoded by onnx-proto', () => {
  it.each([
    ...['image', 'text', 'image-text', 'audio', 'video', 'pair', 'head', 'fp16', 'external'],
    ...['optimized', 'opset-21', 'weight-only', 'dynamic', 'static', 'half', 'int4', 'merged', 'calibrated'],
  ])('%s is the graph that we read: names, shapes, attributes and weights', async (name) => {
    const theirs = onnx.ModelProto.decode(readFileSync(path(name))) as unknown as Theirs;
    const opened = openOnnx(path(name));
    try {
      const { model } = opened;
      expect(theirGraph(theirs.graph)).toEqual(await ourGraph(model.graph));
      expect(Array.from(theirs.opsetImport as Iterable<Theirs>, ({ version }) => number(version))).toEqual(
        model.opsetImport.map(({ version }) => version),
      );
      expect(Array.from(theirs.metadataProps as Iterable<Theirs>, ({ key, value }) => [key, value])).toEqual(
        model.metadataProps.map(({ key, value }) => [key, value]),
      );
    } finally {
      opened.close();
    }
  });
});
