import { basename } from 'node:path';
import { HpsError } from '../errors.js';
import type { ScoreFile } from '../lifecycle/ensemble/inputs.js';
import type { ModelFile } from '../lifecycle/ensemble/merge.js';

/** Reads `--scores NAME=FILE`. @throws HpsError USAGE */
export function parseScoreFile(text: string): ScoreFile {
  const [name, path] = splitAt(text, text.indexOf('='));
  if (name !== '' && path !== '') return { name, path };
  throw usage('--scores', text, 'Write it as --scores clip=clip.jsonl.');
}

/**
 * Reads `--weights NAME=0.6,NAME=0.4`.
 *
 * @throws HpsError USAGE; whether the weights make an average is asked where they are used
 */
export function parseWeights(text: string): ReadonlyMap<string, number> {
  const weights = new Map<string, number>();
  for (const part of text.split(',')) {
    const [name, value] = splitAt(part, part.lastIndexOf('='));
    const weight = parseWeight(value);
    if (name === '' || weight === undefined) throw usage('--weights', part, 'Write it as --weights clip=0.6,tifa=0.4.');
    if (weights.has(name)) throw usage('--weights', part, `${name} is given twice.`);
    weights.set(name, weight);
  }
  return weights;
}

/** Reads `--member FILE:0.6`, `--member FILE`, or `--member NAME=FILE` for the weights of an ensemble file. @throws HpsError USAGE */
export function parseModelFile(text: string): ModelFile {
  const [before, after] = splitAt(text, text.lastIndexOf(':'));
  const weight = parseWeight(after);
  if (weight !== undefined && before !== '') return { path: before, weight };
  const [name, path] = splitAt(text, text.indexOf('='));
  if (name !== '' && path !== '' && basename(name) === name) return { name, path };
  if (text !== '') return { path: text };
  throw usage('--member', text, 'Write it as --member a.onnx:0.6.');
}

/** Both sides of a separator; the second is empty where there is none. */
const splitAt = (text: string, at: number): [string, string] =>
  at < 0 ? [text.trim(), ''] : [text.slice(0, at).trim(), text.slice(at + 1).trim()];

/** A number as people write it, NaN and infinities included so that they can be refused by name; undefined for other text. */
function parseWeight(text: string): number | undefined {
  if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) return Number(text);
  if (/^nan$/i.test(text)) return Number.NaN;
  return /^[+-]?inf(inity)?$/i.test(text) ? (text.startsWith('-') ? -Infinity : Infinity) : undefined;
}

const usage = (flag: string, text: string, hint: string): HpsError =>
  new HpsError('USAGE', `${flag}: cannot read ${JSON.stringify(text)}`, { hint });
