import type { Random } from '../../bytes/random.js';
import type { Perturbation } from '../perturbation.js';
import { synonymsOf } from './synonyms.js';

/** Shares of the words, for strengths 1 … 5; index 0 is the clean text. */
const TYPO_SHARE = [0, 0.07, 0.15, 0.27, 0.45, 0.75];
const SWAP_SHARE = [0, 0.04, 0.1, 0.2, 0.35, 0.6];
const KEPT_SHARE = [1, 0.86, 0.72, 0.55, 0.37, 0.18];
const SYNONYM_SHARE = [0, 0.2, 0.4, 0.6, 0.8, 1];

/** A text shorter than this cannot be damaged in five steps that differ. */
export const FEWEST_WORDS = 8;

export const TEXT_PERTURBATIONS: readonly Perturbation<string>[] = [
  { id: 'noise', weight: 1, apply: misspell },
  { id: 'order', weight: 1, apply: swapWords },
  { id: 'truncation', weight: 1, apply: truncate },
  // The meaning and the grammar stay: raters see hardly a difference, and most of its votes should be ties.
  { id: 'paraphrase', weight: 0.05, apply: paraphrase },
];

/** How many of `total` a strength concerns: at least one more than the strength below. */
const countAt = (shares: readonly number[], strength: number, total: number): number =>
  Math.min(total, Math.max(strength, Math.round(shares[strength] * total)));

function misspell(clean: string, strength: number, random: Random): string {
  const words = clean.split(' ');
  const misspelt = words.map((word) => withTypo(word, random)); // all of them, so that every strength draws alike
  const order = random.permutation(words.length);
  for (const i of order.slice(0, countAt(TYPO_SHARE, strength, words.length))) words[i] = misspelt[i];
  return words.join(' ');
}

const LETTERS = 'abcdefghijklmnopqrstuvwxyz';

/** One slip of the fingers: a letter left out, doubled, hit wrong, or swapped with the next. */
function withTypo(word: string, random: Random): string {
  const characters = [...word];
  const kind = random.integer(0, 4);
  const at = random.integer(0, characters.length);
  const wrong = LETTERS[random.integer(0, LETTERS.length)];
  const next = characters[at + 1];
  if (kind === 0 && characters.length > 2) characters.splice(at, 1);
  else if (kind === 1) characters.splice(at, 0, characters[at]);
  else if (kind === 2 && next !== undefined && next !== characters[at]) {
    characters.splice(at, 2, next, characters[at]);
  } else characters.splice(at, 1, wrong === characters[at] ? `${wrong}${wrong}` : wrong);
  return characters.join('');
}

/** Draws before a text of one repeated word is left as it is. */
const MAX_DRAWS = 1000;

function swapWords(clean: string, strength: number, random: Random): string {
  const words = clean.split(' ');
  let left = Math.max(2 * strength - 1, countAt(SWAP_SHARE, strength, words.length));
  for (let draws = 0; left > 0 && draws < MAX_DRAWS; draws++) {
    const i = random.integer(0, words.length - 1);
    const j = random.integer(i + 1, words.length);
    if (words[i] === words[j]) continue;
    [words[i], words[j]] = [words[j], words[i]];
    left--;
  }
  return words.join(' ');
}

/** Breaks off in mid-sentence. */
function truncate(clean: string, strength: number): string {
  const words = clean.split(' ');
  const kept = Math.max(1, Math.min(words.length - strength, Math.round(KEPT_SHARE[strength] * words.length)));
  return words
    .slice(0, kept)
    .join(' ')
    .replace(/[.,;:!?]+$/u, '');
}

function paraphrase(clean: string, strength: number, random: Random): string {
  const words = clean.split(' ');
  const replacements = words.map((word) => synonymFor(word, random));
  const replaceable = random.permutation(words.length).filter((i) => replacements[i] !== undefined);
  const chosen = replaceable.slice(0, countAt(SYNONYM_SHARE, strength, replaceable.length));
  for (const i of chosen) {
    words[i] = replacements[i]!;
    if (i > 0) words[i - 1] = withArticleFor(words[i - 1], words[i]);
  }
  return words.join(' ');
}

/** `a` or `an` as the next word wants it; any other word as it is. */
const withArticleFor = (word: string, next: string): string =>
  /^an?$/i.test(word) ? `${word[0]}${/^[aeiou]/i.test(next) ? 'n' : ''}` : word;

/** The word with a synonym in its place, its capital and the marks around it kept. */
function synonymFor(word: string, random: Random): string | undefined {
  const place = random.uniform(); // drawn for every word, known or not
  const [, before, core, after] = /^([^\p{L}]*)(.*?)([^\p{L}]*)$/u.exec(word) ?? ['', '', word, ''];
  const synonyms = synonymsOf(core.toLowerCase());
  if (synonyms.length === 0) return undefined;
  const synonym = synonyms[Math.floor(place * synonyms.length)];
  const capital = core[0] !== core[0].toLowerCase();
  return `${before}${capital ? synonym[0].toUpperCase() + synonym.slice(1) : synonym}${after}`;
}
