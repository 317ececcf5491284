import type { Tokenizer } from '@huggingface/tokenizers';
import { mergesByNumbers } from './merges.js';

/** What is used of the library's tokenizer beside what its types show. */
interface Parts {
  readonly added_tokens_map: ReadonlyMap<string, { readonly id: number }>;
  readonly splitter_unnormalized: Splitter;
  readonly splitter_normalized: Splitter;
  readonly normalizer: ((text: string) => string) | null;
  readonly pre_tokenizer: PreTokenizer | null;
  readonly model: {
    readonly tokens_to_ids: ReadonlyMap<string, number>;
    readonly unk_token_id: number | undefined;
    /** Whether unknown tokens in a row, of several words too, become one. */
    readonly fuse_unk: boolean;
    encode(words: readonly string[]): string[];
  };
}

interface Splitter {
  split(text: string): string[];
}

interface PreTokenizer {
  (text: string, options: { section_index: number }): string[];
  readonly config?: { readonly type: string };
}

interface ByteLevel extends PreTokenizer {
  readonly add_prefix_space: boolean;
  readonly use_regex: boolean;
  readonly pattern: RegExp;
  readonly byte_encoder: Readonly<Record<number, string>>;
}

/** Words of a text come again, whole texts do not. */
const KEPT_CHARACTERS = 32;
const KEPT_WORDS = 4096;

/**
 * Ids of a text without special tokens, as the library's `encode`: word by word, each of the last ones looked up, and without the lists
 * of lists in which the library collects them, which take most of its time. What has added tokens in it is left to the library.
 */
export function wordEncoder(tokenizer: Tokenizer): (text: string) => number[] {
  const parts = tokenizer as unknown as Parts;
  const {
    added_tokens_map: added,
    splitter_unnormalized,
    splitter_normalized,
    normalizer,
    pre_tokenizer,
    model,
  } = parts;
  const words = wordsBy(pre_tokenizer);
  const merges = mergesByNumbers(tokenizer, words.bytes);
  const kept = new Map<string, readonly number[]>();
  const idOf = (token: string): number =>
    (added.get(token)?.id ?? model.tokens_to_ids.get(token) ?? model.unk_token_id) as number;
  /** Of tokens of the vocabulary that stand in the list of added ones under another id. */
  const other = new Map(
    [...added.keys()].flatMap((token) => {
      const id = model.tokens_to_ids.get(token);
      return id === undefined || id === idOf(token) ? [] : [[id, idOf(token)] as const];
    }),
  );
  const spelledIds = (word: string): number[] => merges?.ofWord(word) ?? model.encode([word]).map(idOf);
  const encoded = (word: string): number[] => {
    const ids = merges?.ofUtf8?.(word) ?? spelledIds(words.spelled(word));
    return other.size === 0 ? ids : ids.map((id) => other.get(id) ?? id);
  };

  const idsOf = (word: string): readonly number[] => {
    const known = kept.get(word);
    if (known) return known;
    const ids = encoded(word);
    if (word.length <= KEPT_CHARACTERS) {
      if (kept.size >= KEPT_WORDS) kept.clear();
      kept.set(word, ids);
    }
    return ids;
  };

  const idsOfAll = (all: readonly string[]): number[] => {
    if (all.length === 1) return encoded(all[0]); // a whole text
    const ids: number[] = [];
    for (const word of all) for (const id of idsOf(word)) ids.push(id);
    return ids;
  };
  const starts = startsOf([...added.keys()].filter((token) => token !== ''));
  const isPlain = (part: string, splitter: Splitter): boolean =>
    (part !== '' && !starts.test(part)) || (splitter.split(part).length === 1 && !added.has(part));

  return (text) => {
    const library = (): number[] => tokenizer.encode(text, { add_special_tokens: false }).ids;
    if (!isPlain(text, splitter_unnormalized)) return library();
    const normal = normalizer === null ? text : normalizer(text);
    if (!isPlain(normal, splitter_normalized)) return library();
    const ids = idsOfAll(words.of(normal));
    return model.fuse_unk ? ids.filter((id, i) => id !== model.unk_token_id || id !== ids[i - 1]) : ids;
  };
}

/** Finds what each of these begins with: a text without it has none of them. */
function startsOf(tokens: Iterable<string>): RegExp {
  const units = new Set(Array.from(tokens, (token) => token.charCodeAt(0)));
  const escapes = Array.from(units, (unit) => `\\u${unit.toString(16).padStart(4, '0')}`);
  return new RegExp(`[${escapes.join('')}]`);
}

interface Words {
  /** What spells each byte of a word; null where words are made of characters. */
  readonly bytes: Readonly<Record<number, string>> | null;
  of(text: string): readonly string[];
  /** A word as the model has it. */
  spelled(word: string): string;
}

/** Bytes are spelled out for new words alone. */
function wordsBy(pre: PreTokenizer | null): Words {
  if (pre === null) return { bytes: null, of: (text) => [text], spelled: (word) => word };
  if (pre.config?.type !== 'ByteLevel')
    return { bytes: null, of: (text) => pre(text, { section_index: 0 }), spelled: (word) => word };
  const { add_prefix_space, use_regex, pattern, byte_encoder } = pre as ByteLevel;
  return {
    bytes: byte_encoder,
    of(text) {
      const whole = add_prefix_space && !text.startsWith(' ') ? ` ${text}` : text;
      return use_regex ? (whole.match(pattern) ?? []) : [whole];
    },
    spelled(word) {
      let spelled = '';
      for (const byte of Buffer.from(word)) spelled += byte_encoder[byte];
      return spelled;
    },
  };
}
