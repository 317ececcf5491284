import { isUtf8 } from 'node:buffer';
import { LIMITS } from '../../limits.js';
import { mediaName, readMedia } from '../../media/read-media.js';
import { invalidMedia } from '../../media/refusal.js';
import type { SynthModality } from '../modality.js';
import { FEWEST_WORDS, TEXT_PERTURBATIONS } from './perturbations.js';
import { drawSentences } from './sentences.js';

const UTF8_BYTES_PER_CHARACTER = 4;

export const textModality: SynthModality<string> = {
  id: 'text',
  perturbations: TEXT_PERTURBATIONS,
  draw: drawSentences,
  endings: ['.txt'],
  read: readText,
  store: async (text) => ({ text }),
};

/** A text file in UTF-8, white space made single blanks: the perturbations work on words. */
async function readText(path: string): Promise<string> {
  const source = { path };
  const name = mediaName(source);
  const bytes = await readMedia(source, UTF8_BYTES_PER_CHARACTER * LIMITS.textCharacters);
  if (!isUtf8(bytes)) throw invalidMedia(name, 'is not valid UTF-8', 'Save it as UTF-8.');
  const text = new TextDecoder().decode(bytes).replaceAll('\0', ' ').trim().replace(/\s+/gu, ' ');
  const words = text.split(' ').length;
  if (words < FEWEST_WORDS) {
    throw invalidMedia(name, `has ${words} words, fewer than ${FEWEST_WORDS}`, 'Give a longer text.');
  }
  return text;
}
