import { describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../../src/core/errors.js';
import { checkModel } from '../../../src/core/onnx/check.js';
import { extractSubgraph } from '../../../src/core/onnx/extract.js';
import {
  floatAttribute,
  graphAttribute,
  intAttribute,
  intsAttribute,
  type OnnxModel,
  stringAttribute,
} from '../../../src/core/onnx/model.js';
import { NEWEST_OPSET, OPERATOR_TABLE } from '../../../src/core/onnx/operator-table.js';
import { operatorForms } from '../../../src/core/onnx/operators.js';
import { assertOpset, checkOpset } from '../../../src/core/onnx/opset.js';
import { model, node, value } from './tiny.js';

const relu = node('Relu', ['x'], ['y']);
const scalar = (name: string) => ({ name, dims: [], dataType: 1, floatData: Float32Array.of(1) });

/** If(x) with one branch given and one that is fine. */
const branch = (graph: OnnxModel['graph']) =>
  node('If', ['x'], ['y'], [graphAttribute('then_branch', graph), graphAttribute('else_branch', graph)]);
const body = (nodes: Parameters<typeof model>[0]) => ({ ...model(nodes).graph, input: [], output: [value('b')] });

describe('checkModel', () => {
  it('accepts a chain, a default of an input, and values from outside a branch', () => {
    checkModel(model([relu]));
    checkModel(model([relu], { initializer: [{ ...scalar('x') }] }));
    checkModel(model([node('Relu', ['x'], ['h']), branch(body([node('Neg', ['h'], ['b'])]))]));
    checkModel(model([node('Clip', ['x', '', 'one'], ['y'])], { initializer: [scalar('one')] }));
  });

  const HOSTILE: readonly (readonly [string, ErrorCode, OnnxModel])[] = [
    [
      'a cycle',
      'ONNX_CORRUPT',
      model([node('Add', ['x', 'b'], ['a']), node('Relu', ['a'], ['b']), node('Relu', ['b'], ['y'])]),
    ],
    ['nodes out of order', 'ONNX_CORRUPT', model([node('Relu', ['a'], ['y']), node('Relu', ['x'], ['a'])])],
    ['a node that needs itself', 'ONNX_CORRUPT', model([node('Relu', ['y'], ['y'])])],
    ['two nodes with one output', 'ONNX_CORRUPT', model([relu, relu])],
    ['a node with one output twice', 'ONNX_CORRUPT', model([node('Split', ['x'], ['y', 'y'])])],
    ['an undefined input', 'ONNX_CORRUPT', model([node('Relu', ['nowhere'], ['y'])])],
    ['an undefined input in a branch', 'ONNX_CORRUPT', model([branch(body([node('Relu', ['nowhere'], ['b'])]))])],
    [
      'two outputs of one name in a branch',
      'ONNX_CORRUPT',
      model([branch(body([node('Relu', ['x'], ['b']), node('Relu', ['x'], ['b'])]))]),
    ],
    [
      'a value that is used outside its branch',
      'ONNX_CORRUPT',
      model([branch(body([node('Relu', ['x'], ['b'])])), node('Relu', ['b'], ['z'])]),
    ],
    ['an output that nothing computes', 'ONNX_CORRUPT', model([node('Relu', ['x'], ['z'])])],
    ['an empty graph', 'ONNX_CORRUPT', model([])],
    ['no outputs', 'ONNX_CORRUPT', model([relu], { output: [] })],
    ['a node output named like an input', 'ONNX_CORRUPT', model([node('Relu', ['x'], ['x']), relu])],
    ['a graph output named like an input', 'ONNX_CORRUPT', model([relu], { output: [value('y'), value('x')] })],
    ['a node output named like an initializer', 'ONNX_CORRUPT', model([relu], { initializer: [scalar('y')] })],
    ['two inputs of one name', 'ONNX_CORRUPT', model([relu], { input: [value('x'), value('x')] })],
    ['two initializers of one name', 'ONNX_CORRUPT', model([relu], { initializer: [scalar('w'), scalar('w')] })],
    ['an initializer without a name', 'ONNX_CORRUPT', model([relu], { initializer: [scalar('')] })],
    ['no opset', 'ONNX_CORRUPT', { ...model([relu]), opsetImport: [] }],
    ['IR version 99', 'ONNX_UNSUPPORTED', { ...model([relu]), irVersion: 99 }],
    ['opset 99', 'ONNX_UNSUPPORTED', { ...model([relu]), opsetImport: [{ version: 99 }] }],
    ['opset 0', 'ONNX_UNSUPPORTED', { ...model([relu]), opsetImport: [{ version: 0 }] }],
    ['an unknown operator', 'ONNX_UNSUPPORTED', model([node('Frobnicate', ['x'], ['y'])])],
    ['an operator of a later opset', 'ONNX_UNSUPPORTED', model([node('Gelu', ['x'], ['y'])])],
    ['an unknown operator in a branch', 'ONNX_UNSUPPORTED', model([branch(body([node('Frobnicate', ['x'], ['b'])]))])],
    ['a custom domain', 'ONNX_UNSUPPORTED', model([{ ...relu, domain: 'acme' }])],
    [
      'a training operator',
      'ONNX_UNSUPPORTED',
      model([{ ...node('Adam', ['x'], ['y']), domain: 'ai.onnx.preview.training' }]),
    ],
  ];

  it.each(HOSTILE)('refuses %s (%s)', (_, code, hostile) => {
    expect(() => checkModel(hostile)).toThrow(expect.objectContaining({ code }));
  });

  it('lists all operators that are not known', () => {
    const hostile = model([
      { ...relu, domain: 'acme', output: ['a'] },
      node('Gelu', ['a'], ['b']),
      node('Zap', ['b'], ['y']),
    ]);
    expect(() => checkModel(hostile)).toThrow(
      expect.objectContaining({ details: { operators: ['Gelu', 'Zap', 'acme.Relu'] } }),
    );
  });

  it('knows the functions a model brings, and looks into them', () => {
    const double = {
      domain: 'local',
      name: 'Double',
      input: ['i'],
      output: ['o'],
      attribute: [],
      node: [node('Add', ['i', 'i'], ['o'])],
      opsetImport: [{ version: 14 }],
    };
    const calling = model([{ ...node('Double', ['x'], ['y']), domain: 'local' }]);
    checkModel({ ...calling, functions: [double] });
    const broken = { ...double, node: [node('Add', ['i', 'j'], ['o'])] };
    expect(() => checkModel({ ...calling, functions: [broken] })).toThrow(
      expect.objectContaining({ code: 'ONNX_CORRUPT' }),
    );
  });
});

describe('checkOpset', () => {
  const ints = (name: string) => ({ name, dims: [1], dataType: 7, int64Data: BigInt64Array.of(1n) });
  const halves = (name: string) => ({ name, dims: [1], dataType: 16, int32Data: Int32Array.of(1) });
  /** [node, opset it needs]; the versions are those of onnx's docs/Changelog.md. */
  const LATER: readonly (readonly [ReturnType<typeof node>, number])[] = [
    [node('LayerNormalization', ['x', 'f'], ['y']), 17],
    [node('Gelu', ['x'], ['y']), 20],
    [node('GroupNormalization', ['x', 'f', 'f'], ['y'], [intAttribute('num_groups', 2)]), 21], // its form of 18 was withdrawn
    [node('Attention', ['x', 'x', 'x'], ['y']), 23],
    [node('CastLike', ['x', 'i'], ['y']), 15],
    [node('GridSample', ['x', 'f'], ['y']), 16],
    [node('ReduceMean', ['x', 'i'], ['y']), 18],
    [node('Split', ['x'], ['y'], [intAttribute('num_outputs', 2)]), 18],
    [node('Resize', ['x', '', 'f'], ['y'], [intAttribute('antialias', 1)]), 18],
    [node('Shape', ['x'], ['y'], [intAttribute('start', 1)]), 15],
    [node('ScatterND', ['x', 'i', 'f'], ['y'], [stringAttribute('reduction', 'add')]), 16],
    [node('Pad', ['x', 'i', '', 'i'], ['y']), 18],
    [node('Where', ['c', 'h', 'h'], ['y']), 16],
  ];
  const values = { initializer: [scalar('f'), ints('i'), halves('h')] };

  it.each(LATER)('finds that %o needs a later opset', (later, needs) => {
    expect(checkOpset(model([later], values), 14)).toEqual([expect.objectContaining({ opType: later.opType, needs })]);
    expect(checkOpset(model([later], values), needs)).toEqual([]);
  });

  const FINE = [
    node('ReduceMean', ['x'], ['y'], [intsAttribute('axes', [1])]),
    node('ReduceSum', ['x', 'i'], ['y']),
    node('Reshape', ['x', 'i'], ['y'], [intAttribute('allowzero', 1)]),
    node('Trilu', ['x'], ['y']),
    node('HardSwish', ['x'], ['y']),
    node('Einsum', ['x'], ['y'], [stringAttribute('equation', 'ij->ji')]),
    node('DequantizeLinear', ['x', 'f'], ['y'], [intAttribute('axis', 0)]),
    node('Clip', ['x', '', 'f'], ['y']),
  ];

  it.each(FINE)('finds nothing wrong with %o at opset 14', (fine) => {
    expect(checkOpset(model([fine], { ...values, input: [value('x', 0)] }), 14)).toEqual([]);
  });

  it('says when a form is gone, and looks into branches', () => {
    const old = node('ReduceSum', ['x'], ['b'], [intsAttribute('axes', [1])]);
    const [violation, ...more] = checkOpset(model([branch(body([old]))], { input: [value('x', 0)] }), 14);
    expect(violation).toMatchObject({ opType: 'ReduceSum', reason: 'attribute axes is not allowed', needs: undefined });
    expect(more).toHaveLength(1);
    expect(checkOpset(model([node('Upsample', ['x', 'f'], ['y'])], values), 14)[0].reason).toBe(
      'the operator is deprecated',
    );
  });

  it('leaves other domains alone', () => {
    expect(
      checkOpset(
        model([{ ...node('FusedMatMul', ['x'], ['y'], [floatAttribute('alpha', 1)]), domain: 'com.microsoft' }]),
        14,
      ),
    ).toEqual([]);
  });

  it('lists every violation in one error', () => {
    const both = model([LATER[0][0], LATER[1][0]], values);
    expect(() => assertOpset(both, 14, 'm.onnx')).toThrow(
      expect.objectContaining({ code: 'OPSET_UNSUPPORTED', hint: expect.stringContaining('`opset` 20') }),
    );
  });

  it('has every line of the table, each operator with rising versions', () => {
    const names = new Set(OPERATOR_TABLE.match(/^[+-]\S+/gm)?.map((name) => name.slice(1)));
    expect(names.size).toBeGreaterThan(200);
    for (const name of names) {
      const forms = operatorForms('', name)?.length ? operatorForms('', name) : operatorForms('ai.onnx.ml', name);
      const versions = forms?.map(({ since }) => since) ?? [];
      expect(versions.length).toBeGreaterThan(0);
      expect(versions).toEqual([...new Set(versions)].sort((a, b) => a - b));
      expect(versions.at(-1)).toBeLessThanOrEqual(NEWEST_OPSET);
    }
  });
});

describe('extractSubgraph', () => {
  const whole = model(
    [
      node('Add', ['x', 'a'], ['h']),
      node('Neg', ['unused'], ['n']),
      branch(body([node('Mul', ['h', 'b0'], ['b'])])),
      node('Split', ['y'], ['p', 'q']),
      node('Add', ['p', 'q'], ['z']),
    ],
    {
      input: [value('x'), value('unused')],
      output: [value('y'), value('z')],
      initializer: [scalar('a'), scalar('b0'), scalar('never')],
      valueInfo: [value('h'), value('p')],
    },
  );

  it('keeps what lies between, also what only a branch uses', () => {
    const { graph } = extractSubgraph(whole, { inputs: ['x'], outputs: ['y'] });
    expect(graph.node.map(({ opType }) => opType)).toEqual(['Add', 'If']);
    expect(graph.initializer.map(({ name }) => name)).toEqual(['a', 'b0']);
    expect(graph.input.map(({ name }) => name)).toEqual(['x']);
    expect(graph.valueInfo.map(({ name }) => name)).toEqual(['h']);
    checkModel(extractSubgraph(whole, { inputs: ['x'], outputs: ['y'] }));
  });

  it('cuts at inner values, and gives away the output that comes from outside now', () => {
    const inner = extractSubgraph(whole, { inputs: ['x', 'h', 'p'], outputs: ['z'] });
    expect(inner.graph.node.map(({ output }) => output)).toEqual([['y'], ['', 'q'], ['z']]);
    expect(inner.graph.initializer.map(({ name }) => name)).toEqual(['b0']);
    expect(whole.graph.node[3].output).toEqual(['p', 'q']);
    checkModel(inner);
  });

  it('refuses values without a type, unknown values, and inputs that do not suffice', () => {
    for (const cut of [
      { inputs: ['q', 'p'], outputs: ['z'] },
      { inputs: ['x'], outputs: ['nothing'] },
      { inputs: ['h'], outputs: ['y', 'z', 'h', 'n'] },
    ]) {
      expect(() => extractSubgraph(whole, cut)).toThrow(expect.objectContaining({ code: 'INPUTS_INVALID' }));
    }
    const types = new Map([['q', value('q')]]);
    expect(extractSubgraph(whole, { inputs: ['q', 'p'], outputs: ['z'], types }).graph.node).toHaveLength(1);
  });
});
