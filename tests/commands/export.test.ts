import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import * as z from 'zod';
import { openCheckpoint } from '../../src/core/checkpoint/open.js';
import type { ExportOptions } from '../../src/core/lifecycle/export/export.js';
import { verifyModels } from '../../src/core/lifecycle/verify/verify.js';
import {
  MANIFEST_KEY,
  type Manifest,
  MODALITIES,
  manifestDocument,
  TOKENIZER_KEY,
} from '../../src/core/onnx/manifest.js';
import { metadataOf } from '../../src/core/onnx/model.js';
import { openOnnx } from '../../src/core/onnx/read.js';
import { rawBytesOf, tensorOf } from '../../src/core/onnx/tensor-data.js';
import { byteLevelTokenizer } from '../../src/core/onnx/tokenizer-file.js';
import { openSession } from '../../src/core/runtime/ort.js';
import { readTensor, type Tensor, tensorFromBytes } from '../../src/core/tensor/tensor.js';
import { readFloat32, transposeMatrix } from '../../src/core/tensor/transform.js';
import { hpsv3, PROJECT } from '../helpers/cli.js';
import { changedPico, exportFile, PICO, PICO_ATOL } from '../helpers/pico.js';
import { tempFolder } from '../helpers/temp.js';

const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

let folder: string;
let out: string;
beforeEach(() => {
  folder = tempFolder();
  out = join(folder, 'model.onnx');
});
beforeAll(() => {
  delete process.env['SOURCE_DATE_EPOCH']; // a machine that builds packages may have it set
});

const exported = (options: Partial<ExportOptions> = {}) => exportFile(out, options);

/** What an exported file says of itself, as text and as the schema reads it. */
function readManifest(path = out): { text: string; manifest: Manifest; tokenizer: string | undefined } {
  const file = openOnnx(path);
  try {
    const text = metadataOf(file.model, MANIFEST_KEY)!;
    return {
      text,
      manifest: manifestDocument.schema.parse(JSON.parse(text)),
      tokenizer: metadataOf(file.model, TOKENIZER_KEY),
    };
  } finally {
    file.close();
  }
}

/** Bytes of all initializers in the exported file. */
function weightBytes(): number {
  const file = openOnnx(out);
  const bytes = file.model.graph.initializer.reduce((sum, tensor) => sum + rawBytesOf(tensor).byteLength, 0);
  file.close();
  return bytes;
}

const figure = z.number();
const digest = z.string().regex(/^[0-9a-f]{64}$/);
const diffs = z.strictObject({
  maxAbsDiff: figure,
  outputs: z.record(z.string(), z.looseObject({ maxAbsDiff: figure })),
});

/** What scripts may rely on in `export --json`; more may be added to it. */
const EXPORT_JSON = z.looseObject({
  out: z.literal('model.onnx'),
  sha256: digest,
  bytes: z.int().positive(),
  opset: z.int(),
  architecture: z.literal('hpsv3'),
  modality: z.enum(MODALITIES),
  mode: z.enum(['item', 'pair', 'head']),
  tensors: z.strictObject({
    used: z.int().positive(),
    ignored: z.array(z.strictObject({ name: z.string(), reason: z.string().min(1) })),
  }),
  parity: z.strictObject({ golden: diffs.nullable() }),
  gate: z.looseObject({
    passed: z.literal(true),
    reference: z.enum(['golden', 'source', 'none']),
    flips: z.int().nullable(),
    kendall: figure.nullable(),
    maxScoreDiff: figure.nullable(),
    orderBias: figure.optional(),
    checks: z.array(z.looseObject({ name: z.string(), passed: z.boolean() })).min(1),
  }),
  lineage: z.array(
    z.strictObject({
      step: z.literal('export'),
      inputs: z.array(z.strictObject({ name: z.string(), sha256: digest })),
      options: z.record(z.string(), z.json()),
      tool: z.string().regex(/^hpsv3 \d+\.\d+\.\d+$/),
    }),
  ),
});

const run = (...args: string[]) => hpsv3(['export', '--checkpoint', PICO.checkpoint, '--out', out, ...args]);

describe('hpsv3 export --json', () => {
  it('prints the documented report, and writes the same beside the model', async () => {
    const { code, stdout } = await run('--mode', 'pair', '--golden', PICO.golden, '--atol', '1e-5', '--json');
    expect(code).toBe(0);
    const report = EXPORT_JSON.parse(JSON.parse(stdout));
    expect(report).toMatchObject({ modality: 'image-text', opset: 14, sha256: sha256(out) });
    expect(report.bytes).toBe(readFileSync(out).byteLength);
    expect(report.gate).toMatchObject({ reference: 'golden', flips: 0, kendall: 1 });
    expect(report.gate.orderBias).toBeGreaterThan(0);
    expect(Object.keys(report.parity.golden!.outputs)).toEqual(['logit', 'pair_logit']);
    expect(report.lineage[0].inputs).toEqual([{ name: 'checkpoint.safetensors', sha256: sha256(PICO.checkpoint) }]);
    expect(JSON.parse(readFileSync(`${out}.report.json`, 'utf8'))).toEqual(report);
    expect(readdirSync(folder).sort()).toEqual(['model.onnx', 'model.onnx.report.json']);
    expect(stdout).not.toContain(folder);
    expect(stdout).not.toContain(PROJECT);
  });

  it('says null where nothing was compared, and never that it was verified', async () => {
    const { code, stdout } = await run('--modality', 'text', '--json');
    expect(code).toBe(0);
    const report = EXPORT_JSON.parse(JSON.parse(stdout));
    expect(report.parity.golden).toBeNull();
    expect(report.gate).toMatchObject({ reference: 'none', flips: null, kendall: null, maxScoreDiff: null });
    expect((await run('--modality', 'text', '--force')).stdout).not.toMatch(/verified/i);
  });

  it('prints every failure as one document without a path', async () => {
    writeFileSync(out, 'mine');
    const { code, stdout } = await run('--modality', 'text', '--json');
    expect(code).toBe(2);
    expect(JSON.parse(stdout)).toEqual({
      error: {
        code: 'OUTPUT_EXISTS',
        message: 'model.onnx: exists already',
        hint: expect.stringContaining('--force'),
        details: { file: 'model.onnx' },
      },
    });
    expect(readFileSync(out, 'utf8')).toBe('mine');
  });

  it('prints the gate’s report in the error when the gate says no', async () => {
    const { code, stdout } = await run('--modality', 'text', '--golden', PICO.golden, '--atol', '0', '--json');
    expect(code).toBe(3);
    const { error } = JSON.parse(stdout);
    expect(error).toMatchObject({ code: 'GATE_FAILED', details: { gate: { passed: false, reference: 'golden' } } });
    expect(error.details.gate.firstMoved.output).toBe('embedding');
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('an export of every kind', () => {
  const KINDS = [
    ...MODALITIES.flatMap((m) => [[m, 'item'] as const, [m, 'pair'] as const]),
    [undefined, 'head'] as const,
  ];

  it.each(KINDS)('of %s in mode %s gives the outputs of the PyTorch reference', async (modality, mode) => {
    const report = await exported({ modality, mode, golden: PICO.golden, atol: PICO_ATOL, gate: 'quick' });
    expect(report.gate?.passed).toBe(true);
    expect(report.parity.golden!.maxAbsDiff).toBeLessThanOrEqual(PICO_ATOL);
    const { manifest } = readManifest();
    expect(manifest).toMatchObject({ architecture: 'hpsv3', mode, dtype: 'fp32', lineage: report.lineage });
    expect(manifest.outputs.map(({ name }) => name)).toEqual(expect.arrayContaining(OUTPUTS[mode]));
    expect(manifest.modality).toBe(report.modality);
  });

  const OUTPUTS = {
    item: ['embedding', 'utility_logit', 'utility', 'calibrated', 'quality', 'fluency', 'toxicity'],
    pair: ['left_utility_logit', 'right_utility_logit', 'logit', 'pair_logit'],
    head: ['left_utility_logit', 'right_utility_logit', 'logit', 'pair_logit'],
  };

  it.each([17, 21])('keeps its outputs at opset %i', async (opset) => {
    const report = await exported({ opset, golden: PICO.golden, atol: PICO_ATOL, gate: 'quick' });
    expect(report.opset).toBe(opset);
    const file = openOnnx(out);
    expect(file.model.opsetImport).toEqual([{ domain: '', version: opset }]);
    file.close();
  });

  it.each([13, 22, 999])('refuses opset %i', async (opset) => {
    await expect(exported({ opset })).rejects.toMatchObject({ code: 'OPSET_UNSUPPORTED', exitCode: 2 });
    expect(readdirSync(folder)).toEqual([]);
  });

  it('stays within 1e-2 as float16, in about half the bytes', async () => {
    await exported({ modality: 'image' });
    const wide = weightBytes();
    const half = await exported({ modality: 'image', dtype: 'fp16', golden: PICO.golden, gate: 'full', force: true });
    expect(half.parity.golden!.maxAbsDiff).toBeLessThanOrEqual(1e-2);
    expect(half.parity.golden!.maxAbsDiff).toBeGreaterThan(0);
    expect(readManifest().manifest.dtype).toBe('fp16');
    expect(weightBytes()).toBeLessThan(0.6 * wide);
  });

  it('has fewer nodes, the same outputs and no way back to checkpoint names when optimized', async () => {
    const plain = await exported({ modality: 'image' });
    const report = await exported({
      modality: 'image',
      optimize: true,
      golden: PICO.golden,
      atol: PICO_ATOL,
      gate: 'full',
      force: true,
    });
    expect(report.gate?.passed).toBe(true);
    expect(report.nodes).toBeLessThan(plain.nodes);
    expect(readManifest().manifest.parameters).toBeUndefined();
  });

  it('with external data decides as the single file, and has the weights in FILE.data', async () => {
    await exported();
    const apart = join(folder, 'apart.onnx');
    const report = await exportFile(apart, { externalData: true });
    expect(report.externalData).toMatchObject({ name: 'apart.onnx.data', sha256: sha256(`${apart}.data`) });
    const file = openOnnx(apart);
    expect(file.externalFiles.map(({ name }) => name)).toEqual(['apart.onnx.data']);
    file.close();
    const verdict = await verifyModels({ model: out, other: apart, level: 'quick', seed: 0 });
    expect(verdict).toMatchObject({ passed: true, flips: 0, maxScoreDiff: 0 });
  });

  it('has batch, text and audio lengths that may change', async () => {
    await exported({ modality: 'audio-text' });
    const session = await openSession(out, { threads: 1 });
    onTestFinished(() => session.release());
    const shapes = Object.fromEntries(session.inputs.map(({ name, shape }) => [name, shape]));
    expect(
      Object.values(shapes)
        .flat()
        .every((dimension) => typeof dimension === 'string'),
    ).toBe(true);
    const [batch] = shapes['input_ids'];
    expect(shapes['input_ids']).toEqual([batch, expect.any(String)]);
    for (const shape of Object.values(shapes)) expect(shape[0]).toBe(batch);
  });
});

describe('a dry run', () => {
  it('says what would be written and writes nothing', async () => {
    const report = await exported({ dryRun: true, gate: 'full' });
    expect(report).toMatchObject({ out: 'model.onnx', sha256: null, bytes: null, gate: null, modality: 'image-text' });
    expect(report.nodes).toBeGreaterThan(100);
    expect(report.lineage[0].inputs[0].sha256).toBe(sha256(PICO.checkpoint));
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('the same input, options and tool', () => {
  it.each<Partial<ExportOptions>>([{}, { mode: 'pair', optimize: true }, { dtype: 'fp16' }, { externalData: true }])(
    'give the same bytes in another folder (%o)',
    async (options) => {
      const elsewhere = join(folder, 'elsewhere');
      mkdirSync(elsewhere);
      copyFileSync(PICO.checkpoint, join(elsewhere, 'checkpoint.safetensors'));
      copyFileSync(PICO.config, join(elsewhere, 'config.json'));
      const first = await exported(options);
      const second = await exportFile(join(elsewhere, 'model.onnx'), {
        ...options,
        checkpoint: join(elsewhere, 'checkpoint.safetensors'),
        seed: 9,
      });
      expect(second.sha256).toBe(first.sha256);
      expect(second.externalData).toEqual(first.externalData);
    },
  );

  it('give the same bytes, with a date, where SOURCE_DATE_EPOCH is set', async () => {
    const hashes: string[] = [];
    for (const [name, env] of [
      ['a.onnx', { SOURCE_DATE_EPOCH: '1700000000', TZ: 'Asia/Kathmandu' }],
      ['b.onnx', { SOURCE_DATE_EPOCH: '1700000000', TZ: 'UTC' }],
      ['c.onnx', { SOURCE_DATE_EPOCH: undefined }],
    ] as const) {
      const path = join(folder, name);
      const args = ['export', '--checkpoint', PICO.checkpoint, '--out', path, '--modality', 'text', '--gate', 'off'];
      expect((await hpsv3(args, { env })).code).toBe(0);
      hashes.push(sha256(path));
    }
    expect(hashes[1]).toBe(hashes[0]);
    expect(hashes[2]).not.toBe(hashes[0]);
    expect(readManifest(join(folder, 'a.onnx')).manifest.lineage[0].date).toBe('2023-11-14T22:13:20.000Z');
    expect(readManifest(join(folder, 'c.onnx')).manifest.lineage[0]).not.toHaveProperty('date');
  });
});

describe('the manifest inside', () => {
  it('leads every initializer back to a tensor of the checkpoint with the same values', async () => {
    await exported({ modality: 'image-text', mode: 'pair' });
    const file = openOnnx(out);
    const checkpoint = await openCheckpoint(PICO.checkpoint);
    onTestFinished(() => {
      file.close();
      checkpoint.close();
    });
    const { parameters = {} } = readManifest().manifest;
    const initializers = new Map(file.model.graph.initializer.map((proto) => [proto.name!, proto]));
    const keys = new Set<string>();
    for (const [name, { key, transform }] of Object.entries(parameters)) {
      const initializer = tensorOf(initializers.get(name)!);
      const original = checkpoint.tensors.get(key)!;
      const restored = transform === 'transpose' ? transposeMatrix(initializer) : initializer;
      expect(restored.shape, name).toEqual(original.shape);
      expect(await readFloat32(restored), name).toEqual(await readFloat32(original));
      keys.add(key);
    }
    expect(Object.values(parameters).filter(({ transform }) => transform === 'transpose').length).toBeGreaterThan(0);
    const constants = [...initializers.keys()].filter((name) => !Object.hasOwn(parameters, name));
    expect(constants.every((name) => name.startsWith('const.'))).toBe(true);
    const used = [...checkpoint.tensors.keys()].filter((name) => keys.has(name));
    expect(used.length).toBe(keys.size);
  });

  it('holds no path, clock or measured figure', async () => {
    await exported({ golden: PICO.golden, atol: PICO_ATOL, gate: 'quick' });
    const { text, manifest } = readManifest();
    expect(text).not.toContain(folder);
    expect(text).not.toContain(PROJECT);
    expect(manifest.lineage[0]).not.toHaveProperty('date');
    expect(Object.keys(manifest.lineage[0].options).sort()).toEqual(['dtype', 'modality', 'mode', 'opset', 'optimize']);
  });
});

describe('a tokenizer.json', () => {
  /** A tokenizer of words alone, of a vocabulary that fits, and one id more than does. */
  const tokenizer = (size: number) =>
    JSON.stringify({
      added_tokens: [{ id: 0, content: '[PAD]' }],
      post_processor: null,
      model: {
        type: 'WordPiece',
        unk_token: 't1',
        continuing_subword_prefix: '##',
        max_input_chars_per_word: 100,
        vocab: Object.fromEntries(Array.from({ length: size }, (_, id) => [`t${id}`, id])),
      },
    });

  it('travels inside the model, is named in the lineage, and changes the bytes', async () => {
    const bare = await exported({ modality: 'text' });
    expect(bare.warnings).toEqual([expect.stringContaining('`tokenizer`')]);
    const path = join(folder, 'tokenizer.json');
    writeFileSync(path, tokenizer(64));
    const report = await exported({ modality: 'text', tokenizer: path, force: true });
    expect(report.warnings).toEqual([]);
    expect(report.sha256).not.toBe(bare.sha256);
    expect(report.lineage[0].inputs.map(({ name }) => name)).toEqual(['checkpoint.safetensors', 'tokenizer.json']);
    expect(report.lineage[0].inputs[1].sha256).toBe(sha256(path));
    const { manifest, tokenizer: inside } = readManifest();
    expect(inside).toBe(tokenizer(64));
    expect(manifest.inputs[0].preprocess).toMatchObject({ tokenizer: TOKENIZER_KEY, pad: 0, specialTokens: false });
  });

  it('is found in the folder that is the checkpoint', async () => {
    const model = join(folder, 'model');
    mkdirSync(model);
    copyFileSync(PICO.checkpoint, join(model, 'model.safetensors'));
    copyFileSync(PICO.config, join(model, 'config.json'));
    writeFileSync(join(model, 'tokenizer.json'), tokenizer(64));
    const report = await exported({ modality: 'text', checkpoint: model });
    expect(report.warnings).toEqual([]);
    expect(report.lineage[0].inputs.map(({ name }) => name)).toEqual(['model.safetensors', 'tokenizer.json']);
  });

  it.each([
    ['has more ids than the model embeds', tokenizer(65), /ids reach 64.*embeds 64/],
    ['is of another size altogether', byteLevelTokenizer(), /ids reach 260.*embeds 64/],
    ['is no JSON', '{"model":', /tokenizer\.json/],
    ['has no model', '{}', /no model section/],
    ['has no vocabulary', '{"model":{"vocab":{}}}', /no vocabulary/],
  ])('is refused where it %s', async (_, text, message) => {
    const path = join(folder, 'tokenizer.json');
    writeFileSync(path, text);
    await expect(exported({ modality: 'text', tokenizer: path })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      exitCode: 2,
      message: expect.stringMatching(message),
    });
    expect(existsSync(out)).toBe(false);
  });

  it('is not put into a model that reads no text, and that is said', async () => {
    const path = join(folder, 'tokenizer.json');
    writeFileSync(path, tokenizer(64));
    const report = await exported({ modality: 'image', tokenizer: path });
    expect(report.warnings).toEqual([expect.stringContaining('reads no text')]);
    expect(readManifest().tokenizer).toBeUndefined();
  });
});

describe('what export refuses', () => {
  it('names both sides where --config contradicts the tensors', async () => {
    const config = join(folder, 'other.json');
    writeFileSync(config, JSON.stringify({ ...JSON.parse(readFileSync(PICO.config, 'utf8')), text_hidden: 48 }));
    const { code, stdout } = await run('--modality', 'text', '--config', config, '--json');
    expect(code).toBe(2);
    const { error } = JSON.parse(stdout);
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.message).toMatch(/text_hidden.*\b8\b.*word_embeddings.*\b48\b.*other\.json/);
    expect(readdirSync(folder)).toEqual(['other.json']);
  });

  it('writes nothing where the golden outputs are of other weights', async () => {
    const checkpoint = await changedPico(folder, (tensor) =>
      tensor.name === 'head.abs1.weight' ? negated(tensor) : tensor,
    );
    const before = readdirSync(folder);
    const wrong = exported({ checkpoint, golden: PICO.golden, modality: 'text', gate: 'quick' });
    await expect(wrong).rejects.toMatchObject({
      code: 'GATE_FAILED',
      exitCode: 3,
      message: expect.stringMatching(/golden.*first output that moved: utility_logit/),
    });
    expect(readdirSync(folder)).toEqual(before);
  });

  it.each([
    ['NaN', 0x7e00],
    ['an infinity', 0xfc00],
  ])('refuses weights with %s, unless told otherwise', async (_, bits) => {
    const checkpoint = await changedPico(folder, (tensor) =>
      tensor.name === 'fusion.norm.bias' ? withLastElement(tensor, bits) : tensor,
    );
    const before = readdirSync(folder);
    await expect(exported({ checkpoint, modality: 'text' })).rejects.toMatchObject({
      code: 'NONFINITE_WEIGHTS',
      exitCode: 3,
      details: { tensor: 'fusion.norm.bias' },
    });
    expect(readdirSync(folder)).toEqual(before);
    const report = await exported({ checkpoint, modality: 'text', allowNonfinite: true });
    expect(report.sha256).toBe(sha256(out));
  });

  it('refuses float32 weights that float16 cannot hold', async () => {
    const checkpoint = await changedPico(folder, (tensor) =>
      tensor.name === 'text.proj.weight' ? filledFloat32(tensor, 70_000) : tensor,
    );
    await exported({ checkpoint, modality: 'text' });
    await expect(exported({ checkpoint, modality: 'text', dtype: 'fp16', force: true })).rejects.toMatchObject({
      code: 'NONFINITE_WEIGHTS',
      hint: expect.stringContaining('65504'),
    });
  });

  it('replaces a file only with force', async () => {
    writeFileSync(out, 'mine');
    await expect(exported({ modality: 'text' })).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' });
    expect(readFileSync(out, 'utf8')).toBe('mine');
    const report = await exported({ modality: 'text', force: true });
    expect(sha256(out)).toBe(report.sha256);
  });

  it('does not replace a report alone either', async () => {
    writeFileSync(`${out}.report.json`, 'mine');
    await expect(exported({ modality: 'text' })).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' });
    expect(readdirSync(folder)).toEqual([`${basename(out)}.report.json`]);
  });
});

/** The last element of a float16 tensor replaced by these bits. */
function withLastElement(tensor: Tensor, bits: number): Tensor {
  return mapped(tensor, (bytes) => new DataView(bytes.buffer).setUint16(bytes.byteLength - 2, bits, true));
}

/** Every float16 element with the other sign. */
function negated(tensor: Tensor): Tensor {
  return mapped(tensor, (bytes) => {
    const values = new Uint16Array(bytes.buffer);
    for (const [i, value] of values.entries()) values[i] = value ^ 0x8000;
  });
}

function filledFloat32({ name, shape }: Tensor, value: number): Tensor {
  const numel = shape.reduce((a, b) => a * b, 1);
  return tensorFromBytes({ name, dtype: 'F32', shape }, new Uint8Array(new Float32Array(numel).fill(value).buffer));
}

/** The same tensor with its bytes changed when they are read. */
function mapped(tensor: Tensor, change: (bytes: Uint8Array<ArrayBuffer>) => void): Tensor {
  return {
    ...tensor,
    async *chunks() {
      const bytes = (await readTensor(tensor)) as Uint8Array<ArrayBuffer>;
      change(bytes);
      yield bytes;
    },
  };
}
