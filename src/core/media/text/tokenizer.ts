import type { Tokenizer } from '@huggingface/tokenizers';
import { isJsonObject, type JsonObject, type JsonValue, parseJson } from '../../bytes/json.js';
import { HpsError } from '../../errors.js';
import { invalidMedia } from '../refusal.js';

/** Text to token ids, as the Hugging Face tokenizers library does it with `encode_special_tokens`. */
export interface TextTokenizer {
  /** Ids that the tokenizer's template puts before and after a text. */
  readonly prefix: readonly number[];
  readonly suffix: readonly number[];
  /** Ids of the text alone. A special token written in it (`[SEP]`, `<s>`) is ordinary text. */
  encode(text: string): number[];
}

/** What errors call the tokenizer.json inside a model. */
const NAME = 'tokenizer.json';
const MODELS: readonly (JsonValue | undefined)[] = ['WordPiece', 'BPE', 'Unigram'];

/**
 * Reads a tokenizer.json: WordPiece, BPE or Unigram with the parts that @huggingface/tokenizers knows.
 * @throws HpsError ONNX_CORRUPT for what is no tokenizer.json, ONNX_UNSUPPORTED for parts that are not known
 */
export async function openTokenizer(json: string): Promise<TextTokenizer> {
  const root = parseJson(json, { name: NAME, code: 'ONNX_CORRUPT' });
  if (!isJsonObject(root) || !isJsonObject(root.model)) {
    throw new HpsError('ONNX_CORRUPT', `${NAME}: has no model section`, { hint: 'Export the model again.' });
  }
  // The library would take any other kind for the one it resembles.
  if (!MODELS.includes(root.model.type)) throw unsupported(`a model of type ${String(root.model.type)}`);
  if (root.model.type === 'Unigram' && root.model.byte_fallback === true)
    throw unsupported('Unigram with byte fallback');
  const { Tokenizer } = await import('@huggingface/tokenizers');
  let tokenizer: Tokenizer;
  try {
    tokenizer = new Tokenizer({ ...SECTIONS, ...hideSpecialTokens(root, root.model) }, {});
  } catch (cause) {
    throw unsupported(cause instanceof Error ? cause.message : String(cause), cause);
  }
  return {
    ...templateOf(tokenizer),
    encode(text) {
      try {
        return tokenizer.encode(text, { add_special_tokens: false }).ids;
      } catch (cause) {
        const rule = `cannot be tokenized: ${cause instanceof Error ? cause.message : String(cause)}`;
        throw invalidMedia('text', rule, 'Shorten the text.', cause);
      }
    },
  };
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
function hideSpecialTokens(root: JsonObject, model: JsonObject): JsonObject {
  const hidden = new Set(specialTokens(root));
  const rename = (token: JsonValue): JsonValue =>
    typeof token === 'string' && hidden.has(token) ? UNWRITABLE + token : token;
  const addedTokens = Array.isArray(root.added_tokens) ? root.added_tokens : [];
  return {
    ...root,
    added_tokens: addedTokens.map((added) =>
      isJsonObject(added) && added.special === true ? { ...added, content: rename(added.content) } : added,
    ),
    post_processor: renameDeep(root.post_processor ?? null, rename),
    model: { ...model, vocab: renameVocabulary(model.vocab, rename), unk_token: rename(model.unk_token ?? null) },
  };
}

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
  const idOf = (token: string): number => {
    const id = tokenizer.token_to_id(token);
    if (id === undefined) throw unsupported(`a template with ${token.replace(UNWRITABLE, '')}, which has no id,`);
    return id;
  };
  return { prefix: tokens.slice(0, at).map(idOf), suffix: tokens.slice(at + 1).map(idOf) };
}
