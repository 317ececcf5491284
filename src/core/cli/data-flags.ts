import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { DATA_FORMATS } from '../data/formats.js';
import { type FieldMap, parseFieldMap } from '../data/layouts/map.js';
import { LAYOUT_IDS } from '../data/layouts/registry.js';
import { OUTPUT_LAYOUTS } from '../data/layouts/write.js';
import type { StandardStreams } from '../data/row-files.js';
import type { SplitFractions } from '../data/split.js';
import { HpsError } from '../errors.js';
import { outFlag } from './flags.js';

/** Arguments and flags that the data commands share. */

export const inputArg = Args.string({
  required: true,
  ignoreStdin: true,
  description: 'Rows: JSONL, JSON, CSV or Parquet, also .gz or .zst; - for standard input',
});

export const fromFlag = Flags.option({
  options: DATA_FORMATS,
  description: 'Format of the input; by default what its name ends in, else what it looks like',
})();

export const toFlag = Flags.option({
  options: DATA_FORMATS,
  description: 'Format of the output; by default what its name ends in, else JSONL',
})();

export const toLayoutFlag = Flags.option({
  options: OUTPUT_LAYOUTS,
  description: 'Write pairs as others lay them out, in JSON',
  exclusive: ['to'],
})();

/** How rows that are not in our own layout are read. */
export const layoutFlags = {
  layout: Flags.option({
    options: [...LAYOUT_IDS, 'none'],
    description: 'How others lay their rows out; by default what the first records look like, none for our own alone',
  })(),
  map: Flags.custom<FieldMap>({
    parse: async (text) => parseFieldMap(text),
    helpValue: 'left=chosen,right=rejected,context=prompt,…',
    description: 'Columns that fields of ours are read from, for any other file; a.b reads b in a',
    exclusive: ['layout'],
  })(),
};

export const rowsOutFlag = outFlag({ required: true, description: 'File to write; - for standard output' });

export const errorsFlag = Flags.string({
  helpValue: 'FILE',
  description: 'File for refused rows with their line numbers; by default OUT.errors.jsonl',
});

export const minAgreementFlag = Flags.custom<number>({
  parse: async (text) => parseShare('--min-agreement', text),
  helpValue: '0…1',
  description: 'Drop rows whose votes agree less than this',
})();

export const fractionsFlag = Flags.custom<SplitFractions>({
  parse: async (text) => parseFractions(text),
  helpValue: 'train=0.8,val=0.1,test=0.1',
  description: 'Parts and the share of clusters that each gets; 80, 10 and 10 % if not given',
})();

const NUMBER = /^(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
/** Names of parts become names of files. */
const PART_NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;

/** Reads `train=0.8,val=0.1,test=0.1`. @throws HpsError USAGE; whether shares sum to 1 is asked where they are used */
export function parseFractions(text: string): SplitFractions {
  const parts = text.split(',').map((part) => part.split('=').map((piece) => piece.trim()));
  const names = new Set<string>();
  for (const [name, value = '', ...rest] of parts) {
    const hint = 'Write it as --fractions train=0.8,val=0.1,test=0.1.';
    if (!PART_NAME.test(name)) throw usage(`--fractions: ${JSON.stringify(name)} cannot name a part`, hint);
    if (names.has(name)) throw usage(`--fractions: ${name} is given twice`, hint);
    if (!NUMBER.test(value) || rest.length > 0) throw usage(`--fractions: ${name} has no share`, hint);
    names.add(name);
  }
  return Object.fromEntries(parts.map(([name, value]) => [name, Number(value)]));
}

function parseShare(flag: string, text: string): number {
  const value = NUMBER.test(text) ? Number(text) : Number.NaN;
  if (value >= 0 && value <= 1) return value;
  throw usage(`${flag}: expected a number from 0 to 1, got ${text}`, 'Write it as 0.7.');
}

/** @throws HpsError USAGE where rows and the document of `--json` would meet on standard output */
export function assertStdoutFree(out: string, json: boolean): void {
  if (out === '-' && json) throw usage('--json and --out - both want standard output', 'Give --out FILE.');
}

/** Where rows go if nothing is said: to whoever reads standard output. @throws HpsError USAGE where that is a terminal */
export function outOfPipe(): string {
  if (!process.stdout.isTTY) return '-';
  throw usage('nothing says where the scores go', 'Give --out FILE, or --out - to see them here.');
}

/** The standard streams of this process. */
export const processStreams = (): StandardStreams => ({
  stdin: process.stdin,
  stdout: {
    write: (bytes) =>
      new Promise((resolve, reject) => {
        process.stdout.write(bytes, (error) => (error ? reject(error) : resolve()));
      }),
  },
});

const usage = (message: string, hint: string): HpsError => new HpsError('USAGE', message, { hint });
