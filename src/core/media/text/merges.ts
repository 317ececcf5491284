import type { Tokenizer } from '@huggingface/tokenizers';

/** What is used of the library's BPE model. */
interface BpeModel {
  readonly tokens_to_ids: ReadonlyMap<string, number>;
  readonly vocab: readonly string[];
  readonly merges: readonly (readonly [string, string])[];
  readonly end_of_word_suffix?: string | null;
  readonly continuing_subword_suffix?: string | null;
  /** Whether a word of the vocabulary is one token, whatever its merges. */
  readonly ignore_merges: boolean;
}

/** Longer words are left to the library, whose time does not grow with the square of their length. */
const MOST_SYMBOLS = 512;
const NONE = 2 ** 31 - 1;

/** Gives the ids of a word's tokens, or null for a word that is left to the library. */
export interface NumberMerges {
  ofWord(word: string): number[] | null;
  /** Of a word in UTF-8 whose bytes are its symbols; absent where a whole word, or the end of one, is looked up by its spelling. */
  readonly ofUtf8?: (word: string) => number[] | null;
}

/**
 * Merges by a BPE model with numbers: the library merges by the JSON of each pair of tokens, which takes ten times as long. It finds the
 * same tokens, the pair of the lowest rank first, of equal ones the leftmost. Null for another model, and for a vocabulary that lacks a
 * part of its own merges.
 *
 * @param spelling - of each byte, where bytes are what words are made of
 */
export function mergesByNumbers(
  { model }: Tokenizer,
  spelling: Readonly<Record<number, string>> | null = null,
): NumberMerges | null {
  const bpe = model as unknown as BpeModel;
  if (bpe.merges === undefined || bpe.continuing_subword_suffix) return null;
  const table = tableOf(bpe);
  if (!table) return null;
  const { tokens_to_ids: ids, end_of_word_suffix: suffix, ignore_merges: takesWhole } = bpe;
  const ranks = new Int32Array(MOST_SYMBOLS);
  const symbols = new Int32Array(MOST_SYMBOLS);
  const merged = (count: number): number[] => {
    const found = new Array<number>(table.merge(symbols, count, ranks));
    for (let i = 0; i < found.length; i++) found[i] = symbols[i];
    return found;
  };

  const ofWord = (word: string): number[] | null => {
    const whole = takesWhole ? ids.get(word) : undefined;
    if (whole !== undefined) return [whole];
    let count = 0;
    for (let at = 0; at < word.length; count++) {
      const character = String.fromCodePoint(word.codePointAt(at)!);
      at += character.length;
      const id = ids.get(suffix && at === word.length ? character + suffix : character);
      if (id === undefined || count === MOST_SYMBOLS) return null; // an unknown token, or bytes in its place
      symbols[count] = id;
    }
    return merged(count);
  };
  if (spelling === null || suffix || takesWhole) return { ofWord };

  const byteIds = Array.from({ length: 256 }, (_, byte) => ids.get(spelling[byte]) ?? UNKNOWN);
  const bytes = Buffer.alloc(MOST_UTF8 * MOST_SYMBOLS);
  const ofUtf8 = (word: string): number[] | null => {
    if (word.length > MOST_SYMBOLS) return null;
    const count = bytes.write(word);
    if (count > MOST_SYMBOLS) return null;
    for (let at = 0; at < count; at++) {
      const id = byteIds[bytes[at]];
      if (id === UNKNOWN) return null;
      symbols[at] = id;
    }
    return merged(count);
  };
  return { ofWord, ofUtf8 };
}

const UNKNOWN = -1;
/** Bytes that a UTF-16 unit takes at most. */
const MOST_UTF8 = 3;

/** Merges by the ids of both sides; null where a part or a result is not in the vocabulary, or two tokens have one id. */
function tableOf({ tokens_to_ids: ids, vocab, merges }: BpeModel): MergeTable | null {
  const table = new MergeTable(vocab.length);
  for (const [token, id] of ids) if (vocab[id] !== token) return null;
  for (const [rank, [left, right]] of merges.entries()) {
    const [a, b, whole] = [ids.get(left), ids.get(right), ids.get(left + right)];
    if (a === undefined || b === undefined || whole === undefined) return null;
    table.add(a, b, rank, whole);
  }
  return table;
}

class MergeTable {
  private readonly ranks = new Map<number, number>();
  private readonly results: number[] = [];

  constructor(private readonly size: number) {}

  add(left: number, right: number, rank: number, whole: number): void {
    this.ranks.set(left * this.size + right, rank); // a pair that stands twice has its later rank, as in the library
    this.results[rank] = whole;
  }

  /** Merges the first `length` symbols in their place. @param ranks - memory for as many ranks. @returns how many are left */
  merge(symbols: Int32Array, length: number, ranks: Int32Array): number {
    const rankAt = (i: number): number => this.ranks.get(symbols[i] * this.size + symbols[i + 1]) ?? NONE;
    let count = length;
    for (let i = 0; i + 1 < count; i++) ranks[i] = rankAt(i);
    for (;;) {
      let best = -1;
      let lowest = NONE;
      for (let i = 0; i + 1 < count; i++) {
        if (ranks[i] >= lowest) continue;
        lowest = ranks[i];
        best = i;
      }
      if (best < 0) return count;
      symbols[best] = this.results[lowest];
      symbols.copyWithin(best + 1, best + 2, count);
      ranks.copyWithin(best + 1, best + 2, count - 1);
      count--;
      if (best > 0) ranks[best - 1] = rankAt(best - 1);
      if (best + 1 < count) ranks[best] = rankAt(best);
    }
  }
}
