import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isJsonObject, type JsonValue, parseJson } from '../bytes/json.js';
import { type FilesBeside, filesBeside } from '../checkpoint/beside.js';
import { resolveModelFolder } from '../checkpoint/hf-folder.js';
import { readWhole } from '../documents/read-whole.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import type { ContractInput } from './manifest.js';
import { TOKENIZER_KEY } from './manifest-names.js';
import { tokenizerFault } from './tokenizer-check.js';
import { tokenizerFromVocabulary } from './tokenizer-from-vocabulary.js';

/** A Hugging Face tokenizer.json, as far as a release needs to know it. */
export interface Tokenizer {
  readonly name: string;
  /** The file as it is; it travels inside the model. */
  readonly json: string;
  /** Id that fills up a batch. */
  readonly pad: number;
  /** Whether a post-processor adds special tokens around a text. */
  readonly specialTokens: boolean;
  /** Highest id + 1. */
  readonly size: number;
  /** Additional special tokens: they have no role in a template, so that a text may write them where a model allows it. */
  readonly additional: readonly string[];
  /** Paths of the files it was read from. */
  readonly files: readonly string[];
}

export const TOKENIZER_FILE = 'tokenizer.json';
const PAD_NAMES = ['[PAD]', '<pad>', '<|endoftext|>'];

/**
 * The tokenizer in a checkpoint's folder, or in the folder that is one: its tokenizer.json, else one made of its lists of words.
 * @returns null where there is none
 */
export function tokenizerBeside(checkpoint: string): Tokenizer | null {
  const folder = dirname(resolveModelFolder(checkpoint));
  const path = join(folder, TOKENIZER_FILE);
  if (existsSync(path)) return readTokenizer(path);
  const beside = filesBeside(folder);
  const made = tokenizerFromVocabulary(beside);
  if (made === null) return null;
  const tokenizer = parseTokenizer(Buffer.from(made.json), made.name);
  return { ...tokenizer, additional: additionalTokens(beside), files: beside.read };
}

/** @throws HpsError FILE_NOT_FOUND, or CONFIG_INVALID for a file that is not a tokenizer.json */
export function readTokenizer(path: string): Tokenizer {
  const { name, bytes } = readWhole(path, { limit: LIMITS.jsonBytes, what: 'a tokenizer', hint: HINT });
  const beside = filesBeside(dirname(path));
  const additional = additionalTokens(beside);
  const files = [path, ...(additional.length > 0 ? beside.read : [])];
  return { ...parseTokenizer(bytes, name), additional, files };
}

/** Special tokens that the files beside a tokenizer list without a role. */
function additionalTokens(beside: FilesBeside): string[] {
  const lists = ['tokenizer_config.json', 'special_tokens_map.json'].map(
    (name) => beside.json(name)?.additional_special_tokens,
  );
  const contents = lists.flatMap((list) =>
    (Array.isArray(list) ? list : []).map((token) => (isJsonObject(token) ? token.content : token)),
  );
  return [...new Set(contents.filter((content) => typeof content === 'string'))];
}

/** A tokenizer.json without fault, as far as it is read here. */
interface TokenizerJson {
  readonly model: { readonly vocab: JsonValue };
  readonly added_tokens?: JsonValue;
  readonly padding?: { readonly pad_id?: number } | null;
  readonly post_processor?: JsonValue;
}

/** @throws HpsError CONFIG_INVALID for what is not a tokenizer.json, whole */
export function parseTokenizer(bytes: Uint8Array, name: string): Tokenizer {
  const root = parseJson(bytes, { name, maxBytes: LIMITS.jsonBytes, code: 'CONFIG_INVALID' });
  const fault = tokenizerFault(root);
  if (fault !== null) throw invalid(name, fault);
  const { model, added_tokens, padding, post_processor } = root as unknown as TokenizerJson;
  const ids = new Map<string, number>([...vocabularyOf(model.vocab), ...addedTokens(added_tokens)]);
  if (ids.size === 0) throw invalid(name, 'has no vocabulary');
  const padName = PAD_NAMES.find((candidate) => ids.has(candidate));
  return {
    name,
    json: Buffer.from(bytes).toString('utf8'),
    pad: padding?.pad_id ?? (padName ? (ids.get(padName) as number) : 0),
    specialTokens: isJsonObject(post_processor ?? null),
    additional: [],
    files: [],
    size: 1 + [...ids.values()].reduce((highest, id) => Math.max(highest, id), 0),
  };
}

/** Id of the token that stands for a hidden one, else of the one that fills up a batch. */
export function maskTokenOf({ json, pad }: Tokenizer): number {
  const { model, added_tokens } = JSON.parse(json) as TokenizerJson;
  const ids = new Map([...vocabularyOf(model.vocab), ...addedTokens(added_tokens)]);
  return ids.get('[MASK]') ?? ids.get('<mask>') ?? pad;
}

/** `{token: id}` (WordPiece, BPE) or `[[token, score], …]` (Unigram). */
function* vocabularyOf(vocab: JsonValue | undefined): Generator<[string, number]> {
  if (Array.isArray(vocab)) {
    for (const [id, entry] of vocab.entries())
      if (Array.isArray(entry) && typeof entry[0] === 'string') yield [entry[0], id];
  } else if (isJsonObject(vocab)) {
    for (const [token, id] of Object.entries(vocab)) if (typeof id === 'number') yield [token, id];
  }
}

function* addedTokens(list: JsonValue | undefined): Generator<[string, number]> {
  for (const entry of Array.isArray(list) ? list : []) {
    if (isJsonObject(entry) && typeof entry.content === 'string' && typeof entry.id === 'number')
      yield [entry.content, entry.id];
  }
}

const HINT = 'Give a tokenizer.json as the Hugging Face tokenizers library writes it.';

function invalid(name: string, rule: string): HpsError {
  return new HpsError('CONFIG_INVALID', `${name}: ${rule}`, { hint: HINT, details: { file: name } });
}

/**
 * A contract's inputs as the tokenizer that travels with the model has them; without one, the model takes token ids.
 * @param asStated - whether the contract itself says how texts are padded and that the tokenizer's template is used
 */
export function withTokenizer(
  inputs: readonly ContractInput[],
  tokenizer: Tokenizer | null,
  { asStated = false } = {},
): ContractInput[] {
  return inputs.map((input) => {
    const { preprocess } = input;
    if (preprocess.kind !== 'text') return input;
    const { addedTokens, ...text } = preprocess;
    const written = addedTokens && tokenizer ? tokenizer.additional : [];
    const carried = {
      tokenizer: tokenizer ? (TOKENIZER_KEY as typeof TOKENIZER_KEY) : null,
      ...(tokenizer && !asStated ? { pad: tokenizer.pad, specialTokens: tokenizer.specialTokens } : {}),
      ...(written.length > 0 ? { addedTokens: [...written] } : {}),
    };
    return { ...input, preprocess: { ...text, ...carried } };
  });
}

const SPECIAL_TOKENS = ['[PAD]', '[CLS]', '[SEP]', '[UNK]', '[MASK]'];

/** Smallest vocabulary that a byte-level tokenizer fits in. */
export const BYTE_VOCABULARY = SPECIAL_TOKENS.length + 256;

/** GPT-2's printable character for each byte (openai/gpt-2, encoder.py, bytes_to_unicode). */
function byteCharacters(): string[] {
  const printable = (byte: number): boolean =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++));
}

/** A tokenizer.json of bytes and special tokens: every text has tokens in it, whatever the language, before any vocabulary is learnt. */
export function byteLevelTokenizer(): string {
  const special = SPECIAL_TOKENS.map((content, id) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }));
  const vocab = Object.fromEntries([...SPECIAL_TOKENS, ...byteCharacters()].map((token, id) => [token, id]));
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
  const template = (id: string): object => ({ SpecialToken: { id, type_id: 0 } });
  const specials = ['[CLS]', '[SEP]'].map((id) => [id, { id, ids: [SPECIAL_TOKENS.indexOf(id)], tokens: [id] }]);
  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special,
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: {
      type: 'TemplateProcessing',
      single: [template('[CLS]'), { Sequence: { id: 'A', type_id: 0 } }, template('[SEP]')],
      pair: [
        template('[CLS]'),
        { Sequence: { id: 'A', type_id: 0 } },
        template('[SEP]'),
        { Sequence: { id: 'B', type_id: 1 } },
        { SpecialToken: { id: '[SEP]', type_id: 1 } },
      ],
      special_tokens: Object.fromEntries(specials),
    },
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      merges: [],
    },
  };
  return `${JSON.stringify(tokenizer, null, 2)}\n`;
}
