import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { HpsError } from '../../../../src/core/errors.js';
import { type TrainOptions, trainModel } from '../../../../src/core/lifecycle/train/train.js';
import type { Progress } from '../../../../src/core/run.js';
import { sumAlong } from '../../../../src/core/training/ranks/chain.js';
import { type JoinOptions, joinRanks, type RankGroup } from '../../../../src/core/training/ranks/group.js';
import { placeFromEnvironment } from '../../../../src/core/training/ranks/place.js';
import { HostUpdate } from '../../../../src/core/training/update/host-update.js';
import type { Parameters } from '../../../../src/core/training/update/parameters.js';
import { tempFolder } from '../../../helpers/temp.js';
import { tinyRun } from '../../../helpers/training.js';

const IDENTITY = { 'configuration and data': 'a', code: 'b', runtime: 'c', threads: '1', processor: 'x' };

function joining(size: number, more: Partial<JoinOptions>[] = []): Promise<RankGroup>[] {
  const meeting = join(tempFolder(), 'run.ranks');
  return Array.from({ length: size }, (_, rank) =>
    joinRanks({ rank, size, job: 'test', meeting, identity: IDENTITY, waitMs: 5000, ...more[rank] }),
  );
}

const codes = async (groups: readonly Promise<RankGroup>[]): Promise<(string | undefined)[]> => {
  const results = await Promise.allSettled(groups);
  for (const result of results) if (result.status === 'fulfilled') result.value.close();
  return results.map((result) => (result.status === 'rejected' ? (result.reason as HpsError).code : undefined));
};

describe('training in many processes', () => {
  const outcome = (out: string): string[] =>
    ['checkpoint.safetensors', 'state.safetensors', 'log.jsonl'].map((file) => readFileSync(join(out, file), 'latin1'));
  /** Waits for all, also where one fails. */
  const together = async (options: TrainOptions, size: number) => {
    const runs = Array.from({ length: size }, (_, rank) => trainModel({ ...options, ranks: { rank, size, job: '' } }));
    await Promise.allSettled(runs);
    return Promise.all(runs);
  };

  it('gives the bytes of one, also where it is stopped and resumed by another number of them', async () => {
    const alone = tinyRun(tempFolder(), { micro_batch_size: 2, steps: 6, eval_every: 3, checkpoint_every: 3 });
    const report = await trainModel(alone);
    const stopped = { ...alone, out: join(tempFolder(), 'run') };
    const stop = new AbortController();
    const onProgress = ({ stage, done }: Progress) =>
      stage === 'Training' && done === 4 && stop.abort(new Error('stopped'));
    await expect(together({ ...stopped, signal: stop.signal, onProgress }, 2)).rejects.toThrow(/stopped|has ended/);
    expect(await together({ ...stopped, resume: true }, 4)).toEqual(Array(4).fill(report));
    expect(outcome(stopped.out)).toEqual(outcome(alone.out));
  });

  it('refuses runs that cannot be shared alike', async () => {
    await expect(together(tinyRun(tempFolder(), { micro_batch_size: 8 }), 2)).rejects.toMatchObject({
      code: expect.stringMatching(/CONFIG_INVALID|RANK_LOST/),
    });
  });
});

describe('sumAlong', () => {
  /** Two slabs, of which some runs have one: the first of them is not always touched first. */
  const runs = Array.from({ length: 6 }, (_, run) => {
    const floats = (length: number, seed: number) =>
      Float32Array.from({ length }, (_, i) => Math.sin(i * 12.9898 + seed) * 10 ** ((i % 9) - 4));
    const gradients = new Map<string, Float32Array>();
    if (run !== 1) gradients.set('b', floats(70_000, run));
    if (run > 0) gradients.set('a', floats(5, run + 100));
    return { gradients, factor: 1 / 6, losses: new Map([['loss', run === 4 ? Number.NaN : 0.1 * run]]) };
  });
  const lengthOf = (slab: string): number => (slab === 'a' ? 5 : 70_000);
  const settings = {} as ConstructorParameters<typeof HostUpdate>[1];
  const hostOf = () => new HostUpdate({ states: [] } as unknown as Parameters, settings);

  it.each([2, 3, 6])('adds in the order of one process, whatever overflows: %i processes', async (size) => {
    runs[2].gradients.get('b')![7] = Number.POSITIVE_INFINITY; // of a loss that was scaled too much
    const alone = hostOf();
    for (const { gradients, factor } of runs) alone.add(gradients, factor);
    const groups = await Promise.all(joining(size));
    const share = runs.length / size;
    const hosts = await Promise.all(
      groups.map(async (group) => {
        const host = hostOf();
        const own = runs.slice(group.rank * share, (group.rank + 1) * share);
        const isFirst = group.rank === 0;
        if (isFirst) for (const { gradients, factor } of own) host.add(gradients, factor);
        const losses = new Map<string, number>();
        if (isFirst) for (const run of own) losses.set('loss', (losses.get('loss') ?? 0) + run.losses.get('loss')!);
        await sumAlong(group, host, isFirst ? [] : own, {
          losses,
          ownLosses: isFirst ? [] : own.map((run) => run.losses),
          lengthOf,
        });
        return { host, losses };
      }),
    );
    for (const { host, losses } of hosts) {
      expect(host.touchedSlabs).toEqual(alone.touchedSlabs);
      for (const slab of alone.touchedSlabs) {
        const bytes = (from: HostUpdate) => Buffer.from(from.sumOf(slab, lengthOf(slab)).buffer);
        expect(bytes(host).equals(bytes(alone))).toBe(true);
      }
      expect(losses.get('loss')).toBeNaN();
    }
    for (const group of groups) group.close();
  });
});

describe('joinRanks', () => {
  it('lets nobody in who does not know the secret', async () => {
    expect(await codes(joining(2, [{ secret: 'a', waitMs: 1000 }, { secret: 'b' }]))).toEqual([
      'RANK_LOST',
      'ACCESS_DENIED',
    ]);
  });

  it.each([
    ['configuration and data', {}],
    ['code', {}],
    ['code', { allowMixed: true }],
    ['processor', {}],
  ])('refuses another %s: %j', async (what, more) => {
    const groups = joining(3, [more, more, { ...more, identity: { ...IDENTITY, [what]: 'other' } }]);
    expect(await codes(groups)).toEqual(Array(3).fill('RANKS_DISAGREE'));
  });

  it('lets another processor take part where a mix is allowed', async () => {
    const mixed = { identity: { ...IDENTITY, processor: 'other', threads: '2' } };
    expect(await codes(joining(2, [{ allowMixed: true }, mixed]))).toEqual([undefined, undefined]);
  });

  it('takes each rank once, and says which does not come', async () => {
    const meeting = join(tempFolder(), 'run.ranks');
    const of = (rank: number) => joinRanks({ rank, size: 3, job: '', meeting, identity: IDENTITY, waitMs: 1500 });
    const [first, second, third] = await Promise.allSettled([of(0), of(1), of(1)]);
    expect([second, third].map((each) => (each as PromiseRejectedResult).reason.code).sort()).toEqual([
      'RANK_LOST',
      'USAGE',
    ]);
    expect(first).toMatchObject({
      reason: { code: 'RANK_LOST', message: expect.stringContaining('rank 2 did not come') },
    });
  });

  it('waits for one that comes late', async () => {
    const meeting = join(tempFolder(), 'run.ranks');
    const options = { size: 2, job: '', meeting, identity: IDENTITY, waitMs: 5000 };
    const first = joinRanks({ ...options, rank: 1 });
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await codes([first, joinRanks({ ...options, rank: 0 })])).toEqual([undefined, undefined]);
  });

  it('tells all where one of them goes', async () => {
    const lost: string[] = [];
    const onLost = ({ message }: HpsError) => lost.push(message);
    const [first, second, third] = await Promise.all(joining(3, [{ onLost }, {}, { onLost }]));
    second.close();
    const told = (group: RankGroup) => new Promise((resolve) => group.signal.addEventListener('abort', resolve));
    await Promise.all([told(first), told(third)]);
    expect(lost.sort()).toEqual([
      'rank 1 has ended before the work was done',
      'rank 1 has ended before the work was done',
    ]);
    await expect(first.broadcast(() => 1)).rejects.toMatchObject({ code: 'RANK_LOST' });
  });
});

describe('placeFromEnvironment', () => {
  it.each([
    [
      { RANK: '1', WORLD_SIZE: '2', TORCHELASTIC_RUN_ID: 'j', TORCHELASTIC_RESTART_COUNT: '0' },
      { rank: 1, size: 2, job: 'torchrun:j:0' },
    ],
    [
      { OMPI_COMM_WORLD_RANK: '3', OMPI_COMM_WORLD_SIZE: '4', PMIX_NAMESPACE: '77.1' },
      { rank: 3, size: 4, job: 'mpirun:77.1' },
    ],
    [
      { SLURM_PROCID: '0', SLURM_STEP_NUM_TASKS: '2', SLURM_JOB_ID: '9', SLURM_STEP_ID: '0' },
      { rank: 0, size: 2, job: 'srun:9:0' },
    ],
    [
      { PMI_RANK: '0', PMI_SIZE: '2' },
      { rank: 0, size: 2, job: 'mpiexec:' },
    ],
    [{ SLURM_PROCID: '0', SLURM_NTASKS: '8' }, null],
    [{ RANK: '0', WORLD_SIZE: '1' }, null],
    [{}, null],
  ])('reads %j', (env, place) => {
    expect(placeFromEnvironment(env)).toEqual(place);
  });

  it.each([
    { RANK: '2', WORLD_SIZE: '2' },
    { RANK: 'x', WORLD_SIZE: '2' },
  ])('refuses %j', (env) => {
    expect(() => placeFromEnvironment(env)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });
});
