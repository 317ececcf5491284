import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { hpsv3Exporter } from '../../../src/core/architectures/hpsv3/exporter.js';
import { initialTensors } from '../../../src/core/architectures/hpsv3/init.js';
import type { Checkpoint } from '../../../src/core/checkpoint/checkpoint.js';
import { openCheckpoint } from '../../../src/core/checkpoint/open.js';
import { GraphBuilder } from '../../../src/core/onnx/builder.js';
import { readTensor, type Tensor } from '../../../src/core/tensor/tensor.js';
import { readFloat32 } from '../../../src/core/tensor/transform.js';

const GOLDEN = fileURLToPath(new URL('../../golden/hpsv3/', import.meta.url));
const config = JSON.parse(readFileSync(`${GOLDEN}config.json`, 'utf8'));

const byName = (tensors: readonly Tensor[]): Map<string, Tensor> =>
  new Map(tensors.map((tensor) => [tensor.name, tensor]));

describe('initialTensors', () => {
  it('makes the state dict of the PyTorch reference: names, shapes and their order', async () => {
    const checkpoint = await openCheckpoint(`${GOLDEN}checkpoint.safetensors`);
    const describeTensor = ({ name, shape }: Tensor): string => `${name} ${shape}`;
    expect(initialTensors(config, 0).map(describeTensor)).toEqual([...checkpoint.tensors.values()].map(describeTensor));
    checkpoint.close();
  });

  it('computes the fixed tables of the audio tower as the reference does', async () => {
    const checkpoint = await openCheckpoint(`${GOLDEN}checkpoint.safetensors`); // stored as float16
    const made = byName(initialTensors(config, 0));
    for (const name of ['audio.dft_cos', 'audio.dft_sin', 'audio.mel', 'audio.pos']) {
      const expected = await readFloat32(checkpoint.tensors.get(name)!);
      expect(await readFloat32(made.get(name)!), name).toBeAllClose(expected, { atol: 1e-6, rtol: 2 ** -11 });
    }
    checkpoint.close();
  });

  it('depends on the seed and on the name of a tensor alone', async () => {
    const values = async (seed: number, change = {}): Promise<Uint8Array> =>
      readTensor(byName(initialTensors({ ...config, ...change }, seed)).get('head.pair1.weight')!);
    expect(await values(1)).toEqual(await values(1));
    expect(await values(1)).not.toEqual(await values(2));
    expect(await values(1, { modalities: ['text'] })).toEqual(await values(1));
  });

  it('starts the positions of words as sinusoids of the variance of the words', async () => {
    const made = byName(initialTensors({ ...config, text_hidden: 96 }, 0));
    const read = (name: string) => readFloat32(made.get(`text.bert.embeddings.${name}.weight`)!);
    const [positions, words] = [await read('position_embeddings'), await read('word_embeddings')];
    const variance = (values: Float32Array): number => values.reduce((sum, x) => sum + x * x, 0) / values.length;
    expect(variance(positions) * 96).toBeCloseTo(1, 6);
    expect(Math.abs(variance(words) * 96 - 1)).toBeLessThan(0.1);
    // The product of two rows depends on their distance alone.
    const row = (i: number): Float32Array => positions.subarray(96 * i, 96 * (i + 1));
    const product = (i: number, j: number): number => row(i).reduce((sum, x, k) => sum + x * row(j)[k], 0);
    expect(product(2, 5)).toBeCloseTo(product(7, 10), 6);
    expect(product(2, 3)).toBeGreaterThan(product(2, 5));
  });

  it('draws weights of variance 1 / fan-in', async () => {
    const weight = await readFloat32(
      byName(initialTensors({ ...config, hidden_dim: 96 }, 0)).get('head.pair1.weight')!,
    );
    const variance = weight.reduce((sum, value) => sum + value * value, 0) / weight.length;
    expect(variance * 4 * 96).toBeGreaterThan(0.95);
    expect(variance * 4 * 96).toBeLessThan(1.05);
  });

  it('lists everything that is wrong with a configuration at once', () => {
    const { fusion_layers, ...rest } = config;
    const broken = { ...rest, visual_heads: 5, image_size: 100, colour: 'red', modalities: ['image', 'smell'] };
    expect(() => initialTensors(broken, 0)).toThrowError(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        details: {
          problems: [
            'modalities must be a list of image, text, audio, video, not ["image","smell"]',
            'image_size 100 is not a multiple of 32',
            'visual_heads 5 does not divide hidden_dim 12',
            'fusion_layers is missing',
            expect.stringMatching(/^colour is not known \(Known: name, modalities/),
          ],
        },
      }),
    );
  });

  it('makes towers without blocks, which export too', () => {
    const shallow = { ...config, visual_blocks: 0, text_layers: 0, audio_blocks: 0, video_blocks: 0 };
    const tensors = byName(initialTensors(shallow, 0));
    for (const modality of ['image-text', 'audio-text', 'video-text'] as const) {
      const graph = new GraphBuilder(14, tensors);
      const checkpoint = { tensors, configs: [{ config: shallow, origin: 'config.json' }] } as unknown as Checkpoint;
      const request = {
        modality,
        mode: 'pair' as const,
        config: null,
        configOrigin: null,
        dtype: 'F32' as const,
        options: {},
      };
      expect(hpsv3Exporter.buildGraph(checkpoint, graph, request).outputs.at(-1)?.name).toBe('pair_logit');
    }
  });
});
