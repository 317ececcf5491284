import { createContext, Script } from 'node:vm';
import type { Tokenizer } from '@huggingface/tokenizers';
import { isJsonObject, type JsonObject, type JsonValue, parseJson } from '../../bytes/json.js';
import { HpsError } from '../../errors.js';
import { LIMITS } from '../../limits.js';
import { tokenizerFault } from '../../onnx/tokenizer-check.js';
import type { Tokenizer as TokenizerFile } from '../../onnx/tokenizer-file.js';
import { invalidMedia } from '../refusal.js';
import { wordEncoder } from './words.js';

/** Text to token ids, as the Hugging Face tokenizers library does it with `encode_special_tokens`. */
export interface TextTokenizer {
  /** Ids that the tokenizer's template puts before and after a text. */
  readonly prefix: readonly number[];
  readonly suffix: readonly number[];
  /** The template of two texts in a row; null where the tokenizer has none. */
  readonly pair: PairTemplate | null;
  /** Special tokens that a text cannot write. */
  readonly specials: readonly string[];
  /** Ids of the text alone. A special token written in it (`[SEP]`, `<s>`) is ordinary text. */
  encode(text: string): number[];
  /** Ids of pieces in a row; those that are `special` are special tokens, whatever the others spell. */
  encodePieces(pieces: readonly { readonly text: string; readonly special: boolean }[]): number[];
  /** What the vocabulary calls an id, and whether it is a special token; undefined where it has no such id. */
  tokenOf(id: number): { readonly token: string; readonly special: boolean } | undefined;
}

/** What stands around two texts in a row, and which text each token is counted to. */
export interface PairTemplate {
  readonly prefix: readonly number[];
  readonly between: readonly number[];
  readonly suffix: readonly number[];
  /** Types of the tokens of prefix, first text, between, second text and suffix. */
  readonly types: readonly [readonly number[], number, readonly number[], number, readonly number[]];
}

export interface TokenizerOptions {
  /** Special tokens that a text may write. */
  readonly addedTokens?: readonly string[];
}

/** What errors call the tokenizer.json inside a model. */
const NAME = 'tokenizer.json';
const MODELS: readonly (JsonValue | undefined)[] = ['WordPiece', 'BPE', 'Unigram'];

/**
 * Reads a tokenizer.json: WordPiece, BPE or Unigram with the parts that @huggingface/tokenizers knows.
 * @throws HpsError ONNX_CORRUPT for what is no tokenizer.json, ONNX_UNSUPPORTED for parts that are not known
 */
export async function openTokenizer(json: string, { addedTokens = [] }: TokenizerOptions = {}): Promise<TextTokenizer> {
  const document = parseJson(json, { name: NAME, code: 'ONNX_CORRUPT' });
  const fault = tokenizerFault(document);
  if (fault !== null)
    throw new HpsError('ONNX_CORRUPT', `${NAME} in the model: ${fault}`, { hint: 'Export the model again.' });
  const root = document as JsonObject;
  const model = root.model as JsonObject;
  // The library would take any other kind for the one it resembles.
  if (!MODELS.includes(model.type)) throw unsupported(`a model of type ${String(model.type)}`);
  if (model.type === 'Unigram' && model.byte_fallback === true) throw unsupported('Unigram with byte fallback');
  const { Tokenizer } = await import('@huggingface/tokenizers');
  let tokenizer: Tokenizer;
  try {
    // Nothing is decoded here: a decoder could only be wrong.
    const sections = { ...SECTIONS, ...hideSpecialTokens(root, model, addedTokens), decoder: null };
    tokenizer = new Tokenizer(sections, {});
  } catch (cause) {
    throw unsupported(cause instanceof Error ? cause.message : String(cause), cause);
  }
  const known = hasKnownPatterns(root);
  const wordIds = wordEncoder(tokenizer);
  const encode = (text: string): number[] => {
    const compute = (): number[] => wordIds(text);
    let ids: number[];
    try {
      ids = known && text.length <= SHORT_CHARACTERS ? compute() : withinTime(text.length, compute);
    } catch (cause) {
      const rule = `cannot be tokenized: ${cause instanceof Error ? cause.message : String(cause)}`;
      throw invalidMedia('text', rule, 'Shorten the text.', cause);
    }
    if (!ids.every(Number.isSafeInteger))
      throw invalidMedia('text', 'has a part for which the tokenizer has no token', 'Use the tokenizer of the model.');
    return ids;
  };
  const specials = new Set<JsonValue>(specialTokens(root));
  return {
    ...templateOf(tokenizer),
    pair: pairTemplateOf(tokenizer),
    specials: hiddenTokens(root, addedTokens),
    encode,
    encodePieces: (pieces) => encode(pieces.map(({ text, special }) => (special ? UNWRITABLE + text : text)).join('')),
    tokenOf(id) {
      const token = tokenizer.id_to_token(id);
      if (token === undefined) return undefined;
      const hidden = token.startsWith(UNWRITABLE);
      return { token: hidden ? token.slice(UNWRITABLE.length) : token, special: hidden || specials.has(token) };
    },
  };
}

/** Patterns of published tokenizers (Qwen2, Llama 3, CLIP, DeBERTa): none takes more than the square of a text's length. */
const KNOWN_PATTERNS: ReadonlySet<JsonValue> = new Set([
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+",
  '\\s+',
  ' {2,}',
]);

/** A text that is tokenized in milliseconds by whatever brings no pattern of its own: ten times as long as most. */
const SHORT_CHARACTERS = 2000;

/** Whether no pattern of a tokenizer.json is one that nobody has looked at. */
function hasKnownPatterns({ normalizer = null, pre_tokenizer = null }: JsonObject): boolean {
  const isKnown = (value: JsonValue): boolean =>
    Array.isArray(value)
      ? value.every(isKnown)
      : !isJsonObject(value) ||
        Object.entries(value).every(([key, member]) =>
          key === 'Regex' ? KNOWN_PATTERNS.has(member) : isKnown(member),
        );
  return isKnown(normalizer) && isKnown(pre_tokenizer);
}

const LIMITED = { context: createContext(), call: new Script('work()') };

/**
 * Runs what a tokenizer.json decides the length of: its patterns may be such that a short text takes years. The thread that watches
 * the time is started for each call, and takes ten times as long as a short text.
 */
function withinTime<T>(characters: number, work: () => T): T {
  const { base, perCharacter } = LIMITS.tokenizeMs;
  const timeout = Math.ceil(base + perCharacter * characters);
  LIMITED.context.work = work;
  try {
    return LIMITED.call.runInContext(LIMITED.context, { timeout }) as T;
  } finally {
    LIMITED.context.work = undefined;
  }
}

/** What is encoded to see that a tokenizer works: words, figures, signs, other scripts, and a character of two units. */
const PROBE = 'A fox, 42 pictures — ein Füchschen; 狐の写真 🦊 [SEP] </s>\n\tend';

/**
 * Sees whether a tokenizer works, by the template it has and a probe text.
 * @throws HpsError CONFIG_INVALID for one that does not, ONNX_UNSUPPORTED for parts that are not known
 */
export async function assertTokenizes({ name, json, additional }: TokenizerFile): Promise<void> {
  try {
    (await openTokenizer(json, { addedTokens: additional })).encode(PROBE);
  } catch (cause) {
    if (!(cause instanceof HpsError)) throw cause;
    const code = cause.code === 'ONNX_UNSUPPORTED' ? cause.code : 'CONFIG_INVALID';
    const rule = cause.message.replace(/^(tokenizer\.json|text):? /, '');
    throw new HpsError(code, `${name}: ${rule}`, { hint: cause.hint, details: { file: name }, cause });
  }
}

/** Sections that tokenizer.json may leave out. */
const SECTIONS = { added_tokens: [], normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null };

function unsupported(what: string, cause?: unknown): HpsError {
  return new HpsError('ONNX_UNSUPPORTED', `${NAME}: ${what} is not supported`, {
    hint: 'Tokenize elsewhere and give token ids, or save the tokenizer as WordPiece, BPE or Unigram.',
    cause,
  });
}

/** Half a surrogate pair: no well-formed text holds it, so no text spells a token that begins with it. */
const UNWRITABLE = '\ud800';

/**
 * The same tokenizer with special tokens renamed to what no text can spell. Leaving them out of the list of added tokens
 * would not do: a Unigram or word-based vocabulary holds their names too, and would find them in the text.
 */
function hideSpecialTokens(root: JsonObject, model: JsonObject, written: readonly string[]): JsonObject {
  const hidden = new Set<JsonValue>(hiddenTokens(root, written));
  const rename = (token: JsonValue): JsonValue =>
    typeof token === 'string' && hidden.has(token) ? UNWRITABLE + token : token;
  // A single character of the vocabulary is a letter of its words too, even where it fills up a batch (open_clip's `!`).
  const renameWord = (token: JsonValue): JsonValue =>
    typeof token === 'string' && [...token].length === 1 ? token : rename(token);
  const addedTokens = Array.isArray(root.added_tokens) ? root.added_tokens : [];
  return {
    ...root,
    added_tokens: addedTokens.map((added) =>
      isJsonObject(added) && added.special === true ? { ...added, content: rename(added.content) } : added,
    ),
    post_processor: renameDeep(root.post_processor ?? null, rename),
    model: {
      ...model,
      vocab: renameVocabulary(model.vocab, renameWord),
      unk_token: renameWord(model.unk_token ?? null),
    },
  };
}

const hiddenTokens = (root: JsonObject, written: readonly string[]): string[] => [
  ...new Set(
    [...specialTokens(root)].filter((token): token is string => typeof token === 'string' && !written.includes(token)),
  ),
];

function* specialTokens({ added_tokens, post_processor }: JsonObject): Generator<JsonValue> {
  for (const added of Array.isArray(added_tokens) ? added_tokens : [])
    if (isJsonObject(added) && added.special === true) yield added.content;
  if (!isJsonObject(post_processor)) return;
  if (isJsonObject(post_processor.special_tokens)) yield* Object.keys(post_processor.special_tokens);
}

/** `{token: id}` (WordPiece, BPE) or `[[token, score], …]` (Unigram). */
function renameVocabulary(vocab: JsonValue, rename: (token: JsonValue) => JsonValue): JsonValue {
  if (Array.isArray(vocab))
    return vocab.map((entry) => (Array.isArray(entry) ? [rename(entry[0]), ...entry.slice(1)] : entry));
  if (!isJsonObject(vocab)) return vocab;
  return Object.fromEntries(Object.entries(vocab).map(([token, id]) => [rename(token), id]));
}

function renameDeep(value: JsonValue, rename: (token: JsonValue) => JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map((item) => renameDeep(item, rename));
  if (!isJsonObject(value)) return rename(value);
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [rename(key) as string, renameDeep(item, rename)]),
  );
}

/** What the post-processor puts around a text, seen by letting it work on a token that nothing else has. */
function templateOf(tokenizer: Tokenizer): Pick<TextTokenizer, 'prefix' | 'suffix'> {
  const text = `${UNWRITABLE}text`;
  const tokens = tokenizer.post_processor?.([text], null, true).tokens ?? [text];
  const at = tokens.indexOf(text);
  if (at < 0 || tokens.lastIndexOf(text) !== at) throw unsupported('a template that has the text not exactly once');
  const idOf = idsOf(tokenizer);
  return { prefix: tokens.slice(0, at).map(idOf), suffix: tokens.slice(at + 1).map(idOf) };
}

const idsOf =
  (tokenizer: Tokenizer) =>
  (token: string): number => {
    const id = tokenizer.token_to_id(token);
    if (id === undefined) throw unsupported(`a template with ${token.replace(UNWRITABLE, '')}, which has no id,`);
    return id;
  };

/** The same of two texts, each seen by a token of its own. */
function pairTemplateOf(tokenizer: Tokenizer): PairTemplate | null {
  const [first, second] = ['first', 'second'].map((text) => `${UNWRITABLE}${text}`);
  const processed = tokenizer.post_processor?.([first], [second], true);
  const tokens = processed?.tokens ?? [];
  const [a, b] = [tokens.indexOf(first), tokens.indexOf(second)];
  if (a < 0 || b < a) return null;
  const types = processed?.token_type_ids ?? tokens.map(() => 0);
  const idOf = idsOf(tokenizer);
  return {
    prefix: tokens.slice(0, a).map(idOf),
    between: tokens.slice(a + 1, b).map(idOf),
    suffix: tokens.slice(b + 1).map(idOf),
    types: [types.slice(0, a), types[a], types.slice(a + 1, b), types[b], types.slice(b + 1)],
  };
}
