import { readdirSync, readFileSync } from 'node:fs';
import { Tokenizer } from '@huggingface/tokenizers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mergeByNumbers } from '../../../src/core/media/text/merges.js';
import { wordEncoder } from '../../../src/core/media/text/words.js';
import { PROJECT } from '../../helpers/cli.js';

const FOLDER = `${PROJECT}tests/golden/media/tokenizers/`;
const SECTIONS = { added_tokens: [], normalizer: null, pre_tokenizer: null, post_processor: null };

const word = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      ...'the a fox jumped over 42 1234567 naïve 狐の写真 🦊 aaaaaaaa abababab ... \n\n \t'.split(' '),
    ),
  },
  { weight: 1, arbitrary: fc.constantFrom('[SEP]', '[UNK]', '</s>', '<unk>', '<|endoftext|>') },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 12 }) },
);
const text = fc
  .tuple(fc.array(word, { maxLength: 20 }), fc.constantFrom(' ', '', '  '))
  .map(([all, by]) => all.join(by));

describe.each(readdirSync(FOLDER))('words of %s', (file) => {
  it('have the ids that the library gives a text, whatever was looked up before', () => {
    const json = { ...SECTIONS, ...JSON.parse(readFileSync(FOLDER + file, 'utf8')), decoder: null };
    const library = new Tokenizer(json, {});
    const ours = new Tokenizer(json, {});
    if (json.model.type === 'BPE') mergeByNumbers(ours);
    const encode = wordEncoder(ours);
    fc.assert(
      fc.property(text, (each) => {
        expect(encode(each)).toEqual(library.encode(each, { add_special_tokens: false }).ids);
      }),
      { numRuns: 300, seed: 7 },
    );
  });
});

describe('mergeByNumbers', () => {
  const bpe = (merges: string[][], vocab: string[]): { bpe(word: string): string[] } => {
    const model = { type: 'BPE', vocab: Object.fromEntries(vocab.map((token, id) => [token, id])), merges };
    const tokenizer = new Tokenizer({ ...SECTIONS, model, decoder: null } as never, {});
    mergeByNumbers(tokenizer);
    return tokenizer.model as never;
  };

  it('takes the lowest rank first, of equal ones the leftmost', () => {
    const merges = [['b', 'c'], ['a', 'a'], ['a', 'bc']]; // biome-ignore format: one a rank
    const model = bpe(merges, ['a', 'b', 'c', 'aa', 'bc', 'abc']);
    expect(model.bpe('abc')).toEqual(['abc']);
    expect(model.bpe('aaa')).toEqual(['aa', 'a']);
    expect(model.bpe('aabc')).toEqual(['aa', 'bc']);
    expect(model.bpe('abx')).toEqual(['a', 'b', 'x']);
    expect(model.bpe('')).toEqual([]);
  });
});
