import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { ActivationName } from '../../../src/core/architectures/blocks/activations.js';
import { GraphBuilder } from '../../../src/core/onnx/builder.js';
import { FAMILY_FIXTURES, openFixture, parityProblems } from '../../helpers/conformance.js';

// Details that ports of these models are known to get wrong, made wrong in our own code one at a time: the golden vectors must tell.

const BLOCKS = {
  activations: '../../../src/core/architectures/blocks/activations.js',
  attention: '../../../src/core/architectures/blocks/attention.js',
  masks: '../../../src/core/architectures/blocks/masks.js',
  pooling: '../../../src/core/architectures/blocks/pooling.js',
  positions: '../../../src/core/architectures/blocks/positions.js',
} as const;

type Blocks = {
  activations: typeof import('../../../src/core/architectures/blocks/activations.js');
  attention: typeof import('../../../src/core/architectures/blocks/attention.js');
  masks: typeof import('../../../src/core/architectures/blocks/masks.js');
  pooling: typeof import('../../../src/core/architectures/blocks/pooling.js');
  positions: typeof import('../../../src/core/architectures/blocks/positions.js');
};

/** Makes one thing wrong until the end of the test. */
type Mistake = () => void;

/** Some exports of a block replaced by wrong ones, made of the right ones. */
const wrong =
  <B extends keyof Blocks>(block: B, change: (right: Blocks[B]) => Partial<Blocks[B]>): Mistake =>
  () =>
    vi.doMock(BLOCKS[block], async (importOriginal) => {
      const right = await importOriginal<Blocks[B]>();
      return { ...right, ...change(right) };
    });

const activation = (said: ActivationName, taken: ActivationName): Mistake =>
  wrong('activations', ({ ACTIVATIONS }) => ({ ACTIVATIONS: { ...ACTIVATIONS, [said]: ACTIVATIONS[taken] } }));

const epsilon =
  (norm: 'layerNorm' | 'rmsNorm', change: (epsilon: number) => number): Mistake =>
  () => {
    const right = GraphBuilder.prototype[norm];
    vi.spyOn(GraphBuilder.prototype, norm).mockImplementation(function (this: GraphBuilder, x, key, stated, offset) {
      return right.call(this, x, key, change(stated), offset);
    });
  };

const noMask: Mistake = wrong('masks', () => ({
  keyMask: (graph, mask) => graph.unsqueeze(graph.mul(graph.cast(mask, 'F32'), graph.scalar(0, 'F32')), [1, 2]),
}));

const window = (change: (size: number) => number | null): Mistake =>
  wrong('masks', ({ causalMask }) => ({
    causalMask: (graph, like, size = null) => causalMask(graph, like, size === null ? null : change(size)),
  }));

const rotary = (change: object): Mistake =>
  wrong('positions', ({ rotaryPositions }) => ({
    rotaryPositions: (graph, like, options) => rotaryPositions(graph, like, { ...options, ...change }),
  }));

const attention = (change: object): Mistake =>
  wrong('attention', (right) => ({
    attention: (graph, x, prefix, options) => right.attention(graph, x, prefix, { ...options, ...change }),
  }));

const MISTAKES: readonly (readonly [string, string, Mistake])[] = [
  ['clip-transformers', 'gelu for quick_gelu', activation('quick_gelu', 'gelu')],
  ['clip-transformers', 'layer_norm_eps 1e-6', epsilon('layerNorm', () => 1e-6)],
  [
    'clip-transformers',
    'pooled at the last token of the row',
    wrong('pooling', ({ lastToken }) => ({ atFirstOf: lastToken, atHighestId: lastToken })),
  ],
  [
    'clip-open',
    'text attention not causal',
    wrong('masks', () => ({ causalMask: (graph) => graph.constant('F32', [1, 1, 1, 1], [0]) })),
  ],
  ['imagereward', 'text mask ignored', noMask],
  ['siglip-head', 'erf gelu for tanh', activation('gelu_pytorch_tanh', 'gelu')],
  ['bert', 'the other gelu', activation('gelu_new', 'gelu')],
  ['bert', 'attention mask ignored', noMask],
  [
    'roberta',
    'positions counted from 0',
    wrong('positions', () => ({
      positionsAfterPadding: (graph, ids) => graph.unsqueeze(graph.positionsOf(ids, 1), [0]),
    })),
  ],
  [
    'deberta-v3',
    'places of the distance from a query to a key',
    wrong('positions', ({ relativeTable }) => ({
      relativeTable: (graph, like, rows, place) => relativeTable(graph, like, rows, (distance) => place(-distance)),
    })),
  ],
  ['deberta-v3', 'tanh gelu', activation('gelu', 'gelu_new')],
  [
    'sentence-bert',
    'the mean over padding too',
    wrong('pooling', ({ meanOfTokens }) => ({ meanOfTokens: (graph, x) => meanOfTokens(graph, x) })),
  ],
  ['llama', 'no RoPE scaling', rotary({ scaling: { kind: 'default' } })],
  ['llama', 'rope_theta 10000', rotary({ theta: 10_000 })],
  ['llama', 'rms_norm_eps times ten', epsilon('rmsNorm', (stated) => 10 * stated)],
  [
    'qwen2',
    'last token before the first pad id',
    wrong('pooling', ({ firstPlaceOf }) => ({
      atLastBut: (graph, x, ids, pad) =>
        graph.tokenAt(x, graph.sub(firstPlaceOf(graph, ids, pad), graph.scalar(1, 'I64'))),
    })),
  ],
  ['mistral', 'no sliding window', window(() => null)],
  ['mistral', 'window one longer', window((size) => size + 1)],
  ['gemma2', 'no soft cap', attention({ softCap: undefined })],
  ['gemma2', 'scale of head_dim', attention({ scale: undefined })],
  ['wav2vec2', 'tanh gelu', activation('gelu', 'gelu_new')],
  ['utmos22', 'layer_norm_eps 1e-6', epsilon('layerNorm', () => 1e-6)],
];

async function problemsOf(name: string): Promise<string[]> {
  const folder = FAMILY_FIXTURES.find((each) => each.endsWith(join('/', name)))!;
  const { chooseArchitecture } = await import('../../../src/core/architectures/registry.js');
  const checkpoint = await openFixture(folder);
  const exporter = await chooseArchitecture(checkpoint, undefined).load();
  checkpoint.close();
  return parityProblems(exporter, folder);
}

describe('the golden vectors of the families', () => {
  afterEach(() => {
    vi.restoreAllMocks();
    for (const path of Object.values(BLOCKS)) vi.doUnmock(path);
    vi.resetModules();
  });

  it.each(MISTAKES)('of %s tell of %s', async (name, _, mistake) => {
    vi.resetModules();
    mistake();
    expect((await problemsOf(name)).join('\n')).toContain('is off by');
  });
});
