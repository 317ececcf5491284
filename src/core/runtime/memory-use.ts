import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { residentBytes } from './process-facts.js';

/** Memory that is taken, of what may be. */
export interface MemoryUse {
  readonly usedBytes: number;
  readonly limitBytes: number;
  /** Whose limit it is: the one that was asked for, or that of the container (its control group). */
  readonly of: 'bound' | 'container';
}

/**
 * Memory that this program takes beside the bound it was given, and its container beside its own, whichever is nearer its limit; null
 * where there is neither. With the processes it has started on Linux, without them elsewhere.
 * @param root - of the file system: another one in tests
 */
export function memoryUse(boundBytes: number | undefined, root = '/'): MemoryUse | null {
  const bound =
    boundBytes === undefined ? null : { usedBytes: treeBytes(), limitBytes: boundBytes, of: 'bound' as const };
  const container = containerUse(root);
  if (!bound || !container) return bound ?? container;
  return fullness(container) > fullness(bound) ? container : bound;
}

/** From 0 to 1 where the limit is kept. */
export const fullness = ({ usedBytes, limitBytes }: MemoryUse): number => usedBytes / limitBytes;

/** Resident memory of this process and of all that it has started and is still there. */
const treeBytes = (): number =>
  process.memoryUsage.rss() + childrenOf(process.pid).reduce((sum, pid) => sum + residentTree(pid), 0);

const residentTree = (pid: number): number =>
  residentBytes(pid) + childrenOf(pid).reduce((sum, child) => sum + residentTree(child), 0);

function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'latin1').split(' ').filter(Boolean).map(Number),
    );
  } catch {
    return []; // gone, or no Linux
  }
}

/** Where version 2 of control groups and version 1 say what a group takes, what it may, and how much of that are copies of files. */
const VERSIONS = [
  {
    line: /^0::(.*)$/m,
    folder: '',
    used: 'memory.current',
    limit: 'memory.max',
    files: /^(?:in)?active_file (\d+)$/gm,
  },
  {
    line: /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$/m,
    folder: 'memory',
    used: 'memory.usage_in_bytes',
    limit: 'memory.limit_in_bytes',
    files: /^total_(?:in)?active_file (\d+)$/gm,
  },
] as const;

/** Limits beyond this are how version 1 says that there is none. */
const UNLIMITED_BYTES = 2 ** 60;

/** What the nearest control group with a limit takes beside copies of files, which the system drops when it needs room. */
function containerUse(root: string): MemoryUse | null {
  const groups = read(join(root, 'proc/self/cgroup'));
  for (const { line, folder, used, limit, files } of VERSIONS) {
    const path = line.exec(groups)?.[1];
    if (path === undefined) continue;
    // Within a container its group is the root of what can be seen, whatever the path says.
    for (const group of new Set([path, '/'])) {
      const at = join(root, 'sys/fs/cgroup', folder, group);
      const limitBytes = Number(read(join(at, limit)) || Number.NaN); // `max` is none
      if (!(limitBytes > 0 && limitBytes < UNLIMITED_BYTES)) continue;
      const copies = [...read(join(at, 'memory.stat')).matchAll(files)].reduce(
        (sum, [, bytes]) => sum + Number(bytes),
        0,
      );
      return { usedBytes: Number(read(join(at, used))) - copies, limitBytes, of: 'container' };
    }
  }
  return null;
}

/** Empty where it cannot be read: no Linux, or no such version. */
function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
