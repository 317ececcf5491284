import { readFileSync } from 'node:fs';
import * as Flags from '@oclif/core/flags';
import { partOfFile } from '../data/item-files.js';
import { NAMED_AGGREGATES } from '../data/score-windows.js';
import { parseShard, type Shard } from '../data/shard.js';
import { DEFAULT_BATCH_SIZE, DEFAULT_DEVICE } from '../defaults.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import type { RemoteOptions } from '../media/remote/store.js';
import type { Modality } from '../modality.js';
import { parseDevice } from '../runtime/device.js';
import { OPTIMIZATION_LEVELS } from '../runtime/session.js';
import type { ContractFile } from '../samples/contract.js';
import type { WindowOptions } from '../scoring/windows/options.js';

/** Flags of the commands that score media. */

export const deviceFlag = Flags.custom<string>({
  parse: async (text) => {
    parseDevice(text); // for its error
    return text;
  },
  default: DEFAULT_DEVICE,
  helpValue: 'cpu|webgpu|cuda:N|auto',
  description: 'Where the model runs; auto picks the best device available and reports it',
});

/** One pair or one item on the command line itself. */
export const sampleFlags = {
  left: Flags.string({ description: 'Left item: a path, or the text itself', dependsOn: ['right'] }),
  right: Flags.string({ description: 'Right item', dependsOn: ['left'] }),
  item: Flags.string({ description: 'A single item', exclusive: ['left', 'right'] }),
  context: Flags.string({ description: 'The text of the sample, where the model reads text beside media' }),
};

/** What a sample on the command line is, as its names tell; text where they tell nothing. */
export function modalityOfSample({ input, left, item, context }: SampleFlags): Modality {
  const names = input === undefined ? [left ?? item ?? ''] : [input, ...stringsOf(input)];
  const part = names.map(partOfFile).find((one) => one !== undefined) ?? 'text';
  return part === 'image' && (context !== undefined || names.includes('context')) ? 'image-text' : part;
}

/** What stands in quotes at the beginning of a file; nothing where it cannot be read. */
function stringsOf(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').slice(0, LIMITS.rowsSniffBytes).split('"');
  } catch {
    return []; // whoever reads it says why
  }
}

interface SampleFlags {
  readonly input?: string;
  readonly left?: string;
  readonly right?: string;
  readonly item?: string;
  readonly context?: string;
  readonly task?: string;
}

/** What the flags of one sample, or INPUT, give a verb to work on. @throws HpsError USAGE */
export function sampleOrFile({ input, left, right, item, context, task }: SampleFlags, verb: string) {
  const hint = 'Give --left and --right, or --item, or a file as INPUT.';
  const given = [input, left, item].filter((value) => value !== undefined);
  if (given.length > 1) throw new HpsError('USAGE', `there is more than one thing to ${verb}`, { hint });
  if (input !== undefined) return { file: input };
  if (left !== undefined && right !== undefined) return { sample: { left, right, context, task } };
  if (item !== undefined) return { sample: { item, context, task } };
  throw new HpsError('USAGE', `there is nothing to ${verb}`, { hint });
}

export const contractFlag = Flags.string({
  helpValue: 'FILE.yaml',
  description: 'What the inputs and the score of a model without manifest are (`hpsv3 contract init`)',
});

export const scoringFlags = {
  calibrator: Flags.string({
    helpValue: 'FILE',
    description: 'Calibrator that `hpsv3 calibrate` wrote, instead of the one in the model',
  }),
  contract: contractFlag,
  device: deviceFlag(),
  threads: Flags.integer({
    min: 1,
    max: 1024,
    description: 'Batches computed side by side, each by one thread; the cores by default. Scores do not depend on it',
  }),
  optimization: Flags.option({
    options: OPTIMIZATION_LEVELS,
    default: 'all' as const,
    description: 'Graph optimisation level of onnxruntime',
  })(),
};

/** Of commands that score what is longer than the model reads. */
export const windowFlags = {
  window: Flags.string({
    helpValue: '8s|64t|max',
    description:
      'Score video, sound and text of any length in windows: so many seconds, or tokens of text; max for the longest that the model reads',
  }),
  stride: Flags.string({
    helpValue: '4s|32t',
    description: 'From the start of one window to that of the next; by default half a window',
    dependsOn: ['window'],
  }),
  aggregate: Flags.string({
    helpValue: `${NAMED_AGGREGATES.join('|')}|FILE`,
    description:
      'How the logit of an item comes from those of its windows, mean by default; a file is a rule of batch aggregate',
    dependsOn: ['window'],
  }),
};

/** What the flags say of windows; undefined where items are scored whole. */
export function windowsOf({
  window,
  stride,
  aggregate,
}: {
  readonly window?: string;
  readonly stride?: string;
  readonly aggregate?: string;
}): WindowOptions | undefined {
  return window === undefined ? undefined : { window, stride, aggregate };
}

/** Of commands that decide pairs. */
export const abstainFlag = Flags.boolean({
  description:
    'Answer undecided where the margin is too small for the risk of the calibrator (`hpsv3 calibrate --risk`)',
});

/** Of commands whose results have auxiliary scores. */
export const markFlag = Flags.string({
  multiple: true,
  multipleNonGreedy: true,
  helpValue: 'CONDITION',
  description: "Mark the rows of which an auxiliary head says so, as 'toxicity>0.5'; can be given several times",
});

/** For models that do not fit into memory. */
export const segmentsFlag = Flags.boolean({
  description: 'Run a model that does not fit into memory in segments: every batch reads all its weights',
});

const BATCH_SIZE = {
  min: 1,
  max: 4096,
  description:
    'Most rows of a batch, fewer of long ones on the processor; one that is not full is filled up, so that no score depends on its neighbours',
};

export const batchSizeFlag = Flags.integer({ ...BATCH_SIZE, default: DEFAULT_BATCH_SIZE });

/** Flags that a profile can stand in for: no default hides whether they are given. */
export const profiledFlags = {
  profile: Flags.string({
    helpValue: 'FILE',
    description: 'Profile of this model (`hpsv3 profile`): its recommended batch size and optimisation level',
  }),
  'batch-size': Flags.integer({
    ...BATCH_SIZE,
    description: `${BATCH_SIZE.description}; ${DEFAULT_BATCH_SIZE}, or what the profile recommends`,
  }),
  optimization: Flags.option({
    options: OPTIMIZATION_LEVELS,
    description: 'Graph optimisation level of onnxruntime; all, or what the profile recommends',
  })(),
};

const mediaRoot = (start: string) =>
  Flags.string({
    helpValue: 'FOLDER',
    description: `Where paths in rows start, and what they must not lead out of; by default the ${start}`,
  });

export const mediaRootFlag = mediaRoot('folder of the input, for a pipe the working directory');
/** Of commands whose rows come from a program. */
export const mediaRootOfPipeFlag = mediaRoot('working directory');

/** Flags that let rows name what lies on other machines. */
export const remoteFlags = {
  'allow-host': Flags.string({
    multiple: true,
    multipleNonGreedy: true,
    helpValue: 'HOST',
    description: 'Fetch https:// addresses of this host; can be given several times. Without it none is fetched',
  }),
  'allow-bucket': Flags.string({
    multiple: true,
    multipleNonGreedy: true,
    helpValue: 'BUCKET',
    description: 'Fetch s3:// addresses of this bucket, by AWS_ACCESS_KEY_ID, AWS_REGION, AWS_ENDPOINT_URL_S3, …',
  }),
};

/** What the flags allow to be fetched; undefined where they allow nothing. */
export function remoteOf(flags: {
  readonly 'allow-host'?: readonly string[];
  readonly 'allow-bucket'?: readonly string[];
}): RemoteOptions | undefined {
  const { 'allow-host': hosts = [], 'allow-bucket': buckets = [] } = flags;
  return hosts.length + buckets.length > 0 ? { hosts, buckets } : undefined;
}

export const shardFlag = Flags.custom<Shard>({
  parse: async (text) => parseShard(text),
  helpValue: 'i/n',
  description: 'Score only the i-th of n parts (from 0): the rows whose id falls to it',
})();

const UNITS: Readonly<Record<string, number>> = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** @throws HpsError USAGE unless the text is a number with a unit, as 800M, 1.5GiB or 2gb: powers of 1024 all */
export function parseMemory(text: string): number {
  const [, number, unit] = /^(\d{1,9}(?:\.\d{1,6})?)([KMGT])(?:I?B)?$/.exec(text.trim().toUpperCase()) ?? [];
  const bytes = Math.round(Number(number) * (UNITS[unit] ?? 0));
  if (bytes > 0) return bytes;
  throw new HpsError('USAGE', `--max-memory: expected a size with its unit, such as 800M or 1.5G, got ${text}`, {
    hint: 'Write it as --max-memory 2G.',
  });
}

const maxMemory = (fewer: string) =>
  Flags.custom<number>({
    parse: async (text) => parseMemory(text),
    helpValue: 'SIZE',
    description: `Memory that all of it should take, such as 2G: fewer ${fewer} where it comes near`,
  })();

export const maxMemoryFlag = maxMemory('rows are under way');
/** Of commands that compute in threads. */
export const maxMemoryOfThreadsFlag = maxMemory('threads compute at once');
/** Of commands that run a model over calibration rows. */
export const maxMemoryOfRunsFlag = maxMemory('calibration rows are run at once');

/** The content of a `--contract` file. @throws HpsError FILE_NOT_FOUND, CONFIG_INVALID */
export async function readContract(path: string | undefined): Promise<ContractFile | undefined> {
  if (path === undefined) return undefined;
  const { readConfigFile } = await import('./config.js'); // brings yaml: only where a file is named
  const { name, model } = await readConfigFile(path);
  if (model) return { name, value: model };
  throw new HpsError('CONFIG_INVALID', `${name}: is a configuration file, not a contract`, {
    hint: 'A contract has modality, inputs and score.',
    details: { file: name },
  });
}
