import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inflateSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { VIDEO_BACKENDS } from '../../src/core/media/video/tools.js';
import { openSession } from '../../src/core/runtime/ort.js';
import { floatsOf, type TensorValue, valueFromBytes } from '../../src/core/runtime/value.js';
import { hpsv3, PROJECT } from '../helpers/cli.js';
import { tinyModel, writeRows } from '../helpers/scoring.js';
import { sharedFolder } from '../helpers/temp.js';

// Vectors: Pillow, torchvision, Hugging Face tokenizers, SciPy and FFmpeg; tests/golden/media/make_prepared.py
const GOLDEN = `${PROJECT}tests/golden/media/`;
type Modality = 'image' | 'text' | 'image-text' | 'audio' | 'video';
type Item = Readonly<Record<string, string>>;
interface Coded {
  readonly dtype: 'F32' | 'I64';
  readonly shape: readonly number[];
  /** Little-endian, by zlib, in base64. */
  readonly data: string;
}
const vectors: {
  readonly pairs: readonly { readonly modality: Modality; readonly left: Item; readonly right: Item }[];
  /** Model inputs by `part:value`. */
  readonly parts: Readonly<Record<string, Readonly<Record<string, Coded>>>>;
} = JSON.parse(readFileSync(`${GOLDEN}vectors-prepared.json`, 'utf8'));

/** Of logits. The inputs of all but video are equal to float32; another decoder than FFmpeg may round a colour otherwise. */
const ATOL: Readonly<Record<Modality, number>> = {
  image: 1e-5,
  text: 1e-5,
  'image-text': 1e-5,
  audio: 1e-5,
  video: 5e-3,
};

const folder = sharedFolder();
const clip = `${GOLDEN}video/plain.webm`;
const decoders = await Promise.all(VIDEO_BACKENDS.map((backend) => backend.open(clip, 'plain.webm')));
const decodesVideo = decoders.some((tools) => tools !== null);
await Promise.all(decoders.map((tools) => tools?.close()));
const MODALITIES = [...new Set(vectors.pairs.map(({ modality }) => modality))];

beforeAll(() => {
  for (const { left, right } of vectors.pairs) {
    for (const [part, name] of [...Object.entries(left), ...Object.entries(right)]) {
      if (part === 'text') continue;
      const places = ['images', 'audio', 'video'].map((place) => `${GOLDEN}${place}/${name}`);
      copyFileSync(places.find((path) => existsSync(path))!, join(folder, name));
    }
  }
});

/** The inputs that the reference makes of an item. */
function inputsOf(item: Item, prefix = ''): [string, TensorValue][] {
  return Object.entries(item).flatMap(([part, value]) =>
    Object.entries(vectors.parts[`${part}:${value}`]).map(([name, { dtype, shape, data }]): [string, TensorValue] => [
      prefix + name,
      valueFromBytes(dtype, shape, inflateSync(Buffer.from(data, 'base64'))),
    ]),
  );
}

/** What the model itself says of inputs, each row run alone. */
async function logitsOfInputs(model: string, rows: readonly [string, TensorValue][][]): Promise<number[]> {
  const session = await openSession(model, { threads: 1 });
  const output = session.outputs.find(({ name }) => name === 'pair_logit' || name === 'utility_logit')!;
  const logits: number[] = [];
  for (const row of rows) {
    const outputs = await session.run(new Map(row));
    logits.push(floatsOf(outputs.get(output.name)!)[0]);
  }
  await session.release();
  return logits;
}

async function logitsOfFiles(model: string, name: string, rows: readonly object[]): Promise<number[]> {
  const input = writeRows(folder, `${name}.jsonl`, rows);
  const out = join(folder, `${name}.out.jsonl`);
  const { code, stderr } = await hpsv3([
    'batch',
    '--model',
    model,
    '--input',
    input,
    '--output',
    out,
    '--batch-size',
    '2',
    '-q',
  ]);
  expect(code, stderr).toBe(0);
  const lines = readFileSync(out, 'utf8').split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line).logit);
}

/** Far enough apart that another item, frame or token would be noticed. */
function expectDistinct(logits: readonly number[], atol: number): void {
  expect(Math.max(...logits) - Math.min(...logits)).toBeGreaterThan(10 * atol);
}

const SKIPPED = ' (skipped: nothing here decodes video)';

describe.each(MODALITIES)('hpsv3 batch on %s gives the logits of the model on inputs of the reference', (modality) => {
  const pairs = vectors.pairs.filter((pair) => pair.modality === modality);
  const atol = ATOL[modality];
  const skipped = modality === 'video' && !decodesVideo;

  it.skipIf(skipped)(`for pairs${skipped ? SKIPPED : ''}`, { timeout: 120_000 }, async () => {
    const model = await tinyModel(folder, modality, 'pair');
    const rows = pairs.flatMap(({ left, right }, i) => [
      { id: `${i}`, type: 'pair', modality, left, right },
      { id: `${i} swapped`, type: 'pair', modality, left: right, right: left },
    ]);
    const expected = await logitsOfInputs(
      model,
      rows.map(({ left, right }) => [...inputsOf(left, 'left_'), ...inputsOf(right, 'right_')]),
    );
    expect(await logitsOfFiles(model, `${modality}-pairs`, rows)).toBeAllClose(expected, { atol });
    if (modality !== 'video') expectDistinct(expected, atol); // the clips show the same, compressed in two ways
  });

  it.skipIf(skipped)(`for items${skipped ? SKIPPED : ''}`, { timeout: 120_000 }, async () => {
    const model = await tinyModel(folder, modality, 'item');
    const items = pairs.flatMap(({ left, right }) => [left, right]);
    const rows = items.map((content, i) => ({ id: `${i}`, type: 'abs', modality, content }));
    const expected = await logitsOfInputs(
      model,
      items.map((item) => inputsOf(item)),
    );
    expect(await logitsOfFiles(model, `${modality}-items`, rows)).toBeAllClose(expected, { atol });
    if (modality !== 'video') expectDistinct(expected, atol);
  });
});
