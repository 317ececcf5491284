import { LIMITS } from '../../limits.js';
import { invalidMedia } from '../refusal.js';
import { type RenderedPiece, specialPattern } from './chat.js';

/** Where the row's text goes in the template of a manifest. */
const PLACE = '{prompt}';

export interface PromptTemplate {
  /** @throws HpsError MEDIA_INVALID for a text that is too long */
  render(text: string): RenderedPiece[];
}

/**
 * A text around the row's own. Special tokens that it writes are tokens; those that a row spells are ordinary text.
 * @param specials - special tokens of the tokenizer
 */
export function openPromptTemplate(source: string, specials: readonly string[]): PromptTemplate {
  const pattern = specialPattern(specials);
  const parts = source.split(PLACE).map((part) => cut(part, pattern));
  return {
    render(text) {
      if (text.length > LIMITS.textCharacters) {
        const rule = `has ${text.length} characters, at most ${LIMITS.textCharacters} are read`;
        throw invalidMedia('text', rule, 'Shorten the text.');
      }
      return parts.flatMap((part, i) => (i === 0 ? part : [{ text, special: false }, ...part]));
    },
  };
}

/** A text cut at its special tokens. */
function cut(text: string, pattern: RegExp | null): RenderedPiece[] {
  if (pattern === null) return [{ text, special: false }];
  const ordinary = text.split(pattern);
  const tokens = text.match(pattern) ?? [];
  return ordinary.flatMap((piece, i) => [
    ...(piece === '' ? [] : [{ text: piece, special: false }]),
    ...(i < tokens.length ? [{ text: tokens[i], special: true }] : []),
  ]);
}
