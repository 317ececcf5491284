import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { ExportRequest } from '../../../src/core/architectures/architecture.js';
import { hpsv3Exporter } from '../../../src/core/architectures/hpsv3/exporter.js';
import type { Checkpoint } from '../../../src/core/checkpoint/checkpoint.js';
import { openCheckpoint } from '../../../src/core/checkpoint/open.js';
import { readGolden } from '../../../src/core/gate/golden.js';
import { GraphBuilder } from '../../../src/core/onnx/builder.js';
import { MODALITIES, MODES } from '../../../src/core/onnx/manifest.js';
import { checkOpset } from '../../../src/core/onnx/opset.js';
import type { ValueInfo } from '../../../src/core/runtime/session.js';
import { floatsOf } from '../../../src/core/runtime/value.js';
import { runModel } from '../../helpers/graphs.js';
import { tempFolder } from '../../helpers/temp.js';

// Vectors: tests/reference/hpsv3_torch.py by tests/golden/hpsv3/make.py (torch 1.13.0).
const GOLDEN = fileURLToPath(new URL('../../golden/hpsv3/', import.meta.url));
const ATOL = 1e-5;

const request = (overrides: Partial<ExportRequest>): ExportRequest => ({
  modality: undefined,
  mode: 'item',
  config: null,
  configOrigin: null,
  dtype: 'F32',
  options: {},
  ...overrides,
});

async function withCheckpoint<T>(use: (checkpoint: Checkpoint) => Promise<T>): Promise<T> {
  const checkpoint = await openCheckpoint(`${GOLDEN}checkpoint.safetensors`);
  try {
    return await use(checkpoint);
  } finally {
    checkpoint.close();
  }
}

/**
 * Largest difference from the golden outputs.
 * @param matched - with the weights of `fusion_match`, from the outputs with them
 */
async function parity(asked: ExportRequest, opset: number, matched = false): Promise<number> {
  return withCheckpoint(async (plain) => {
    const more = await openCheckpoint(`${GOLDEN}match.safetensors`);
    const added = matched ? [...more.tensors] : [];
    const isWeight = ([name]: readonly [string, unknown]): boolean => name.startsWith('fusion.');
    const checkpoint = { ...plain, tensors: new Map([...plain.tensors, ...added.filter(isWeight)]) };
    const graph = new GraphBuilder(opset, checkpoint.tensors);
    const { inputs, outputs, modality, mode } = hpsv3Exporter.buildGraph(checkpoint, graph, asked);
    const model = graph.build('test');
    expect(checkOpset(model, opset)).toEqual([]);
    const golden = await openCheckpoint(`${GOLDEN}golden.safetensors`);
    const manifest = { modality, mode } as Parameters<typeof readGolden>[1]['manifest'];
    const expected = await readGolden(new Map([...golden.tensors, ...added.filter((each) => !isWeight(each))]), {
      file: 'golden.safetensors',
      manifest,
      inputs: inputs as unknown as ValueInfo[],
      outputs: outputs as unknown as ValueInfo[],
    });
    const actual = await runModel(model, tempFolder(), expected.inputs);
    golden.close();
    more.close();
    let worst = 0;
    for (const [name, value] of expected.outputs) {
      const got = floatsOf(actual.get(name)!);
      const want = floatsOf(value);
      expect(got.length, name).toBe(want.length);
      for (const [i, x] of want.entries()) worst = Math.max(worst, Math.abs(x - got[i]));
    }
    return worst;
  });
}

describe('the hpsv3 graph against the PyTorch reference', () => {
  it.each(MODALITIES.flatMap((modality) => (['item', 'pair'] as const).map((mode) => [modality, mode] as const)))(
    'gives the reference outputs for %s in mode %s at opset 14',
    async (modality, mode) => {
      expect(await parity(request({ modality, mode }), 14)).toBeLessThan(ATOL);
    },
  );

  it.each(['image-text', 'audio-text', 'video-text'] as const)(
    'adds the product of both modalities of %s where the checkpoint has one',
    async (modality) => {
      expect(await parity(request({ modality }), 14, true)).toBeLessThan(ATOL);
      expect(await parity(request({ modality, dtype: 'F16' }), 14, true)).toBeLessThan(2e-2);
      expect(await parity(request({ modality: 'image' }), 14, true)).toBeLessThan(ATOL);
    },
  );

  it('gives the reference outputs for two embeddings in mode head', async () => {
    expect(await parity(request({ mode: 'head' }), 14)).toBeLessThan(ATOL);
  });

  it.each([15, 16, 17, 18, 19, 20, 21])('gives the same with the operators of opset %i', async (opset) => {
    expect(await parity(request({ modality: 'video-text', mode: 'pair' }), opset)).toBeLessThan(ATOL);
    expect(await parity(request({ modality: 'audio', mode: 'item' }), opset)).toBeLessThan(ATOL);
  });

  it('stays close when weights and matrix arithmetic are float16', async () => {
    expect(await parity(request({ modality: 'image-text', dtype: 'F16' }), 14)).toBeLessThan(1e-2);
    expect(await parity(request({ modality: 'audio', dtype: 'F16' }), 14)).toBeLessThan(1e-2);
  });
});

describe('what the hpsv3 exporter asks of a checkpoint', () => {
  const changed = async (
    change: (tensors: Map<string, Checkpoint['tensors'] extends ReadonlyMap<string, infer T> ? T : never>) => void,
    asked: Partial<ExportRequest> = {},
    config?: Checkpoint['config'],
    beside?: Checkpoint['config'],
  ) =>
    withCheckpoint(async (checkpoint) => {
      const tensors = new Map(checkpoint.tensors);
      change(tensors);
      const graph = new GraphBuilder(14, tensors);
      const configs = [
        { config, origin: 'x.ckpt:config' },
        { config: beside, origin: 'config.json' },
      ].filter((each) => each.config) as Checkpoint['configs'];
      return hpsv3Exporter.buildGraph(
        { ...checkpoint, tensors, configs: config === undefined ? checkpoint.configs : configs },
        graph,
        request(asked),
      );
    });
  const config = JSON.parse(readFileSync(`${GOLDEN}config.json`, 'utf8')) as Record<string, number>;

  it('lists every missing, unexpected and mis-shaped tensor at once', async () => {
    const broken = changed(
      (tensors) => {
        tensors.delete('fusion.norm.bias');
        tensors.delete('visual.trunk.layer2.0.bn3.weight');
        tensors.set('head.extra', { ...tensors.get('head.abs1.bias')!, name: 'head.extra' });
        tensors.set('head.abs1.bias', { ...tensors.get('head.abs1.bias')!, shape: [7] });
      },
      { modality: 'image' },
    );
    await expect(broken).rejects.toMatchObject({
      code: 'TENSORS_MISMATCH',
      details: {
        missing: ['visual.trunk.layer2.0.bn3.weight', 'fusion.norm.bias'],
        unexpected: ['head.extra'],
        misshaped: [{ name: 'head.abs1.bias', expected: [6], actual: [7] }],
      },
    });
  });

  it('names both sides of a contradiction between configuration and tensors', async () => {
    const contradictory = changed(() => undefined, { modality: 'text' }, { ...config, text_hidden: 48 });
    await expect(contradictory).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/text_hidden is 8 by .*word_embeddings.* but 48 by/),
    });
  });

  it('takes what one configuration does not say from the next, and refuses two that say different things', async () => {
    const { text_heads, ...rest } = config;
    const both = await changed(() => undefined, { modality: 'text' }, { lr: 1e-4, ...rest }, { text_heads });
    expect(both.outputs.length).toBeGreaterThan(0);
    await expect(
      changed(() => undefined, { modality: 'text' }, config, { text_heads: 2 * text_heads }),
    ).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/text_heads is \d by x.ckpt:config but \d by config.json/),
    });
  });

  it('names what no tensor tells and no configuration says', async () => {
    await expect(changed(() => undefined, { modality: 'audio' }, null)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      details: { missing: ['hop', 'audio_heads', 'fusion_heads'] },
    });
  });

  it('refuses a number of heads that does not divide the width', async () => {
    const uneven = changed(() => undefined, { modality: 'image' }, { ...config, visual_heads: 5 });
    await expect(uneven).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('visual_heads 5 does not divide hidden_dim 12'),
    });
  });

  it('exports the modalities it has where others are missing, and says which those are', async () => {
    const textOnly = (tensors: Map<string, unknown>): void => {
      for (const name of [...tensors.keys()]) if (/^(visual|audio|video)\./.test(name)) tensors.delete(name);
    };
    expect((await changed(textOnly)).modality).toBe('text');
    await expect(changed(textOnly, { modality: 'image-text' })).rejects.toMatchObject({
      code: 'MODALITY_MISSING',
      details: { available: ['text'] },
    });
  });

  it('uses every tensor once or gives a reason', async () => {
    for (const mode of MODES) {
      await withCheckpoint(async (checkpoint) => {
        const graph = new GraphBuilder(14, checkpoint.tensors);
        const { ignored } = hpsv3Exporter.buildGraph(
          checkpoint,
          graph,
          request({ mode, modality: mode === 'head' ? undefined : 'video' }),
        );
        const names = [...graph.parametersUsed.keys(), ...ignored.map(({ name }) => name)];
        expect(names.sort()).toEqual([...checkpoint.tensors.keys()].sort());
        expect(ignored.every(({ reason }) => reason.length > 0)).toBe(true);
      });
    }
  });
});
