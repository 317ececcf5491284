import type { TextTokenizer } from '../media/text/tokenizer.js';

/** One token of a text as people read it. */
export interface Token {
  readonly id: number;
  /** Without the marks that the vocabulary has for where words begin and end. */
  readonly text: string;
  /** What the tokenizer adds or a template spells; no word of the text. */
  readonly special: boolean;
  /** Index of the word it belongs to; null for a special token. */
  readonly word: number | null;
}

/** The tokens of a row, padding left out. */
export function describeTokens(ids: readonly number[], tokenizer: TextTokenizer): Token[] {
  const raw = ids.map((id) => tokenizer.tokenOf(id) ?? { token: `[${id}]`, special: false });
  const style = styleOf(raw.map(({ token }) => token));
  let word = -1;
  let open = false;
  return raw.map(({ token, special }, i) => {
    if (special) {
      open = false;
      return { id: ids[i], text: token, special, word: null };
    }
    const { begins, ends, text } = style(token, open);
    if (begins || !open) word++;
    open = !ends;
    return { id: ids[i], text, special, word };
  });
}

interface Piece {
  readonly begins: boolean;
  readonly ends: boolean;
  readonly text: string;
}

type Style = (token: string, open: boolean) => Piece;

/** How a vocabulary marks words: `##` for what continues one (WordPiece), `</w>` where one ends (CLIP), a mark before one (BPE, Unigram). */
function styleOf(tokens: readonly string[]): Style {
  if (tokens.some((token) => token.endsWith('</w>')))
    return (token) => ({ begins: false, ends: token.endsWith('</w>'), text: token.replace(/<\/w>$/, '') });
  if (tokens.some((token) => /^[Ġ▁Ċ]/.test(token)))
    return (token) => ({ begins: /^[Ġ▁Ċ]/.test(token), ends: false, text: fromMarks(token) });
  return (token) => ({ begins: !token.startsWith('##'), ends: false, text: token.replace(/^##/, '') });
}

const fromMarks = (token: string): string =>
  token.startsWith('▁') ? token.slice(1) : utf8Of(token).replace(/^ /, '').replaceAll('\n', '⏎');

/** Byte-level BPE spells bytes as letters (GPT-2, bytes_to_unicode); a token that is no such spelling stays as it is. */
function utf8Of(token: string): string {
  const bytes = Array.from(token, (letter) => BYTE_OF_LETTER.get(letter));
  if (bytes.some((byte) => byte === undefined)) return token;
  const text = Buffer.from(bytes as number[]).toString('utf8');
  return text.includes('\ufffd') ? token : text;
}

const BYTE_OF_LETTER: ReadonlyMap<string, number> = (() => {
  const letters = new Map<string, number>();
  let spare = 256;
  for (let byte = 0; byte < 256; byte++) {
    const isPrintable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    letters.set(String.fromCharCode(isPrintable ? byte : spare++), byte);
  }
  return letters;
})();
