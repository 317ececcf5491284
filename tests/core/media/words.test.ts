import { readdirSync, readFileSync } from 'node:fs';
import { Tokenizer } from '@huggingface/tokenizers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mergesByNumbers } from '../../../src/core/media/text/merges.js';
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
    const encode = wordEncoder(new Tokenizer(json, {}));
    fc.assert(
      fc.property(text, (each) => {
        expect(encode(each)).toEqual(library.encode(each, { add_special_tokens: false }).ids);
      }),
      { numRuns: 300, seed: 7 },
    );
  });
});

describe('mergesByNumbers', () => {
  const bpe = (vocab: string[], merges: string[][], more = {}) => {
    const model = { type: 'BPE', vocab: Object.fromEntries(vocab.map((token, id) => [token, id])), merges, ...more };
    const merged = mergesByNumbers(new Tokenizer({ ...SECTIONS, added_tokens: [], model, decoder: null } as never, {}));
    return merged && ((word: string) => merged.ofWord(word)?.map((id) => vocab[id]) ?? null);
  };
  const merges = [
    ['b', 'c'],
    ['a', 'a'],
    ['a', 'bc'],
  ];

  it('takes the lowest rank first, of equal ones the leftmost', () => {
    const tokens = bpe(['a', 'b', 'c', 'aa', 'bc', 'abc'], merges)!;
    expect(tokens('abc')).toEqual(['abc']);
    expect(tokens('aaa')).toEqual(['aa', 'a']);
    expect(tokens('aabc')).toEqual(['aa', 'bc']);
    expect(tokens('')).toEqual([]);
  });

  it('leaves to the library what it has no symbol for, what is long, and a vocabulary with a gap', () => {
    const tokens = bpe(['a', 'b', 'c', 'aa', 'bc', 'abc'], merges)!;
    expect(tokens('abx')).toBeNull();
    expect(tokens('a'.repeat(513))).toBeNull();
    expect(bpe(['a', 'b', 'c', 'bc'], merges)).toBeNull();
  });

  it('takes a word of the vocabulary whole where the model says so', () => {
    expect(bpe(['a', 'b', 'ab'], [], { ignore_merges: true })!('ab')).toEqual(['ab']);
    expect(bpe(['a', 'b', 'ab'], [])!('ab')).toEqual(['a', 'b']);
  });
});
