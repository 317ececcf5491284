import { describe, expect, it } from 'vitest';
import { parseModelFile, parseScoreFile, parseWeights } from '../../../src/core/cli/ensemble-flags.js';

describe('parseModelFile', () => {
  it.each([
    ['a.onnx:0.6', { path: 'a.onnx', weight: 0.6 }],
    ['dir/a.onnx:1e-3', { path: 'dir/a.onnx', weight: 1e-3 }],
    ['C:\\models\\a.onnx:2', { path: 'C:\\models\\a.onnx', weight: 2 }],
    ['a.onnx:-1', { path: 'a.onnx', weight: -1 }],
    ['a.onnx:nan', { path: 'a.onnx', weight: Number.NaN }],
    ['a.onnx:inf', { path: 'a.onnx', weight: Number.POSITIVE_INFINITY }],
    ['clip=a.onnx', { name: 'clip', path: 'a.onnx' }],
    ['clip=dir/a.onnx:0.5', { path: 'clip=dir/a.onnx', weight: 0.5 }],
    ['dir/x=1/a.onnx', { path: 'dir/x=1/a.onnx' }],
    ['a.onnx', { path: 'a.onnx' }],
  ])('reads %s', (text, expected) => {
    expect(parseModelFile(text)).toEqual(expected);
  });

  it('refuses nothing at all', () => {
    expect(() => parseModelFile('')).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });
});

describe('parseScoreFile', () => {
  it('takes the name before the first equals sign', () => {
    expect(parseScoreFile('clip=a=b.jsonl')).toEqual({ name: 'clip', path: 'a=b.jsonl' });
  });

  it.each(['clip', 'clip=', '=a.jsonl', ''])('refuses "%s"', (text) => {
    expect(() => parseScoreFile(text)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });
});

describe('parseWeights', () => {
  it('reads a list, and names with an equals sign', () => {
    expect([...parseWeights('clip=0.6, a=b=.4')]).toEqual([
      ['clip', 0.6],
      ['a=b', 0.4],
    ]);
  });

  it.each(['clip', 'clip=', '=1', 'clip=1,clip=2', 'clip=0x10', 'clip=1,', ''])('refuses "%s"', (text) => {
    expect(() => parseWeights(text)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });
});
