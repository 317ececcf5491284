import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import type { AttributeProto, NodeProto, OnnxModel, ValueInfoProto } from '../../../src/core/onnx/model.js';

export const GOLDEN = fileURLToPath(new URL('../../golden/onnx/', import.meta.url));

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'onnx-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export const node = (
  opType: string,
  input: string[],
  output: string[],
  attribute: AttributeProto[] = [],
): NodeProto => ({
  opType,
  input,
  output,
  attribute,
});

export const value = (name: string, elemType = 1): ValueInfoProto => ({
  name,
  type: { tensorType: { elemType, shape: { dim: [{ dimParam: 'batch' }, { dimValue: 4 }] } } },
});

/** A model of `nodes` from x to y. */
export const model = (nodes: NodeProto[], more: Partial<OnnxModel['graph']> = {}): OnnxModel => ({
  irVersion: 8,
  opsetImport: [{ version: 14 }],
  metadataProps: [],
  graph: {
    name: 'g',
    node: nodes,
    initializer: [],
    input: [value('x')],
    output: [value('y')],
    valueInfo: [],
    ...more,
  },
});

/** Protobuf by hand, so that hostile files need no help from the writer they test. */
export function varint(number: number | bigint): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(number));
  for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return [...bytes, Number(rest)];
}

export const number = (id: number, content: number | bigint): number[] => [...varint(id * 8), ...varint(content)];

export const bytes = (id: number, content: ArrayLike<number> | string): number[] => {
  const array = Array.from(typeof content === 'string' ? Buffer.from(content) : content);
  return [...varint(id * 8 + 2), ...varint(array.length), ...array];
};

/** A model file around the fields of a graph. */
export const modelFile = (graph: number[], more: number[] = []): Uint8Array =>
  Uint8Array.from([...number(1, 8), ...bytes(7, graph), ...bytes(8, number(2, 14)), ...more]);

/** One initializer as the fields of a graph. */
export const initializer = (...fields: number[][]): number[] => bytes(5, fields.flat());
