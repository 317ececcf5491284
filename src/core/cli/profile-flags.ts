import * as Flags from '@oclif/core/flags';
import { HpsError } from '../errors.js';
import { PROFILE_DEFAULTS } from '../lifecycle/profile/profile.js';
import { MODEL_VARIANT } from '../profiling/names.js';
import { OPTIMIZATION_LEVELS, type OptimizationLevel } from '../runtime/session.js';
import { wholeNumbersFlag } from './flags.js';

/** Flags of `hpsv3 profile`. */

const MOST_BATCH = 4096;
const MOST_THREADS = 1024;
const MOST_SIZE = 2 ** 26;

export interface NamedValue<T> {
  readonly name: string;
  readonly value: T;
}

/** The symbol of a dimension may hold an equals sign; a number does not. */
function parseSize(text: string): NamedValue<number> {
  const at = text.lastIndexOf('=');
  const value = at > 0 && /^\d{1,9}$/.test(text.slice(at + 1)) ? Number(text.slice(at + 1)) : 0;
  if (value >= 1 && value <= MOST_SIZE) return { name: text.slice(0, at), value };
  throw new HpsError('USAGE', `--size: expected NAME=NUMBER, of 1 to ${MOST_SIZE}, got ${text}`, {
    hint: 'Write it as --size samples=16000.',
  });
}

/** The name of a variant stands first: a path may hold an equals sign. */
function parseVariant(text: string): NamedValue<string> {
  const at = text.indexOf('=');
  if (at > 0 && at < text.length - 1 && text.slice(0, at) !== MODEL_VARIANT)
    return { name: text.slice(0, at), value: text.slice(at + 1) };
  throw new HpsError('USAGE', `--variant: expected NAME=FILE.onnx, got ${text}`, {
    hint: `Write it as --variant int8=model-int8.onnx; the model itself is called ${MODEL_VARIANT}.`,
  });
}

function parseBudget(text: string): number {
  const match = /^latency=(\d+(?:\.\d+)?)$/.exec(text.trim());
  const budget = Number(match?.[1]);
  if (budget > 0 && budget <= 1000) return budget;
  throw new HpsError('USAGE', `--budget: expected latency=RATIO, got ${text}`, {
    hint: 'Write it as --budget latency=1.05: at most 1.05 times the baseline.',
  });
}

function parseLevels(text: string): OptimizationLevel[] {
  const levels = text.split(',').map((part) => part.trim());
  if (levels.every((level): level is OptimizationLevel => (OPTIMIZATION_LEVELS as readonly string[]).includes(level)))
    return levels;
  throw new HpsError('USAGE', `--optimization: ${text} is no list of levels`, {
    hint: `Choose among ${OPTIMIZATION_LEVELS.join(', ')}.`,
  });
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (text.trim() !== '' && seconds >= 0.01 && seconds <= 3600) return seconds;
  throw new HpsError('USAGE', `--seconds: expected 0.01 to 3600, got ${text}`, { hint: 'Write it as --seconds 5.' });
}

export const profileFlags = {
  'batch-size': wholeNumbersFlag(
    '--batch-size',
    MOST_BATCH,
  )({
    aliases: ['batch'],
    default: [...PROFILE_DEFAULTS.batches],
    helpValue: '1,8,32',
    description: 'Samples of one run; the first is looked at in detail',
  }),
  threads: wholeNumbersFlag(
    '--threads',
    MOST_THREADS,
  )({
    helpValue: '1,2',
    description: 'Threads inside one operator; 1 and the cores by default',
  }),
  optimization: Flags.custom<OptimizationLevel[]>({ parse: async (text) => parseLevels(text) })({
    default: [...PROFILE_DEFAULTS.optimizations],
    helpValue: 'basic,all',
    description: 'Graph optimisation levels of onnxruntime',
  }),
  variant: Flags.custom<NamedValue<string>>({ parse: async (text) => parseVariant(text) })({
    multiple: true,
    default: [],
    helpValue: 'NAME=FILE.onnx',
    description: 'The same model in another precision, for the sweep; may be given several times',
  }),
  budget: Flags.custom<number>({ parse: async (text) => parseBudget(text) })({
    default: PROFILE_DEFAULTS.budget,
    helpValue: 'latency=1.05',
    description: 'Largest time over that of the baseline; beyond it the exit code is 3',
  }),
  size: Flags.custom<NamedValue<number>>({ parse: async (text) => parseSize(text) })({
    multiple: true,
    default: [],
    helpValue: 'samples=16000',
    description: 'A size that the model leaves open, by its symbol or as INPUT.AXIS; may be given several times',
  }),
  seconds: Flags.custom<number>({ parse: async (text) => parseSeconds(text) })({
    default: PROFILE_DEFAULTS.seconds,
    helpValue: '5',
    description: 'Time spent on one figure; more tells smaller differences',
  }),
};
