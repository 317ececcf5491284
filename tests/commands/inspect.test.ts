import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { inspectFile } from '../../src/core/lifecycle/inspect/inspect.js';
import { hpsv3, PROJECT } from '../helpers/cli.js';
import { goldenModel } from '../helpers/models.js';
import { exportFile, PICO } from '../helpers/pico.js';
import { tempFolder } from '../helpers/temp.js';

const TORCH = fileURLToPath(new URL('../golden/torch/', import.meta.url));

/** What scripts may rely on in `inspect --json`; more may be added to it. */
const INSPECT_JSON = z.looseObject({
  format: z.string(),
  architecture: z.string().nullable(),
  parameters: z.int().nonnegative(),
  tensors: z.array(z.looseObject({ name: z.string(), dtype: z.string(), shape: z.array(z.int().nonnegative()) })),
});

const inspect = (path: string, options: { match?: string; statistics?: boolean; key?: string } = {}) =>
  inspectFile({ path, statistics: false, ...options });

describe('hpsv3 inspect', () => {
  it('prints the documented report of a checkpoint as JSON', async () => {
    const { code, stdout } = await hpsv3(['inspect', PICO.checkpoint, '--json']);
    expect(code).toBe(0);
    const report = INSPECT_JSON.parse(JSON.parse(stdout));
    expect(report).toMatchObject({ format: 'safetensors', architecture: 'hpsv3' });
    expect(report.tensors.length).toBe(268); // as Python's json counts them in the header
    expect(report.parameters).toBe(31_341);
    expect(report.tensors[0]).toEqual({ name: 'visual.pos', dtype: 'F16', shape: [1, 4, 12] });
    expect(stdout).not.toContain(PROJECT);
  });

  it('prints a table for people, and only the tensors that match', async () => {
    const { code, stdout } = await hpsv3(['inspect', PICO.checkpoint, '--match', 'head.pair?.bias']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^format\s+safetensors$/m);
    expect(stdout.match(/head\.pair\d\.bias/g)).toEqual(['head.pair1.bias', 'head.pair2.bias']);
  });

  it('sums a checkpoint up by its parts, and a model without manifest by what to do', async () => {
    expect((await hpsv3(['inspect', PICO.checkpoint])).stdout).toMatch(/^visual +\d+ +[\d,]+\n/m);
    const { stdout } = await hpsv3(['inspect', goldenModel('runtime', 'mlp')]);
    expect(stdout).toContain('`hpsv3 contract init');
  });

  it('takes no glob for a regular expression', async () => {
    expect((await inspect(PICO.checkpoint, { match: '(.*)+$' })).tensors).toEqual([]);
    expect((await inspect(PICO.checkpoint, { match: 'head.abs1.weigh[t]' })).tensors).toEqual([]);
    expect((await inspect(PICO.checkpoint, { match: '*.abs1.weight' })).tensors.length).toBe(1);
  });

  it('gives statistics only where asked', async () => {
    const [tensor] = (await inspect(PICO.checkpoint, { match: 'fusion.norm.weight', statistics: true })).tensors;
    expect(tensor.statistics).toMatchObject({ nonfinite: 0, zeros: 0 });
    expect(tensor.statistics!.min!).toBeLessThanOrEqual(tensor.statistics!.mean!);
    expect((await inspect(PICO.checkpoint, { match: 'fusion.norm.weight' })).tensors[0]).not.toHaveProperty(
      'statistics',
    );
  });

  it('tells a PyTorch training checkpoint: the key, the prefix, what is left out', async () => {
    const report = await inspect(join(TORCH, 'training.ckpt'), { key: 'model' });
    expect(report).toMatchObject({ format: 'torch-zip', architecture: 'score-head', parameters: 8, tensorCount: 2 });
    expect(report.checkpoint).toMatchObject({ key: 'model', strippedPrefix: 'module._orig_mod.' });
  });

  it('tells a model by its content, whatever its name', async () => {
    const path = join(tempFolder(), 'model.bin');
    copyFileSync(goldenModel('runtime', 'mlp'), path);
    expect((await inspect(path)).format).toBe('onnx');
  });

  it('takes no safetensors file for a model, though its header length may open as one', async () => {
    const path = join(tempFolder(), 'x.safetensors');
    const header = '{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'.padEnd(0x0108);
    writeFileSync(path, Buffer.concat([Buffer.from([0x08, 0x01, 0, 0, 0, 0, 0, 0]), Buffer.from(`${header}x`)]));
    expect(await inspect(path)).toMatchObject({ format: 'safetensors', parameters: 1 });
  });

  it('tells everything an exported model says of itself', async () => {
    const out = join(tempFolder(), 'model.onnx');
    const exported = await exportFile(out, { modality: 'text', mode: 'pair' });
    const { code, stdout } = await hpsv3(['inspect', out, '--json']);
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    INSPECT_JSON.parse(report);
    expect(report).toMatchObject({
      format: 'onnx',
      architecture: 'hpsv3',
      parameters: exported.parameters,
      onnx: {
        irVersion: 7, // of onnx 1.9, the first with opset 14
        opsets: { 'ai.onnx': 14 },
        nodes: exported.nodes,
        hasTokenizer: false,
        manifest: { modality: 'text', mode: 'pair', decision: 'pair-head', lineage: exported.lineage },
      },
    });
    expect(report.onnx.inputs.map(({ name }: { name: string }) => name)).toEqual([
      'left_input_ids',
      'left_attention_mask',
      'right_input_ids',
      'right_attention_mask',
    ]);
    const text = (await hpsv3(['inspect', out])).stdout;
    const places = ['left_input_ids', 'pair_logit', 'lineage', '--tensors lists'].map((word) => text.indexOf(word));
    expect(places, text).toEqual([...places].sort((a, b) => a - b));
    expect(text).toMatch(/^left_input_ids .*\n {4}at most \d+ tokens/m);
    expect(text).toMatch(/^pair_logit .*\n {4}Log-odds that left is preferred/m);
    expect(text).not.toContain('.weight');
    expect((await hpsv3(['inspect', out, '--tensors'])).stdout).toMatch(/^text\.bert\S+\.weight +FLOAT /m);
    expect(text).toMatch(/^lineage\s+export by hpsv3 .* from checkpoint\.safetensors \([0-9a-f]{12}\)$/m);
  });

  it('names a file that is not there by its base name', async () => {
    const { code, stdout } = await hpsv3(['inspect', '/some/where/none.pt', '--json']);
    expect(code).toBe(2);
    expect(JSON.parse(stdout).error).toMatchObject({ code: 'FILE_NOT_FOUND' });
    expect(stdout).toContain('none.pt');
    expect(stdout).not.toContain('/some/where');
  });
});
