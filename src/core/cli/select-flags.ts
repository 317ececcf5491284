import * as Flags from '@oclif/core/flags';
import { HpsError } from '../errors.js';

/** Flags that `select` and `select replay` share. */

export const shareFlag = (name: string, description: string, initial?: number) =>
  Flags.custom<number>({
    parse: async (text) => parseShare(name, text),
    helpValue: '0…1',
    default: initial,
    description,
  })();

export const memberFlag = Flags.string({
  multiple: true,
  multipleNonGreedy: true,
  helpValue: 'FILE',
  description: 'Scores of one member of an ensemble, for bald; given once a member',
});

function parseShare(flag: string, text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= 0 && value <= 1) return value;
  throw new HpsError('USAGE', `--${flag}: expected a number from 0 to 1, got ${text}`, { hint: 'Write it as 0.1.' });
}
