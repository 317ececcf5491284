import { fullness, type MemoryUse, memoryUse } from './memory-use.js';

/** From here on a limit counts as near: a batch more must still find room. */
export const NEAR = 0.85;
/** Memory is looked at so often, which costs some tens of microseconds. */
const LOOK_MS = 100;
/** What was under way when less was allowed takes a moment until it is gone. */
const SETTLE_MS = 1000;

export interface MemoryWatchOptions {
  /** What this program and the processes it starts should take at most; the limit of its container counts in any case. */
  readonly maxMemory: number | undefined;
  /** Lets half of the work be under way at once. @returns how much that is now, in words; null where it was the least already */
  readonly halve: () => string | null;
  /** The least that can be under way, in words: `with one batch at a time`. */
  readonly least: string;
  readonly onWarning: (warning: string) => void;
  /** For tests. */
  readonly look?: () => MemoryUse | null;
}

/** Halves what is under way whenever memory comes near its limit, and says so. @returns what ends it */
export function watchMemory({
  maxMemory,
  halve,
  least,
  onWarning,
  look = () => memoryUse(maxMemory),
}: MemoryWatchOptions): () => void {
  const first = look();
  if (first === null) return () => undefined;
  // What is over its limit before anything runs stays so, and a short run might end before the first look.
  if (fullness(first) >= 1) {
    while (halve() !== null);
    onWarning(overLimit(first, least));
    return () => undefined;
  }
  let quietUntil = 0;
  let isOver = false;
  const check = (): void => {
    const use = look();
    if (isOver || use === null || fullness(use) < NEAR || performance.now() < quietUntil) return;
    const now = halve();
    quietUntil = performance.now() + SETTLE_MS;
    isOver = now === null;
    onWarning(isOver ? overLimit(use, least) : `${taken(use)}: ${now} from here on.`);
  };
  const timer = setInterval(check, LOOK_MS).unref();
  return () => clearInterval(timer);
}

/** `no more than 5 rows are under way at once` */
export const underWay = (rows: number): string =>
  `no more than ${rows} row${rows === 1 ? ' is' : 's are'} under way at once`;

/** `90 MiB of memory are in use, and the limit is 100 MiB` */
export const taken = ({ usedBytes, limitBytes, of }: MemoryUse): string =>
  `${mib(usedBytes)} MiB of memory are in use, and the limit${of === 'bound' ? '' : ' of the container'} is ${mib(limitBytes)} MiB`;

/** What is said where less cannot be under way: `with one batch at a time`. */
const overLimit = (use: MemoryUse, least: string): string => `${taken(use)}: even ${least} it may need more.`;

/** With marks of thousands. */
export const mib = (bytes: number): string => Math.round(bytes / 2 ** 20).toLocaleString('en');
