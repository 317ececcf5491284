import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { JsonObject } from '../../src/core/bytes/json.js';
import type { Checkpoint } from '../../src/core/checkpoint/checkpoint.js';
import { openCheckpoint } from '../../src/core/checkpoint/open.js';
import { readConfigFile } from '../../src/core/cli/config.js';
import { initCheckpoint } from '../../src/core/lifecycle/init/init.js';
import { readTensor } from '../../src/core/tensor/tensor.js';
import { hpsv3 } from '../helpers/cli.js';
import { exportFile, PICO } from '../helpers/pico.js';
import { tempFolder } from '../helpers/temp.js';

const NANO = fileURLToPath(new URL('../../configs/hpsv3_nano.yaml', import.meta.url));

let folder: string;
beforeEach(() => {
  folder = tempFolder();
});

const readJson = (path: string) => JSON.parse(readFileSync(path, 'utf8'));
const pico = (): JsonObject => readJson(PICO.config);
const make = (name: string, seed = 1, model = pico()) =>
  initCheckpoint({ config: { name: 'pico', model }, seed, out: join(folder, name), force: false });

async function opened(name: string): Promise<Checkpoint> {
  const checkpoint = await openCheckpoint(join(folder, name));
  onTestFinished(() => checkpoint.close());
  return checkpoint;
}

describe('hpsv3 init', () => {
  it('writes a checkpoint that exports and passes the gate, with its config.json and tokenizer.json', async () => {
    const path = join(folder, 'nano.safetensors');
    const { code, stdout } = await hpsv3(['init', '--config', NANO, '--seed', '7', '--out', path, '--json']);
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({
      out: 'nano.safetensors',
      sha256: createHash('sha256').update(readFileSync(path)).digest('hex'),
      seed: 7,
      beside: ['config.json', 'tokenizer.json'],
      warnings: [],
    });
    expect(stdout).not.toContain(folder);
    expect(readdirSync(folder).sort()).toEqual(['config.json', 'nano.safetensors', 'tokenizer.json']);
    expect(readJson(join(folder, 'config.json'))).toEqual((await readConfigFile(NANO)).model);
    const exported = await exportFile(join(folder, 'model.onnx'), { checkpoint: path, mode: 'pair', gate: 'full' });
    expect(exported.gate).toMatchObject({ passed: true, reference: 'none' });
    expect(exported.gate!.checks.every(({ passed }) => passed)).toBe(true);
    expect(exported.lineage[0].inputs.map(({ name }) => name)).toEqual(['nano.safetensors', 'tokenizer.json']);
    expect(exported.warnings).toEqual([]);
  });

  it('gives the same bytes for the same seed, and others for another', async () => {
    for (const ending of ['safetensors', 'pt']) {
      const [a, b, c] = [await make(`a.${ending}`, 5), await make(`b.${ending}`, 5), await make(`c.${ending}`, 6)];
      expect(b.sha256).toBe(a.sha256);
      expect(c.sha256).not.toBe(a.sha256);
      expect(c.parameters).toBe(a.parameters);
    }
  });

  it('holds equal tensors in the form of PyTorch and of safetensors', async () => {
    await make('x.pt');
    await make('x.safetensors');
    const [torch, safe] = [await opened('x.pt'), await opened('x.safetensors')];
    expect(torch.format).toBe('torch-zip');
    expect([...torch.tensors.keys()].sort()).toEqual([...safe.tensors.keys()].sort());
    for (const [name, tensor] of torch.tensors) {
      const other = safe.tensors.get(name)!;
      expect({ dtype: tensor.dtype, shape: tensor.shape }, name).toEqual({ dtype: other.dtype, shape: other.shape });
      expect(Buffer.compare(await readTensor(tensor), await readTensor(other)), name).toBe(0);
    }
  });

  it('has the names and shapes of the PyTorch model', async () => {
    await make('x.safetensors');
    const [ours, reference] = [await opened('x.safetensors'), await openCheckpoint(PICO.checkpoint)];
    onTestFinished(() => reference.close());
    const shapes = ({ tensors }: Checkpoint) => Object.fromEntries([...tensors.values()].map((t) => [t.name, t.shape]));
    expect(shapes(ours)).toEqual(shapes(reference));
  });

  it('writes a tokenizer.json of bytes whose ids the model embeds, only where its vocabulary holds them', async () => {
    const small = await make('small.safetensors');
    expect(small.beside).toEqual(['config.json']);
    expect(small.warnings).toEqual([expect.stringContaining('No tokenizer.json')]);
    const elsewhere = tempFolder();
    const model = { ...pico(), vocab_size: 261 };
    await initCheckpoint({ config: { name: 'c', model }, seed: 0, out: join(elsewhere, 'm.pt'), force: false });
    const tokenizer = readJson(join(elsewhere, 'tokenizer.json'));
    const ids = [
      ...Object.values(tokenizer.model.vocab),
      ...tokenizer.added_tokens.map(({ id }: { id: number }) => id),
    ];
    expect(new Set(Object.values(tokenizer.model.vocab)).size).toBe(261);
    expect(ids.every((id) => Number.isInteger(id) && id >= 0 && id < 261)).toBe(true);
    expect(tokenizer.model.vocab['Ġ']).toBeTypeOf('number'); // GPT-2's character for a space
  });

  it('lists everything that is wrong with a configuration at once', async () => {
    const path = join(folder, 'broken.json');
    const { hop: _, ...model } = pico();
    writeFileSync(path, JSON.stringify({ ...model, text_heads: 3, n_mels: -1, text_hiden: 8 }));
    const { code, stdout } = await hpsv3(['init', '--config', path, '--out', join(folder, 'x.pt'), '--json']);
    expect(code).toBe(2);
    const { error } = JSON.parse(stdout);
    expect(error.code).toBe('CONFIG_INVALID');
    for (const key of ['hop', 'text_heads', 'n_mels', 'text_hiden']) expect(error.message).toContain(key);
    expect(readdirSync(folder)).toEqual(['broken.json']);
  });

  it.each([
    [['--out', 'x.onnx'], 'USAGE'],
    [['--out', 'x.pt', '--seed', '-1'], 'USAGE'],
    [['--out', 'missing/x.pt'], 'OUTPUT_INVALID'],
    [['--out', 'taken.pt'], 'OUTPUT_EXISTS'],
  ])('refuses %j', async (args, expected) => {
    writeFileSync(join(folder, 'taken.pt'), 'mine');
    const { code, stdout } = await hpsv3(['init', '--config', NANO, ...args, '--json'], { cwd: folder });
    expect(code).toBe(2);
    expect(JSON.parse(stdout).error.code).toBe(expected);
    expect(readdirSync(folder)).toEqual(['taken.pt']);
  });

  it('does not replace a config.json that says something else', async () => {
    writeFileSync(join(folder, 'config.json'), '{}');
    await expect(make('x.pt')).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' });
    expect(readdirSync(folder)).toEqual(['config.json']);
  });
});
