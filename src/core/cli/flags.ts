import * as Flags from '@oclif/core/flags';
import { DEFAULT_GATE, DEFAULT_SEED } from '../defaults.js';
import { HpsError } from '../errors.js';
import { type Budget, parseBudget } from '../gate/budget.js';

/** Flags that mean the same in every command that has them. */

/** Where results go. */
export const outFlag = Flags.custom<string>({ aliases: ['output'], helpValue: 'FILE' });

/** The argument INPUT, in commands whose rows or items come with a model. */
export const inputFlag = Flags.custom<string>({ helpValue: 'FILE', description: 'The same as INPUT' });

export const modelFlag = Flags.custom<string>({ helpValue: 'FILE.onnx', description: 'The model' });

export const configFlag = Flags.string({
  helpValue: 'FILE',
  description: 'YAML or JSON file with sections model, training, data, flags; without sections it is the model section',
});

export const seedFlag = Flags.integer({
  min: 0,
  max: Number.MAX_SAFE_INTEGER,
  default: DEFAULT_SEED,
  description: 'Seed of everything random; the same seed gives the same bytes',
});

/** Of statistics, whose results do not depend on it. */
export const threadsFlag = Flags.integer({
  min: 1,
  max: 1024,
  description: 'Threads; the cores by default. Results are the same whatever their number',
});

export const forceFlag = Flags.boolean({ description: 'Overwrite the output if it exists' });

export const dryRunFlag = Flags.boolean({
  description: 'Check everything and say what would be written, without writing',
});

export const allowNonfiniteFlag = Flags.boolean({ description: 'Accept weights that hold NaN or infinities' });

export const quietFlag = Flags.boolean({ char: 'q', description: 'No progress on standard error' });

export const cacheFlag = Flags.string({
  helpValue: 'FOLDER',
  description: 'Cache of preprocessed images, audio and video, reused by later runs on the same files',
});

export const GATE_LEVELS = ['off', 'quick', 'full'] as const;

export const gateFlag = Flags.option({
  options: GATE_LEVELS,
  default: DEFAULT_GATE,
  description: 'How thoroughly the decisions of the written model are compared before the file is put in place',
})();

/** Of a comparison that writes no model. */
export const comparisonGateFlag = Flags.option({
  options: ['quick', 'full'] as const,
  default: 'full' as const,
  description: 'How thoroughly decisions are compared; quick: fewer probes, and only the most telling invariances',
})();

export const budgetFlag = Flags.custom<Budget>({
  parse: async (text) => parseBudget(text),
  helpValue: 'flips=0,kendall=0.999,score=1e-4',
  description: 'Largest change of decisions and scores that the gate lets pass',
})();

export const toleranceFlag = Flags.custom<number>({
  parse: async (text) => parseTolerance(text),
  helpValue: 'N',
  description: 'Largest difference from a golden output; by the dtype of the checkpoint if not given',
})();

function parseTolerance(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value) && value >= 0) return value;
  throw new HpsError('USAGE', `--atol: expected a number of at least 0, got ${text}`, { hint: 'Write it as 1e-4.' });
}

/** Whole numbers with commas between them. */
export const wholeNumbersFlag = (flag: string, highest: number) =>
  Flags.custom<number[]>({ parse: async (text) => parseWholeNumbers(flag, text, highest) });

function parseWholeNumbers(flag: string, text: string, highest: number): number[] {
  const numbers = text.split(',').map((part) => (/^\d{1,9}$/.test(part.trim()) ? Number(part) : 0));
  if (numbers.every((n) => n >= 1 && n <= highest)) return numbers;
  throw new HpsError('USAGE', `${flag}: expected whole numbers from 1 to ${highest}, got ${text}`, {
    hint: `Write them as ${flag} 1,8,32.`,
  });
}
