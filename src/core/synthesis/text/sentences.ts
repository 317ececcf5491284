import type { Random } from '../../bytes/random.js';

/** The words of the grammar. Nouns are countable and take "a" or "the"; verbs are in the past tense. */
const PEOPLE =
  'teacher gardener nurse sailor painter student farmer baker doctor musician traveller neighbour driver writer carpenter child'.split(
    ' ',
  );
const THINGS =
  'letter basket lantern bicycle picture window boat blanket kettle map violin chair newspaper suitcase clock painting ladder bottle cake garden'.split(
    ' ',
  );
const PLACES =
  'kitchen market harbour library station village valley bridge meadow workshop museum school forest hospital square beach'.split(
    ' ',
  );
const ADJECTIVES =
  'old small bright quiet heavy beautiful strange cheap broken happy cold large difficult famous gentle tired blue green careful simple'.split(
    ' ',
  );
const TRANSITIVE =
  'carried repaired noticed bought painted found opened cleaned described moved wanted lost showed built kept needed'.split(
    ' ',
  );
const INTRANSITIVE = 'waited laughed slept worked arrived sang stayed rested began walked'.split(' ');
const ADVERBS = 'slowly quickly carefully often quietly finally suddenly happily almost never'.split(' ');
const TIMES = [
  'in the morning',
  'after the rain',
  'before dinner',
  'last summer',
  'every evening',
  'on a cold day',
  'late at night',
  'for many years',
];
const LINKS = ['because', 'while', 'although', 'after', 'before', 'when'];

const pick = <T>(random: Random, items: readonly T[]): T => items[random.integer(0, items.length)];
const article = (next: string): string => (/^[aeiou]/.test(next) ? 'an' : 'a');

function nounPhrase(random: Random, nouns: readonly string[]): string {
  const noun = pick(random, nouns);
  const words = random.uniform() < 0.6 ? `${pick(random, ADJECTIVES)} ${noun}` : noun;
  return random.uniform() < 0.5 ? `the ${words}` : `${article(words)} ${words}`;
}

function clause(random: Random): string {
  const subject = nounPhrase(random, PEOPLE);
  const adverb = random.uniform() < 0.35 ? `${pick(random, ADVERBS)} ` : '';
  const place =
    random.uniform() < 0.5 ? ` ${pick(random, ['in', 'near', 'behind'])} ${nounPhrase(random, PLACES)}` : '';
  if (random.uniform() < 0.3) return `${subject} ${adverb}${pick(random, INTRANSITIVE)}${place}`;
  return `${subject} ${adverb}${pick(random, TRANSITIVE)} ${nounPhrase(random, THINGS)}${place}`;
}

function sentence(random: Random): string {
  const form = random.integer(0, 4);
  const body =
    form === 0
      ? clause(random)
      : form === 1
        ? `${clause(random)} ${pick(random, LINKS)} ${clause(random)}`
        : form === 2
          ? `${pick(random, TIMES)}, ${clause(random)}`
          : `${clause(random)} ${pick(random, TIMES)}`;
  return `${body[0].toUpperCase()}${body.slice(1)}.`;
}

const FEWEST_WORDS = 16;

/** A few grammatical English sentences, of 16 words or more. */
export function drawSentences(random: Random): string {
  const sentences: string[] = [];
  const count = random.integer(2, 4);
  while (sentences.length < count || sentences.join(' ').split(' ').length < FEWEST_WORDS)
    sentences.push(sentence(random));
  return sentences.join(' ');
}
