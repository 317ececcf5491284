import { describe, expect, it } from 'vitest';
import { openTokenizer } from '../../../src/core/media/text/tokenizer.js';
import { tokenizerFault } from '../../../src/core/onnx/tokenizer-check.js';
import { byteLevelTokenizer, parseTokenizer } from '../../../src/core/onnx/tokenizer-file.js';

type Json = Record<string, unknown>;
// biome-ignore lint/suspicious/noExplicitAny: parts of a JSON document, at will
const changed = (change: (root: any) => void): Json => {
  const root = JSON.parse(byteLevelTokenizer());
  change(root);
  return root;
};

describe('tokenizerFault', () => {
  it('finds none in a good tokenizer.json', () => {
    expect(tokenizerFault(JSON.parse(byteLevelTokenizer()))).toBeNull();
  });

  it.each<readonly [string, Json | unknown[], RegExp]>([
    ['no object', [], /model section/],
    ['an id that is no whole number', changed((root) => (root.model.vocab.a = 1.5)), /model\.vocab\.a/],
    ['a negative id', changed((root) => (root.added_tokens[0].id = -1)), /added_tokens\.0\.id/],
    ['an id beyond all vocabularies', changed((root) => (root.added_tokens[0].id = 2 ** 40)), /added_tokens\.0\.id/],
    ['a token without text', changed((root) => (root.added_tokens[0].content = '')), /added_tokens\.0\.content/],
    ['a template that is no list', changed((root) => (root.post_processor.single = 7)), /post_processor\.single/],
    [
      'a template without a name',
      changed((root) => (root.post_processor.single[0] = { SpecialToken: {} })),
      /single\.0/,
    ],
    ['a template without its pair', changed((root) => delete root.post_processor.pair), /`pair`/],
    ['a normalizer that is a number', changed((root) => (root.normalizer = 3)), /normalizer/],
    ['a pattern that is none', changed((root) => (root.pre_tokenizer = { type: 'Split', pattern: {} })), /pattern/],
    ['a length of nothing', changed((root) => (root.pre_tokenizer = { type: 'FixedLength', length: 0 })), /length/],
    ['a merge of one token', changed((root) => (root.model.merges = ['ab'])), /merges\.0/],
    ['a padding that is a word', changed((root) => (root.padding = { pad_id: '1' })), /padding\.pad_id/],
    ['an unknown token beyond the vocabulary', { model: { type: 'Unigram', vocab: [['a', 0]], unk_id: 1 } }, /unk_id/],
    ['a score that is a word', { model: { type: 'Unigram', vocab: [['a', 'b']] } }, /vocab\.0/],
  ])('finds %s', (_, root, fault) => {
    expect(tokenizerFault(root as never)).toMatch(fault);
    expect(() => parseTokenizer(Buffer.from(JSON.stringify(root)), 'x.json')).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID' }),
    );
  });

  it('holds a text to a time, whatever its pattern', async () => {
    const pattern = { Regex: '(?:a+)+$' };
    const root = changed((json) => (json.normalizer = { type: 'Replace', pattern, content: '' }));
    const tokenizer = await openTokenizer(JSON.stringify(root));
    expect(() => tokenizer.encode(`${'a'.repeat(60)}!`)).toThrow(expect.objectContaining({ code: 'MEDIA_INVALID' }));
    expect(tokenizer.encode('!').length).toBe(1);
  });
});
