import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../../src/core/limits.js';
import { encodeText } from '../../../src/core/media/text/encode.js';
import { openTokenizer } from '../../../src/core/media/text/tokenizer.js';
import { TOKENIZER_KEY } from '../../../src/core/onnx/manifest.js';
import { byteLevelTokenizer } from '../../../src/core/onnx/tokenizer-file.js';
import { PROJECT } from '../../helpers/cli.js';

// Vectors: Hugging Face tokenizers 0.23; tests/golden/media/make_text.py
const GOLDEN = `${PROJECT}tests/golden/media/`;
const vectors: {
  maxTokens: number;
  written: string[];
  encoded: Record<string, { text: string; ids: number[]; truncated: boolean }[]>;
} = JSON.parse(readFileSync(`${GOLDEN}vectors-text.json`, 'utf8'));

const json = (name: string): string => readFileSync(`${GOLDEN}tokenizers/${name}.json`, 'utf8');
const contract = (maxTokens: number, vocabSize = 1000) => ({
  kind: 'text' as const,
  maxTokens,
  tokenizer: TOKENIZER_KEY as typeof TOKENIZER_KEY,
  vocabSize,
  pad: 0,
  specialTokens: true,
});

describe.each(Object.keys(vectors.encoded))('encodeText by the %s tokenizer', (name) => {
  it.each(vectors.encoded[name])('gives the ids of the reference for $text', async ({ text, ids, truncated }) => {
    const encoded = encodeText(text, contract(vectors.maxTokens), await openTokenizer(json(name)));
    expect(encoded).toEqual({ ids, truncated });
  });

  it.each(vectors.written)('takes special tokens written in a text as text: %s', async (text) => {
    const special = new Set<number>(
      JSON.parse(json(name)).added_tokens.flatMap(({ id, content }: { id: number; content: string }) =>
        /unk/i.test(content) ? [] : [id],
      ),
    );
    const tokenizer = await openTokenizer(json(name));
    const ids = tokenizer.encode(text);
    expect(ids.length).toBeGreaterThan(1);
    expect(ids.filter((id) => special.has(id))).toEqual([]);
  });

  it.each([
    ['combining marks', '\u0301'],
    ['emoji', '👩‍👩‍👧'],
    ['Hebrew', 'שלום '],
  ])('cuts ten million characters of %s, in a bounded time', async (_, piece) => {
    const text = piece.repeat(10_000_000 / piece.length);
    const tokenizer = await openTokenizer(json(name));
    const started = performance.now();
    const { ids, truncated } = encodeText(text, contract(16), tokenizer);
    expect(performance.now() - started).toBeLessThan(10_000); // some 0.3 s; without the cut it would be half a minute
    expect(truncated).toBe(true);
    expect(ids.length).toBeLessThanOrEqual(16);
  });
});

describe('encodeText', () => {
  it('keeps text before and after special tokens of a byte-level tokenizer', async () => {
    const tokenizer = await openTokenizer(byteLevelTokenizer());
    const bytes = (text: string): number[] => tokenizer.encode(text);
    expect(bytes('a[SEP]b')).toEqual([...'a[SEP]b'].flatMap(bytes));
  });

  it('cuts the text, not the special tokens after it, and says so', async () => {
    const tokenizer = await openTokenizer(json('word-piece'));
    const { ids, truncated } = encodeText('the dog the dog the dog', contract(5), tokenizer);
    expect(truncated).toBe(true);
    expect(ids).toHaveLength(5);
    expect([ids.at(0), ids.at(-1)]).toEqual([...tokenizer.prefix, ...tokenizer.suffix]);
  });

  it('does not cut a surrogate pair at the limit of characters', async () => {
    const tokenizer = await openTokenizer(json('byte-bpe'));
    const text = `${'a'.repeat(LIMITS.textCharacters - 1)}👩`;
    const { ids } = encodeText(text, contract(LIMITS.textCharacters * 2), tokenizer);
    expect(ids).toEqual([...tokenizer.encode('a'.repeat(LIMITS.textCharacters - 1)), ...tokenizer.suffix]);
  });

  it('leaves special tokens out where the contract does', async () => {
    const tokenizer = await openTokenizer(json('word-piece'));
    const { ids } = encodeText('the dog', { ...contract(5), specialTokens: false }, tokenizer);
    expect(ids).toEqual(tokenizer.encode('the dog'));
  });

  it.each([
    ['half a surrogate pair', 'a\ud800b', contract(8)],
    ['no tokens at all', '', { ...contract(8), specialTokens: false }],
    ['tokens beyond the vocabulary of the model', 'the dog', contract(8, 3)],
  ])('refuses %s', async (_, text, preprocess) => {
    const tokenizer = await openTokenizer(json('byte-bpe'));
    expect(() => encodeText(text, preprocess, tokenizer)).toThrow(expect.objectContaining({ code: 'MEDIA_INVALID' }));
  });
});

describe('openTokenizer refuses', () => {
  const changed = (change: object): string => JSON.stringify({ ...JSON.parse(json('unigram')), ...change });
  it.each([
    ['what is not JSON', 'nothing', 'ONNX_CORRUPT'],
    ['a document without a model', '{}', 'ONNX_CORRUPT'],
    ['a model of another kind', changed({ model: { type: 'WordLevel', vocab: { a: 0 } } }), 'ONNX_UNSUPPORTED'],
    ['an unknown normalizer', changed({ normalizer: { type: 'Rot13' } }), 'ONNX_UNSUPPORTED'],
    [
      'Unigram with byte fallback',
      changed({ model: { ...JSON.parse(json('unigram')).model, byte_fallback: true } }),
      'ONNX_UNSUPPORTED',
    ],
    [
      'a template that has the text twice',
      changed({
        post_processor: {
          type: 'TemplateProcessing',
          single: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
          pair: [],
          special_tokens: {},
        },
      }),
      'ONNX_UNSUPPORTED',
    ],
    [
      'a template with a token that has no id',
      changed({
        post_processor: {
          type: 'TemplateProcessing',
          single: [{ SpecialToken: { id: '<x>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
          pair: [],
          special_tokens: {},
        },
      }),
      'ONNX_UNSUPPORTED',
    ],
  ])('%s', async (_, tokenizer, code) => {
    await expect(openTokenizer(tokenizer)).rejects.toMatchObject({ code });
  });
});
