import { withAtomicOutput } from '../../src/core/bytes/output.js';
import type { Random } from '../../src/core/bytes/random.js';
import { Explainer } from '../../src/core/explanation/explainer.js';
import { DEFAULT_SETTINGS, type MethodId } from '../../src/core/explanation/methods/method.js';
import { GraphCore } from '../../src/core/onnx/graph-core.js';
import { intsAttribute } from '../../src/core/onnx/model.js';
import { writeOnnx } from '../../src/core/onnx/write.js';
import { float32Value, type TensorValue } from '../../src/core/runtime/value.js';

/** A model whose score is made of one part of its input alone, and samples for it. */
export interface Planted {
  readonly path: string;
  readonly contract: { readonly name: string; readonly value: unknown };
  /** Inputs of a random sample, and which places of a map of this shape are the planted part. */
  sample(random: Random): {
    inputs: Map<string, TensorValue>;
    isPlanted(shape: readonly number[], place: number): boolean;
  };
}

const SIDE = 32;
const PATCH = 8;
const TOKENS = 20;
const VOCABULARY = 50;
const RATE = 16_000;
const SAMPLES = 8000;
const TAPS = 256;
/** Samples of a window of the map, 32 ms. */
const MAP_WINDOW = 512;

async function write(path: string, build: (graph: GraphCore) => void): Promise<void> {
  const graph = new GraphCore(14, new Map());
  build(graph);
  const model = graph.build('planted');
  await withAtomicOutput(path, { force: true }, (output) => writeOnnx(model, output));
}

const contractOf = (modality: string, input: Record<string, unknown>) => ({
  name: 'contract',
  value: { modality, inputs: [input], score: { output: 'score' } },
});

/** score = tanh(brightness of one square of 8 pixels) */
export async function plantedPatch(path: string, random: Random): Promise<Planted> {
  const [top, left] = [random.integer(0, SIDE - PATCH + 1), random.integer(0, SIDE - PATCH + 1)];
  await write(path, (graph) => {
    const x = graph.input('pixel_values', 'F32', ['batch', 3, SIDE, SIDE]);
    const weight = Float32Array.from({ length: 3 * SIDE * SIDE }, (_, at) => {
      const [y, column] = [Math.floor(at / SIDE) % SIDE, at % SIDE];
      return y >= top && y < top + PATCH && column >= left && column < left + PATCH ? 1 / PATCH : 0;
    });
    const mask = graph.constant('F32', [1, 3, SIDE, SIDE], weight);
    const [seen] = graph.node('Mul', [x, mask], [x]);
    const attributes = [intsAttribute('axes', [1, 2, 3]), { name: 'keepdims', i: 0n, type: 2 }];
    const [mean] = graph.node('ReduceMean', [seen], [{ dtype: 'F32', shape: ['batch'] }], { attributes });
    const [scaled] = graph.node('Mul', [mean, graph.scalar(SIDE * SIDE, 'F32')], [mean]);
    graph.output('score', graph.node('Tanh', [scaled], [scaled])[0]);
  });
  const frame = { color: 'RGB', resize: { kernel: 'bilinear', antialias: true }, crop: null };
  const preprocess = {
    kind: 'image',
    ...frame,
    scale: 1 / 255,
    mean: [0.5, 0.5, 0.5],
    std: [0.5, 0.5, 0.5],
    layout: 'NCHW',
  };
  return {
    path,
    contract: contractOf('image', { name: 'pixel_values', dtype: 'F32', shape: ['batch', 3, SIDE, SIDE], preprocess }),
    sample: (draw) => ({
      inputs: new Map([
        [
          'pixel_values',
          float32Value(
            [1, 3, SIDE, SIDE],
            Float32Array.from({ length: 3 * SIDE * SIDE }, () => draw.uniform(0.05, 1)),
          ),
        ],
      ]),
      isPlanted: ([rows, columns], place) => {
        const [height, width] = [SIDE / rows, SIDE / columns];
        const [y, x] = [Math.floor(place / columns) * height, (place % columns) * width];
        return y + height > top && y < top + PATCH && x + width > left && x < left + PATCH;
      },
    }),
  };
}

/** score = whether one token is there, beside the faint weights of all others */
export async function plantedToken(path: string, random: Random): Promise<Planted> {
  const planted = random.integer(5, VOCABULARY);
  await write(path, (graph) => {
    const ids = graph.input('input_ids', 'I64', ['batch', 'tokens']);
    const table = Float32Array.from({ length: VOCABULARY * 4 }, (_, at) => {
      const [id, column] = [Math.floor(at / 4), at % 4];
      return column === 0 ? Number(id === planted) : random.uniform(-1, 1);
    });
    const embedded = { dtype: 'F32' as const, shape: ['batch', 'tokens', 4] };
    const [rows] = graph.node('Gather', [graph.constant('F32', [VOCABULARY, 4], table), ids], [embedded]);
    const weights = graph.constant('F32', [4, 1], [1, 0.02, 0.02, 0.02]);
    const [each] = graph.node('MatMul', [rows, weights], [{ dtype: 'F32', shape: ['batch', 'tokens', 1] }]);
    const [bent] = graph.node('Tanh', [each], [each]);
    const attributes = [intsAttribute('axes', [1, 2]), { name: 'keepdims', i: 0n, type: 2 }];
    graph.output('score', graph.node('ReduceMean', [bent], [{ dtype: 'F32', shape: ['batch'] }], { attributes })[0]);
  });
  const preprocess = {
    kind: 'text',
    maxTokens: 64,
    tokenizer: null,
    vocabSize: VOCABULARY,
    pad: 0,
    specialTokens: false,
  };
  return {
    path,
    contract: contractOf('text', { name: 'input_ids', dtype: 'I64', shape: ['batch', 'tokens'], preprocess }),
    sample: (draw) => {
      const at = draw.integer(0, TOKENS);
      const row = Array.from({ length: TOKENS }, (_, i) => {
        const other = draw.integer(1, VOCABULARY);
        return i === at ? planted : other === planted ? 1 : other;
      });
      return {
        inputs: new Map([['input_ids', { dtype: 'I64', shape: [1, TOKENS], data: BigInt64Array.from(row, BigInt) }]]),
        isPlanted: (_, place) => place === at,
      };
    },
  };
}

/** score = log of the power near one frequency */
export async function plantedBand(path: string, random: Random): Promise<Planted> {
  const frequency = random.uniform(1000, 4000);
  await write(path, (graph) => {
    const wave = graph.input('waveform', 'F32', ['batch', 'samples']);
    const shape = ['batch', 1, 'samples'];
    const [lone] = graph.node('Unsqueeze', [wave, graph.ints([1])], [{ dtype: 'F32', shape }]);
    const filters = Float32Array.from({ length: 2 * TAPS }, (_, at) => {
      const [kind, tap] = [Math.floor(at / TAPS), at % TAPS];
      const angle = (2 * Math.PI * frequency * tap) / RATE;
      const hann = 0.5 - 0.5 * Math.cos((2 * Math.PI * tap) / TAPS);
      return ((kind === 0 ? Math.cos(angle) : Math.sin(angle)) * hann) / TAPS;
    });
    const found = { dtype: 'F32' as const, shape: ['batch', 2, 'windows'] };
    const attributes = [intsAttribute('strides', [64])];
    const [parts] = graph.node('Conv', [lone, graph.constant('F32', [2, 1, TAPS], filters)], [found], { attributes });
    const [power] = graph.node('Mul', [parts, parts], [found]);
    const over = [intsAttribute('axes', [1, 2]), { name: 'keepdims', i: 0n, type: 2 }];
    const [mean] = graph.node('ReduceMean', [power], [{ dtype: 'F32', shape: ['batch'] }], { attributes: over });
    const [raised] = graph.node(
      'Add',
      [graph.node('Mul', [mean, graph.scalar(1e4, 'F32')], [mean])[0], graph.scalar(1, 'F32')],
      [mean],
    );
    graph.output('score', graph.node('Log', [raised], [raised])[0]);
  });
  const preprocess = {
    kind: 'audio',
    sampleRate: RATE,
    mono: true,
    minSamples: 1000,
    maxSamples: 480_000,
    range: [-1, 1],
  };
  return {
    path,
    contract: contractOf('audio', { name: 'waveform', dtype: 'F32', shape: ['batch', 'samples'], preprocess }),
    sample: (draw) => {
      const wave = Float32Array.from({ length: SAMPLES }, () => 0.3 * draw.normal());
      return {
        inputs: new Map([['waveform', float32Value([1, SAMPLES], wave)]]),
        isPlanted: ([bands, windows], place) => {
          const mel = (hertz: number): number => 2595 * Math.log10(1 + hertz / 700);
          const band = Math.floor(place / windows);
          const [low, high] = [band, band + 1].map((edge) => (edge * mel(RATE / 2)) / bands);
          // Two bins on either side, of the filter's transform and of the map's: the main lobes of their windows.
          const reach = (2 * RATE) / TAPS + (2 * RATE) / MAP_WINDOW;
          return high > mel(frequency - reach) && low < mel(frequency + reach);
        },
      };
    },
  };
}

export const PLANTED = { patch: plantedPatch, token: plantedToken, band: plantedBand } as const;

/** Share of random cases in which the heaviest 5 % of the map, nearly all of them, lie in the planted part. */
export async function hitRate(planted: Planted, method: MethodId, cases: number, random: Random): Promise<number> {
  const explainer = await Explainer.open(planted.path, { contract: planted.contract });
  try {
    let hits = 0;
    for (let i = 0; i < cases; i++) {
      const { inputs, isPlanted } = planted.sample(random);
      const sides = [{ side: 'item' as const, inputs, tokens: null, truncated: false }];
      const { maps } = await explainer.explainInputs(sides, method, { ...DEFAULT_SETTINGS, patch: 2, copies: 8 });
      const { shape, values } = maps[0].map;
      const order = Array.from(values.keys()).sort((a, b) => Math.abs(values[b]) - Math.abs(values[a]));
      // One band of 32 is less than 5 % of them.
      const size = order.filter((place) => isPlanted(shape, place)).length;
      const top = order.slice(0, Math.max(1, Math.min(size, Math.round(0.05 * order.length))));
      const inside = top.filter((place) => isPlanted(shape, place)).length / top.length;
      if (inside >= 0.95) hits++;
    }
    return hits / cases;
  } finally {
    await explainer.close();
  }
}
