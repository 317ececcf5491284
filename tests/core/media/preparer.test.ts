import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { openPreparer } from '../../../src/core/media/preparer.js';
import { type ContractInput, TOKENIZER_KEY } from '../../../src/core/onnx/manifest.js';
import type { TensorValue } from '../../../src/core/runtime/value.js';
import { PROJECT } from '../../helpers/cli.js';

const GOLDEN = `${PROJECT}tests/golden/media/`;
const TOKENIZER = readFileSync(`${GOLDEN}tokenizers/word-piece.json`, 'utf8');
const IMAGE_FILE = `${GOLDEN}images/rgb.png`;

const image = (size: number | null): ContractInput => ({
  name: 'pixel_values',
  dtype: 'F32',
  shape: ['batch', 3, 8, 8],
  preprocess: {
    kind: 'image',
    color: 'RGB',
    resize: { shorterSide: 8, kernel: 'bicubic', antialias: true },
    crop: size === null ? null : [size, size],
    scale: 1 / 255,
    mean: [0.5, 0.25, 0],
    std: [0.5, 0.25, 1],
    layout: 'NCHW',
  },
});
const text = (tokens: number | string): ContractInput[] => [
  {
    name: 'input_ids',
    dtype: 'I64',
    shape: ['batch', tokens],
    preprocess: { kind: 'text', maxTokens: 6, tokenizer: TOKENIZER_KEY, vocabSize: 260, pad: 7, specialTokens: true },
  },
  { name: 'attention_mask', dtype: 'I64', shape: ['batch', tokens], preprocess: { kind: 'text-mask' } },
];
const audio: ContractInput = {
  name: 'waveform',
  dtype: 'F32',
  shape: ['batch', 'samples'],
  preprocess: { kind: 'audio', sampleRate: 16_000, mono: true, minSamples: 10, maxSamples: 1000, range: [-1, 1] },
};

/** As a tokenizer that pads does it: ids by 7, masks and types by 0. */
const padded = (inputs: ReadonlyMap<string, TensorValue>, width: number): Map<string, TensorValue> =>
  new Map(
    Array.from(inputs, ([name, { dtype, data }]) => {
      const more = new Array<bigint>(width - data.length).fill(name === 'input_ids' ? 7n : 0n);
      return [name, { dtype, shape: [1, width], data: BigInt64Array.from([...(data as BigInt64Array), ...more]) }];
    }),
  );

describe('openPreparer', () => {
  it('makes one row of each input, and tells its length', async () => {
    const preparer = await openPreparer({ inputs: [image(8), ...text('tokens'), audio], tokenizer: TOKENIZER });
    const item = { image: { path: IMAGE_FILE }, text: 'the dog', audio: { path: `${GOLDEN}audio/pcm-16.wav` } };
    const { inputs, tokens, samples, truncated } = await preparer.prepare(item);
    expect([...inputs].map(([name, { dtype, shape }]) => [name, dtype, shape])).toEqual([
      ['pixel_values', 'F32', [1, 3, 8, 8]],
      ['input_ids', 'I64', [1, tokens]],
      ['attention_mask', 'I64', [1, tokens]],
      ['waveform', 'F32', [1, samples]],
    ]);
    expect([samples, truncated]).toEqual([202, false]);
    await preparer.close();
  });

  it('makes the same of a text at once, padded to the width it is told', async () => {
    const inputs: ContractInput[] = [
      ...text('tokens'),
      { name: 'token_type_ids', dtype: 'I64', shape: ['batch', 'tokens'], preprocess: { kind: 'text-types' } },
    ];
    const preparer = await openPreparer({ inputs, tokenizer: TOKENIZER });
    for (const one of ['the dog', 'dog', 'the dog']) {
      const later = await preparer.prepare({ text: one });
      const now = preparer.prepareNow!({ text: one }, () => 8);
      expect({ ...now, inputs: null }).toEqual({ ...later, inputs: null });
      expect(now.inputs).toEqual(padded(later.inputs, 8));
    }
    await preparer.close();
  });

  it.each<readonly [string, ContractInput[]]>([
    ['a picture of a side of 30,000', [{ ...image(30_000), shape: ['batch', 3, 'height', 'width'] }]],
    [
      'a sound of two billion samples',
      [{ ...audio, preprocess: { ...audio.preprocess, minSamples: 2 ** 31 } as never }],
    ],
    ['a text of a billion tokens', text(1e9)],
  ])('refuses %s before it is made', async (_, inputs) => {
    await expect(openPreparer({ inputs, tokenizer: TOKENIZER })).rejects.toMatchObject({ code: 'INPUTS_INVALID' });
  });

  it('normalises each channel by its own mean and deviation', async () => {
    const preparer = await openPreparer({ inputs: [image(8)], tokenizer: null });
    const raw = await openPreparer({
      inputs: [
        { ...image(8), preprocess: { ...image(8).preprocess, scale: 1, mean: [0, 0, 0], std: [1, 1, 1] } as never },
      ],
      tokenizer: null,
    });
    const read = async (from: typeof raw) =>
      (await from.prepare({ image: { path: IMAGE_FILE } })).inputs.get('pixel_values')!.data as Float32Array;
    const bytes = await read(raw);
    const expected = bytes.map(
      (value, i) => [(value / 255 - 0.5) / 0.5, (value / 255 - 0.25) / 0.25, value / 255][Math.floor(i / 64)],
    );
    expect(await read(preparer)).toBeAllClose(expected, { atol: 1e-6 });
  });

  it('takes bytes as well as a path', async () => {
    const preparer = await openPreparer({ inputs: [image(8)], tokenizer: null });
    const fromPath = await preparer.prepare({ image: { path: IMAGE_FILE } });
    expect(await preparer.prepare({ image: { bytes: readFileSync(IMAGE_FILE), name: 'x' } })).toEqual(fromPath);
  });

  it('pads a text to the length of the model where that is fixed, and masks what it padded', async () => {
    const preparer = await openPreparer({ inputs: text(6), tokenizer: TOKENIZER });
    const { inputs, tokens } = await preparer.prepare({ text: 'the dog' });
    const ids = [...(inputs.get('input_ids')!.data as BigInt64Array)];
    expect(ids.slice(tokens as number)).toEqual(new Array(6 - (tokens as number)).fill(7n));
    expect([...(inputs.get('attention_mask')!.data as BigInt64Array)]).toEqual(
      ids.map((_, i) => BigInt(i < (tokens as number))),
    );
    expect(tokens).toBeLessThan(6);
  });

  it('has one hash for equal contracts, whatever the order of their keys, and another for any other', async () => {
    const hash = async (...inputs: ContractInput[]) => (await openPreparer({ inputs, tokenizer: null })).contractSha256;
    const reversed = Object.fromEntries(Object.entries(image(8)).reverse()) as ContractInput;
    expect(await hash(reversed)).toBe(await hash(image(8)));
    expect(await hash(image(null))).not.toBe(await hash(image(8)));
    const withTokenizer = async (tokenizer: string) =>
      (await openPreparer({ inputs: text('n'), tokenizer })).contractSha256;
    expect(await withTokenizer(`${TOKENIZER} `)).not.toBe(await withTokenizer(TOKENIZER));
  });

  it.each([
    ['no picture', {}],
    ['a picture that comes out in another size than the model takes', { image: { path: IMAGE_FILE } }],
    ['a picture that is empty', { image: { bytes: new Uint8Array(), name: 'a.png' } }],
    ['a picture of 20 MB', { image: { bytes: new Uint8Array(20_000_001), name: 'a.png' } }],
  ])('refuses an item with %s', async (_, item) => {
    const preparer = await openPreparer({ inputs: [image(null)], tokenizer: null });
    await expect(preparer.prepare(item)).rejects.toMatchObject({ code: 'MEDIA_INVALID' });
  });

  it('names a missing file without its folder', async () => {
    const preparer = await openPreparer({ inputs: [image(8)], tokenizer: null });
    await expect(preparer.prepare({ image: { path: '/no/such/a.png' } })).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
      message: expect.not.stringContaining('/no/such'),
    });
  });

  it.each([
    ['embeddings', { ...audio, preprocess: { kind: 'embedding' as const, encoder: null, normalize: 'none' as const } }],
    ['text without a tokenizer', text('tokens')[0]],
    ['stereo sound', { ...audio, preprocess: { ...audio.preprocess, mono: false } as ContractInput['preprocess'] }],
  ])('refuses a contract for %s', async (_, input) => {
    await expect(openPreparer({ inputs: [input], tokenizer: null })).rejects.toMatchObject({ code: 'INPUTS_INVALID' });
  });

  it.each([
    ['frames of another size than the model takes', image(7)],
    ['more tokens than the model takes', text(5)[0]],
    [
      'no room beside special tokens',
      { ...text('n')[0], preprocess: { ...text('n')[0].preprocess, maxTokens: 2 } as never },
    ],
  ])('refuses a contract that makes %s', async (_, input) => {
    const opening = openPreparer({ inputs: [input], tokenizer: TOKENIZER });
    await expect(opening).rejects.toMatchObject({ code: 'INPUTS_INVALID' });
  });

  it('stops when it is told to', async () => {
    const preparer = await openPreparer({ inputs: [image(8)], tokenizer: null });
    await expect(
      preparer.prepare({ image: { path: IMAGE_FILE } }, AbortSignal.abort(new Error('enough'))),
    ).rejects.toThrow('enough');
  });
});
