import { LIMITS } from '../../limits.js';
import type { Preprocess } from '../../onnx/manifest.js';
import type { ChatMessage } from '../item.js';
import { invalidMedia } from '../refusal.js';
import type { ChatTemplate } from './chat.js';
import type { PromptTemplate } from './prompt.js';
import type { PairTemplate, TextTokenizer } from './tokenizer.js';

type TextContract = Extract<Preprocess, { kind: 'text' }>;

export interface EncodedText {
  readonly ids: readonly number[];
  /** Which of two texts each token belongs to; absent where all are 0, as those of one text. */
  readonly types?: readonly number[];
  /** Whether the end of the text was cut off. */
  readonly truncated: boolean;
}

/** What errors call a text; it has no file. */
const NAME = 'text';
const NO_TOKENS: Pick<TextTokenizer, 'prefix' | 'suffix'> = { prefix: [], suffix: [] };
const HALF_PAIR = /\p{Surrogate}/u;

/**
 * Token ids of a text, at most `maxTokens` of them: its end is cut off, the special tokens after it stay (Hugging Face's
 * truncation `longest_first` on the right).
 * @throws HpsError MEDIA_INVALID for a text without tokens, one that is not well-formed Unicode, or an id beyond the vocabulary
 */
export function encodeText(text: string, contract: TextContract, tokenizer: TextTokenizer): EncodedText {
  const { read, body } = bodyOf(text, tokenizer);
  const { prefix, suffix } = contract.specialTokens ? tokenizer : NO_TOKENS;
  const room = contract.maxTokens - prefix.length - suffix.length;
  const isWhole = body.length <= room;
  const ids = prefix.concat(isWhole ? body : body.slice(0, room), suffix);
  if (ids.length === 0) throw invalidMedia(NAME, 'has no tokens', 'Give a text that is not empty.');
  assertVocabulary(ids, contract.vocabSize);
  return { ids, truncated: read.length < text.length || !isWhole };
}

/**
 * Token ids of two texts in a row, by the tokenizer's template for two. Where they are too long together the longer is cut, and where
 * both are longer than half, both to half, the second one token longer where the room is odd (tokenizers, LongestFirst).
 * @throws HpsError MEDIA_INVALID as `encodeText`
 */
export function encodePair(
  [first, second]: readonly [string, string],
  contract: TextContract,
  tokenizer: TextTokenizer,
  { prefix, between, suffix, types }: PairTemplate,
): EncodedText {
  const [a, b] = [bodyOf(first, tokenizer), bodyOf(second, tokenizer)];
  const room = contract.maxTokens - prefix.length - between.length - suffix.length;
  const [keptA, keptB] = longestFirst(a.body.length, b.body.length, room);
  const [idsA, idsB] = [a.body.slice(0, keptA), b.body.slice(0, keptB)];
  const ids = [...prefix, ...idsA, ...between, ...idsB, ...suffix];
  assertVocabulary(ids, contract.vocabSize);
  const cut = (text: string, { read, body }: Body, kept: number): boolean =>
    read.length < text.length || body.length > kept;
  return {
    ids,
    types: [...types[0], ...idsA.map(() => types[1]), ...types[2], ...idsB.map(() => types[3]), ...types[4]],
    truncated: cut(first, a, keptA) || cut(second, b, keptB),
  };
}

/**
 * Token ids of a conversation in its chat template. Special tokens of the template are tokens; those that a message spells are
 * ordinary text. A first token that the tokenizer adds itself is not written twice, as the recipes of published reward models have it.
 * A conversation that is too long is refused: without its end it would be another.
 * @throws HpsError MEDIA_INVALID
 */
export function encodeConversation(
  messages: readonly ChatMessage[],
  chat: ChatTemplate,
  contract: TextContract,
  tokenizer: TextTokenizer,
): EncodedText {
  for (const { content } of messages) {
    if (HALF_PAIR.test(content))
      throw invalidMedia('conversation', 'holds half a surrogate pair', 'Write it as UTF-8.');
  }
  const pieces = chat.render(messages);
  const [first] = pieces;
  const begins = contract.template?.kind === 'chat' ? contract.template.variables.bos_token : undefined;
  const body = tokenizer.encodePieces(first?.special && first.text === begins ? pieces.slice(1) : pieces);
  const { prefix, suffix } = contract.specialTokens ? tokenizer : NO_TOKENS;
  const ids = [...prefix, ...body, ...suffix];
  if (ids.length > contract.maxTokens) {
    const rule = `has ${ids.length} tokens, the model reads at most ${contract.maxTokens}`;
    throw invalidMedia('conversation', rule, 'Shorten the conversation.');
  }
  assertVocabulary(ids, contract.vocabSize);
  return { ids, truncated: false };
}

/**
 * Token ids of a prompt in its template, the picture's token once for each of its places. One that is too long is refused: what
 * the model is read at stands behind it.
 * @param places - tokens that the picture beside it has; undefined for a text alone
 * @throws HpsError MEDIA_INVALID
 */
export function encodePrompt(
  text: string,
  places: number | undefined,
  { template, contract, tokenizer }: { template: PromptTemplate; contract: TextContract; tokenizer: TextTokenizer },
): EncodedText {
  assertUnicode(text);
  const body = tokenizer.encodePieces(template.render(text));
  const { prefix, suffix } = contract.specialTokens ? tokenizer : NO_TOKENS;
  const token = contract.picture?.token;
  const repeat = (id: number): number[] => (id === token ? new Array<number>(places ?? 1).fill(id) : [id]);
  const ids = [...prefix, ...body, ...suffix].flatMap(repeat);
  if (ids.length > contract.maxTokens) {
    const rule = `makes ${ids.length} tokens with its template and its picture, the model reads at most ${contract.maxTokens}`;
    throw invalidMedia(NAME, rule, 'Shorten the text.');
  }
  assertVocabulary(ids, contract.vocabSize);
  return { ids, truncated: false };
}

/** Tokens that are kept of each of two texts, `room` together. */
function longestFirst(first: number, second: number, room: number): [number, number] {
  if (first + second <= room) return [first, second];
  const shorter = Math.min(first, second);
  const half = Math.floor(room / 2);
  const [short, long] = shorter > half ? [half, room - half] : [shorter, room - shorter];
  return first <= second ? [short, long] : [long, short];
}

interface Body {
  /** The text as far as it was read. */
  readonly read: string;
  readonly body: readonly number[];
}

/** @throws HpsError MEDIA_INVALID for a text that is not well-formed Unicode */
export function assertUnicode(text: string): void {
  if (HALF_PAIR.test(text)) throw invalidMedia(NAME, 'holds half a surrogate pair', 'Write the text as UTF-8.');
}

function bodyOf(text: string, tokenizer: TextTokenizer): Body {
  assertUnicode(text);
  const read = cutText(text, LIMITS.textCharacters);
  return { read, body: tokenizer.encode(read) };
}

/** The first `length` UTF-16 units, or one fewer where a surrogate pair would be cut. */
function cutText(text: string, length: number): string {
  if (text.length <= length) return text;
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
