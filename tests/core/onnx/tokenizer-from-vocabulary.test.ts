import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { filesBeside } from '../../../src/core/checkpoint/beside.js';
import { openTokenizer } from '../../../src/core/media/text/tokenizer.js';
import { tokenizerFromVocabulary } from '../../../src/core/onnx/tokenizer-from-vocabulary.js';
import { FAMILY_FIXTURES } from '../../helpers/conformance.js';
import { tempFolder } from '../../helpers/temp.js';

const TEXTS = [
  'A cat, on 2 mats!',
  "it's the naïve café – 東京 🦊 <|endoftext|> <|style|> [SEP]",
  '  Two\n lines ',
  'ÅNGSTRÖM x²',
];

/** Folders with lists of words and the tokenizer.json that transformers made of them. */
const folders = FAMILY_FIXTURES.filter((folder) => {
  const beside = filesBeside(folder);
  return beside.path('tokenizer.json') && (beside.path('vocab.json') || beside.path('vocab.txt'));
});

describe('tokenizerFromVocabulary', () => {
  it.each(folders)('makes what transformers makes of the words of %s', async (folder) => {
    const made = tokenizerFromVocabulary(filesBeside(folder))!;
    const [ours, theirs] = [
      await openTokenizer(made.json),
      await openTokenizer(readFileSync(join(folder, 'tokenizer.json'), 'utf8')),
    ];
    expect({ prefix: ours.prefix, suffix: ours.suffix, pair: ours.pair }).toEqual({
      prefix: theirs.prefix,
      suffix: theirs.suffix,
      pair: theirs.pair,
    });
    for (const text of TEXTS) expect(ours.encode(text), text).toEqual(theirs.encode(text));
  });

  it('has nothing to make one of in an empty folder', () => {
    expect(tokenizerFromVocabulary(filesBeside(tempFolder()))).toBeNull();
  });
});
