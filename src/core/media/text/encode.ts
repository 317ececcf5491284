import { LIMITS } from '../../limits.js';
import type { Preprocess } from '../../onnx/manifest.js';
import { invalidMedia } from '../refusal.js';
import type { TextTokenizer } from './tokenizer.js';

type TextContract = Extract<Preprocess, { kind: 'text' }>;

export interface EncodedText {
  readonly ids: readonly number[];
  /** Whether the end of the text was cut off. */
  readonly truncated: boolean;
}

/** What errors call a text; it has no file. */
const NAME = 'text';
const HALF_PAIR = /\p{Surrogate}/u;

/**
 * Token ids of a text, at most `maxTokens` of them: its end is cut off, the special tokens after it stay (Hugging Face's
 * truncation `longest_first` on the right).
 * @throws HpsError MEDIA_INVALID for a text without tokens, one that is not well-formed Unicode, or an id beyond the vocabulary
 */
export function encodeText(text: string, contract: TextContract, tokenizer: TextTokenizer): EncodedText {
  if (HALF_PAIR.test(text)) {
    throw invalidMedia(NAME, 'holds half a surrogate pair', 'Write the text as UTF-8.');
  }
  const read = cutText(text, LIMITS.textCharacters);
  const { prefix, suffix } = contract.specialTokens ? tokenizer : { prefix: [], suffix: [] };
  const room = contract.maxTokens - prefix.length - suffix.length;
  const body = tokenizer.encode(read);
  const ids = [...prefix, ...body.slice(0, room), ...suffix];
  if (ids.length === 0) throw invalidMedia(NAME, 'has no tokens', 'Give a text that is not empty.');
  assertVocabulary(ids, contract.vocabSize);
  return { ids, truncated: read.length < text.length || body.length > room };
}

/** The first `length` UTF-16 units, or one fewer where a surrogate pair would be cut. */
function cutText(text: string, length: number): string {
  const cut = text.slice(0, length);
  return HALF_PAIR.test(cut) ? cut.slice(0, -1) : cut;
}

function assertVocabulary(ids: readonly number[], vocabSize: number): void {
  const beyond = ids.find((id) => !(id < vocabSize));
  if (beyond === undefined) return;
  throw invalidMedia(
    NAME,
    `its tokenizer gives token ${beyond}, the model has ${vocabSize}`,
    'Export the model with the tokenizer it was trained with.',
  );
}
