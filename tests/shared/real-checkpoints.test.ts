import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Random } from '../../src/core/bytes/random.js';
import { openCheckpoint } from '../../src/core/checkpoint/open.js';
import { type InspectReport, inspectFile } from '../../src/core/lifecycle/inspect/inspect.js';
import { openOnnx } from '../../src/core/onnx/read.js';
import { openSession } from '../../src/core/runtime/ort.js';
import { float32Value, floatsOf } from '../../src/core/runtime/value.js';
import { readFloat32 } from '../../src/core/tensor/transform.js';
import { exportFile } from '../helpers/pico.js';
import { hasShared, SHARED } from '../helpers/shared.js';
import { tempFolder } from '../helpers/temp.js';

const REAL = `${SHARED}real/`;
const AESTHETIC = `${REAL}aesthetic-mlp/sac+logos+ava1-l14-linearMSE.pth`;
const LINEAR = `${REAL}laion-linear/sa_0_4_vit_l_14_linear.pth`;

const inspect = (path: string, statistics = false) => inspectFile({ path: join(REAL, path), statistics });
const shapesOf = ({ tensors }: InspectReport) => Object.fromEntries(tensors.map(({ name, shape }) => [name, shape]));

// Names, shapes and totals: torch 1.13, onnx 1.23 and Python's json on the same files.
describe.skipIf(!hasShared)('inspect of real checkpoints', () => {
  it('reads the MLP of LAION’s aesthetic predictor', async () => {
    const report = await inspect('aesthetic-mlp/sac+logos+ava1-l14-linearMSE.pth');
    expect(report).toMatchObject({ format: 'torch-zip', architecture: 'score-head', parameters: 927_969 });
    expect(shapesOf(report)).toEqual({
      'layers.0.weight': [1024, 768],
      'layers.0.bias': [1024],
      'layers.2.weight': [128, 1024],
      'layers.2.bias': [128],
      'layers.4.weight': [64, 128],
      'layers.4.bias': [64],
      'layers.6.weight': [16, 64],
      'layers.6.bias': [16],
      'layers.7.weight': [1, 16],
      'layers.7.bias': [1],
    });
  });

  it('reads LAION’s linear head', async () => {
    const report = await inspect('laion-linear/sa_0_4_vit_l_14_linear.pth');
    expect(report).toMatchObject({ architecture: 'score-head', parameters: 769 });
    expect(shapesOf(report)).toEqual({ weight: [1, 768], bias: [1] });
  });

  it.each([
    ['alex', [64, 192, 384, 256, 256]],
    ['vgg', [64, 128, 256, 512, 512]],
    ['squeeze', [64, 128, 256, 384, 384, 512, 512]],
  ])('reads the LPIPS heads of %s, a torch file of the time before zip', async (name, widths) => {
    const report = await inspect(`lpips-heads/v0.1/${name}.pth`);
    expect(report).toMatchObject({ format: 'torch-legacy', architecture: null });
    expect(report.tensors).toEqual(
      widths.map((width, i) => ({ name: `lin${i}.model.1.weight`, dtype: 'F32', shape: [1, width, 1, 1] })),
    );
  });

  it('reads Silero VAD as safetensors and as ONNX: the same shapes', async () => {
    const [safe, onnx] = [
      await inspect('silero-vad/silero_vad_16k.safetensors'),
      await inspect('silero-vad/silero_vad_16k_op15.onnx'),
    ];
    for (const report of [safe, onnx]) expect(report).toMatchObject({ parameters: 309_633, tensorCount: 15 });
    const sorted = ({ tensors }: InspectReport) => tensors.map(({ shape }) => shape.join()).sort();
    expect(sorted(onnx)).toEqual(sorted(safe));
    expect(shapesOf(safe)).toMatchObject({ 'stft_conv.weight': [258, 1, 256], 'conv1.weight': [128, 129, 3] });
    expect(onnx.onnx).toMatchObject({ nodes: 121, opsets: { 'ai.onnx': 15 }, irVersion: 8, manifest: null });
  });

  it('reads TensorFlow.js weights, quantized to uint8 or not', async () => {
    const mobilenet = await inspect('mobilenet_v2-tfjs/model.json', true);
    expect(mobilenet).toMatchObject({ format: 'tfjs', tensorCount: 266, parameters: 2_619_461 });
    expect(mobilenet.tensors[0]).toMatchObject({
      name: 'Conv1/kernel',
      dtype: 'F32',
      shape: [3, 3, 3, 32],
      statistics: { nonfinite: 0, min: Math.fround(-0.873_345_116_073_01) }, // the zero of its affine code
    });
    expect(mobilenet.tensors.every(({ dtype, statistics }) => dtype === 'F32' && statistics!.nonfinite === 0)).toBe(
      true,
    );
    const sentence = await inspect('use-lite-tfjs/model.json');
    expect(sentence).toMatchObject({ format: 'tfjs', tensorCount: 61, parameters: 6_975_914 });
    const count = (wanted: string) => sentence.tensors.filter(({ dtype }) => dtype === wanted).length;
    expect([count('F32'), count('I32')]).toEqual([35, 26]);
  });

  it('reads models of other tools', async () => {
    const mos = await inspect('dnsmos/DNSMOS__sig_bak_ovr.onnx');
    expect(mos).toMatchObject({ parameters: 287_292, tensorCount: 35, onnx: { nodes: 48, opsets: { 'ai.onnx': 12 } } });
    const ocr = await inspect('ppocr/ch_PP-OCRv4_rec_infer.onnx'); // its weights are Constant nodes
    expect(ocr).toMatchObject({ parameters: 0, tensorCount: 0, onnx: { nodes: 765, opsets: { 'ai.onnx': 9 } } });
  });
});

describe.skipIf(!hasShared)('export of real score heads', () => {
  /** CLIP embeddings as the head gets them: of length 1. */
  function unitVectors(rows: number): Float32Array {
    const random = new Random('unit vectors');
    return Float32Array.from(
      Array.from({ length: rows }, () => {
        const row = Array.from({ length: 768 }, () => random.normal());
        const norm = Math.hypot(...row);
        return row.map((value) => value / norm);
      }).flat(),
    );
  }

  async function scores(path: string, embeddings: Float32Array): Promise<Float32Array> {
    const session = await openSession(path, { threads: 1 });
    try {
      const feeds = new Map([['embedding', float32Value([embeddings.length / 768, 768], embeddings)]]);
      return floatsOf((await session.run(feeds)).get('utility_logit')!);
    } finally {
      await session.release();
    }
  }

  function operators(path: string): string[] {
    const file = openOnnx(path);
    file.close();
    return file.model.graph.node.map(({ opType }) => opType);
  }

  it('folds the aesthetic MLP without activations to one affine map that scores alike', async () => {
    const folder = tempFolder();
    const [plain, folded] = ['plain.onnx', 'folded.onnx'].map((name) => join(folder, name));
    await exportFile(plain, { checkpoint: AESTHETIC, activation: 'none', gate: 'full' });
    const report = await exportFile(folded, {
      checkpoint: AESTHETIC,
      activation: 'none',
      optimize: true,
      gate: 'full',
    });
    expect(report.gate?.passed).toBe(true);
    expect(operators(plain).filter((opType) => opType === 'Gemm').length).toBe(5);
    expect(operators(folded).filter((opType) => opType === 'Gemm' || opType === 'MatMul')).toEqual(['Gemm']);
    expect(report.parameters).toBeLessThan(1000);
    const embeddings = unitVectors(64);
    const [expected, actual] = [await scores(plain, embeddings), await scores(folded, embeddings)];
    expect(actual).toBeAllClose(expected, { atol: 1e-5 });
    expect(new Set(expected).size).toBeGreaterThan(60);
  });

  it('asks for the activation of the MLP, and computes another score with it', async () => {
    const folder = tempFolder();
    const [none, relu] = ['none.onnx', 'relu.onnx'].map((name) => join(folder, name));
    await expect(exportFile(none, { checkpoint: AESTHETIC })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      hint: expect.stringContaining('`activation`'),
    });
    await exportFile(none, { checkpoint: AESTHETIC, activation: 'none' });
    await exportFile(relu, { checkpoint: AESTHETIC, activation: 'relu' });
    const embeddings = unitVectors(4);
    expect(await scores(none, embeddings)).not.toBeAllClose(await scores(relu, embeddings), { atol: 1e-3 });
  });

  it('computes the linear head as its formula says', async () => {
    const out = join(tempFolder(), 'linear.onnx');
    await exportFile(out, { checkpoint: LINEAR, gate: 'full' });
    const checkpoint = await openCheckpoint(LINEAR);
    onTestFinished(() => checkpoint.close());
    const weight = await readFloat32(checkpoint.tensors.get('weight')!);
    const [bias] = await readFloat32(checkpoint.tensors.get('bias')!);
    const embeddings = unitVectors(8);
    const expected = Array.from({ length: 8 }, (_, row) =>
      weight.reduce((sum, w, i) => sum + w * embeddings[768 * row + i], bias),
    );
    expect(await scores(out, embeddings)).toBeAllClose(expected, { atol: 1e-5 });
  });
});
