import { HpsError } from '../errors.js';

/** How far a result may move from what it is compared with. A part that is absent is not judged. */
export interface Budget {
  /** Pairs whose winner may differ. */
  readonly flips?: number;
  /** Share of pairs whose winner may differ, in [0, 1]. */
  readonly flipRate?: number;
  /** Lowest Kendall tau-b between the scores. */
  readonly kendall?: number;
  /** Largest |difference| of a score, in logits. */
  readonly score?: number;
  /** Largest |difference| of a calibrated probability. */
  readonly probability?: number;
}

/** Budgets by what the result is compared with (DESIGN: The gate). Golden outputs are judged by `GOLDEN_ATOL`. */
export const DEFAULT_BUDGETS = {
  golden: {},
  none: {},
  source: { flips: 0, score: 1e-4 },
  quantize: { flipRate: 0.005, kendall: 0.99 },
  ensemble: { flips: 0, score: 1e-5 },
  calibrate: { flips: 0, probability: 1e-5 },
} as const satisfies Record<string, Budget>;

export type BudgetKind = keyof typeof DEFAULT_BUDGETS;

/** Largest |exported - golden| of any output, by the dtype of the checkpoint. */
export const GOLDEN_ATOL = { fp32: 1e-4, fp16: 1e-2, bf16: 5e-2 } as const;

const KEYS = ['flips', 'kendall', 'score', 'probability'] as const;
/** A share of the pairs; a count has no point. */
const FRACTION = /^0?\.\d+$/;
const EXAMPLE = 'flips=0,kendall=0.999,score=1e-4';

/**
 * Reads `--budget flips=0,kendall=0.999,score=1e-4`. `flips` is a count of pairs, or a share of them: `0.5%` or `0.005`.
 * @throws HpsError USAGE naming the part that is wrong
 */
export function parseBudget(text: string): Budget {
  const budget: { -readonly [K in keyof Budget]: Budget[K] } = {};
  const seen = new Set<string>();
  for (const part of text.split(',')) {
    const [key, value, ...rest] = part.split('=').map((piece) => piece.trim());
    if (!isKey(key)) throw usage(`unknown budget "${key}"`, didYouMean(key));
    if (value === undefined || rest.length > 0) throw usage(`"${part.trim()}" is not ${key}=NUMBER`);
    if (seen.has(key)) throw usage(`${key} is given twice`);
    seen.add(key);
    if (key === 'flips' && value.endsWith('%')) budget.flipRate = number(key, value.slice(0, -1), 0, 100) / 100;
    else if (key === 'flips' && FRACTION.test(value)) budget.flipRate = Number(value);
    else if (key === 'flips') budget.flips = count(value);
    else budget[key] = number(key, value, key === 'kendall' ? -1 : 0, key === 'score' ? Number.MAX_VALUE : 1);
  }
  return budget;
}

/** `given` over the default of its kind; one spelling of flips replaces the other. */
export function withDefaults(kind: BudgetKind, given: Budget = {}): Budget {
  const { flips, flipRate, ...rest }: Budget = DEFAULT_BUDGETS[kind];
  const flipsGiven = given.flips !== undefined || given.flipRate !== undefined;
  return { ...rest, ...(flipsGiven ? {} : dropUndefined({ flips, flipRate })), ...given };
}

const dropUndefined = (budget: Budget): Budget =>
  Object.fromEntries(Object.entries(budget).filter(([, value]) => value !== undefined));

const isKey = (key: string): key is (typeof KEYS)[number] => (KEYS as readonly string[]).includes(key);

function number(key: string, text: string, low: number, high: number): number {
  const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
  if (value >= low && value <= high) return value;
  throw usage(
    `${key}=${text} is not a number ${high === Number.MAX_VALUE ? `of at least ${low}` : `from ${low} to ${high}`}`,
  );
}

function count(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw usage(
    `flips=${text} is not a count of pairs`,
    'Write a whole number, or a share of the pairs with a percent sign: flips=0.5%.',
  );
}

/** The known key with the same first letter, or all of them. */
function didYouMean(key: string): string {
  const close = KEYS.find(
    (known) => known[0] === key[0]?.toLowerCase() || known.startsWith(key.toLowerCase().slice(0, 3)),
  );
  return close && key !== ''
    ? `Did you mean ${close}? Known are ${KEYS.join(', ')}.`
    : `Known are ${KEYS.join(', ')}: \`budget\` ${EXAMPLE}.`;
}

const usage = (message: string, hint = `Write it as \`budget\` ${EXAMPLE}.`): HpsError =>
  new HpsError('USAGE', `\`budget\`: ${message}`, { hint });
