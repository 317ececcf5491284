import { didYouMean } from '../bytes/suggest.js';
import { AUXILIARY, type Auxiliary, type AuxScores } from '../data/rows.js';
import { HpsError } from '../errors.js';
import type { ScoringModel } from './model.js';

/** What marks an item: an auxiliary score on one side of a number. */
export interface Mark {
  /** Without spaces, as results have it. */
  readonly text: string;
  readonly head: Auxiliary;
  readonly holds: (value: number) => boolean;
}

const COMPARISONS: Readonly<Record<string, (value: number, bound: number) => boolean>> = {
  '>': (value, bound) => value > bound,
  '>=': (value, bound) => value >= bound,
  '<': (value, bound) => value < bound,
  '<=': (value, bound) => value <= bound,
};

const EXAMPLE = 'Write it as toxicity>0.5 or quality<=1, in quotes for the shell.';

/** @throws HpsError USAGE for a text that is no condition on an auxiliary score */
export function parseMark(given: string): Mark {
  const [, name, comparison, number] = /^\s*([A-Za-z]\w*)\s*([<>]=?)\s*(\S+)\s*$/.exec(given) ?? [];
  const bound = number === undefined ? Number.NaN : Number(number);
  if (!Number.isFinite(bound)) {
    throw new HpsError('USAGE', `the mark ${JSON.stringify(given)} is no condition on a score`, { hint: EXAMPLE });
  }
  const head = AUXILIARY.find((one) => one === name);
  if (!head) {
    throw new HpsError('USAGE', `the mark ${JSON.stringify(given)} names no auxiliary score`, {
      hint: didYouMean(name, AUXILIARY),
      details: { name, known: [...AUXILIARY] },
    });
  }
  const compare = COMPARISONS[comparison];
  return { text: `${head}${comparison}${number}`, head, holds: (value) => compare(value, bound) };
}

/**
 * The marks, once it is known that a model has what they read.
 * @throws HpsError USAGE as `parseMark`, and for a head that the model lacks
 */
export function marksFor(
  given: readonly string[],
  { file, auxiliary, encoder, head }: Pick<ScoringModel, 'file' | 'auxiliary' | 'encoder' | 'head'>,
): readonly Mark[] {
  const marks = given.map(parseMark);
  const missing = marks.find((mark) => !auxiliary.includes(mark.head));
  if (!missing) return marks;
  const outputs = (head ?? encoder)!.outputs.map(({ name }) => name);
  throw new HpsError('USAGE', `${file}: has no head ${missing.head} to mark by; it gives ${outputs.join(', ')}`, {
    hint:
      auxiliary.length > 0
        ? `Mark by ${auxiliary.join(' or ')}.`
        : 'Files that `hpsv3 export` makes of hpsv3 checkpoints in `mode` item have quality, fluency and toxicity.',
    details: { file, head: missing.head, heads: [...auxiliary], outputs },
  });
}

/** The marks that hold of any of these items, as results have them. */
export const marksOf = (marks: readonly Mark[], items: readonly AuxScores[]): string[] =>
  marks.filter(({ head, holds }) => items.some((aux) => holds(aux[head]!))).map(({ text }) => text);
