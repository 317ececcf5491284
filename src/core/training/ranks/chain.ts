import { LIMITS } from '../../limits.js';
import type { HeldGradients, HostUpdate } from '../update/host-update.js';
import type { RankGroup } from './group.js';

/** Losses of runs added up, by name, in the order of the runs. */
export type LossSums = Map<string, number>;

/** What goes along the chain before the floats. */
interface Head {
  /** As text: JSON has no infinities. */
  readonly losses: readonly (readonly [name: string, value: string])[];
  /** Slabs with a gradient, in the order of the first. */
  readonly slabs: readonly string[];
}

/**
 * Adds up the gradients of all processes as one machine would: rank 0 sends the sum of its runs, each of the others adds its own, run
 * by run, and passes it on; the total comes back the same way. Every float is added in the order of the runs, so the total has the
 * bits of one machine. Pieces of a slab are on their way while the next are added.
 * @param host - holds the sum of this process' runs at rank 0, and the total afterwards
 * @param held - gradients of this process' runs, in order, at any other rank
 * @param losses - of this process' runs at rank 0; of all runs afterwards
 * @param ownLosses - of this process' runs one by one, at any other rank
 */
export async function sumAlong(
  group: RankGroup,
  host: HostUpdate,
  held: readonly HeldGradients[],
  {
    losses,
    ownLosses,
    lengthOf,
  }: { losses: LossSums; ownLosses: readonly ReadonlyMap<string, number>[]; lengthOf: (slab: string) => number },
): Promise<void> {
  const { previous, next } = group;
  const before = previous ? ((await previous.json()) as unknown as Head) : headOf(losses, host.touchedSlabs);
  const known = new Set(before.slabs);
  const slabs = [...new Set([...before.slabs, ...held.flatMap(({ gradients }) => [...gradients.keys()])])];
  takeLosses(losses, before);
  for (const run of ownLosses) for (const [name, value] of run) losses.set(name, (losses.get(name) ?? 0) + value);
  const head = headOf(losses, slabs);
  await next?.sendJson(head);

  const add = async (): Promise<void> => {
    if (!next) await previous?.sendJson(head);
    for (const slab of slabs) {
      const sum = host.sumOf(slab, lengthOf(slab));
      for (const [start, end] of pieces(sum.length)) {
        if (previous && known.has(slab)) await previous.readFloats(sum.subarray(start, end));
        host.addHeld(slab, held, start, end, !known.has(slab));
        await (next ?? previous)?.sendFloats(sum.subarray(start, end));
      }
    }
  };
  const takeTotal = async (): Promise<void> => {
    if (!next) return;
    const total = (await next.json()) as unknown as Head;
    takeLosses(losses, total);
    await previous?.sendJson(total);
    for (const slab of total.slabs) {
      const sum = host.sumOf(slab, lengthOf(slab));
      for (const [start, end] of pieces(sum.length)) {
        await next.readFloats(sum.subarray(start, end));
        await previous?.sendFloats(sum.subarray(start, end));
      }
    }
    host.touch(total.slabs);
  };
  if (!next) host.touch(slabs);
  await Promise.all([add(), takeTotal()]);
}

const headOf = (losses: LossSums, slabs: readonly string[]): Head => ({
  losses: Array.from(losses, ([name, value]) => [name, Object.is(value, -0) ? '-0' : String(value)]),
  slabs,
});

function takeLosses(losses: LossSums, head: Head): void {
  losses.clear();
  for (const [name, value] of head.losses) losses.set(name, Number(value));
}

function* pieces(length: number): Generator<[start: number, end: number]> {
  for (let start = 0; start < length; start += LIMITS.rankPieceFloats)
    yield [start, Math.min(length, start + LIMITS.rankPieceFloats)];
}
