import * as Flags from '@oclif/core/flags';
import { HpsError } from '../errors.js';

/** A share of all questions, under one. */
export const shareFlag = Flags.custom<number>({
  parse: async (text, _, { name }) => {
    const value = Number(text);
    if (text.trim() !== '' && value >= 0 && value < 1) return value;
    throw new HpsError('USAGE', `--${name}: expected a share under 1, got ${text}`, { hint: 'Write it as 0.05.' });
  },
  helpValue: 'SHARE',
});
