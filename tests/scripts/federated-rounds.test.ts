import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { PROJECT } from '../helpers/cli.js';
import { sharedFolder } from '../helpers/temp.js';

type Weights = Map<string, { shape: number[]; values: Float32Array }>;
interface Received {
  kept: { silo: string; change: Weights }[];
  leftOut: { silo: string; reason: string }[];
}
interface Rounds {
  sendChange(folder: string, note: Record<string, unknown>, change: Weights): Promise<void>;
  receiveChanges(folder: string, silos: string[], base: string, weights: Weights): Promise<Received>;
  outerStep(weights: Weights, changes: Weights[], options: object, momentum: Weights): Weights;
  changeOf(before: Weights, after: Weights): Weights;
}
interface Files {
  saveWeights(path: string, weights: Weights, config: object): Promise<void>;
  weightsOf(path: string): Promise<Weights>;
}

const SILOS = ['one', 'two', 'three', 'four'];
const folder = sharedFolder();
const base = join(folder, 'base.safetensors');
let rounds: Rounds;
let files: Files;
let weights: Weights;
let round = '';
let count = 0;

/** A change that all values of have one size, in a direction of the silo's own. */
const changeBy = (size: number, silo = 0): Weights =>
  new Map([
    ['a', { shape: [2, 2], values: Float32Array.from([size, -size, size, size + silo * 1e-3]) }],
    ['b', { shape: [3], values: new Float32Array(3).fill(size) }],
  ]);

const send = (silo: string, change: Weights, from = base) =>
  rounds.sendChange(round, { silo, base: from, steps: 1, config: {} }, change);
const receive = () => rounds.receiveChanges(round, SILOS, base, weights);
const silosOf = (list: readonly { silo: string }[]) => list.map(({ silo }) => silo);

beforeAll(async () => {
  rounds = (await import(`${PROJECT}scripts/federated-rounds.js`)) as Rounds;
  files = (await import(`${PROJECT}scripts/weights.js`)) as Files;
  weights = changeBy(1);
  await files.saveWeights(base, weights, {});
});

beforeEach(async () => {
  round = join(folder, `round-${count++}`);
  mkdirSync(round);
  for (const [i, silo] of SILOS.entries()) await send(silo, changeBy(0.1, i));
});

describe('a round', () => {
  it('takes what every silo sent', async () => {
    const { kept, leftOut } = await receive();
    expect(silosOf(kept)).toEqual(SILOS);
    expect(leftOut).toEqual([]);
    expect(kept[0].change.get('a')!.values).toEqual(changeBy(0.1).get('a')!.values);
  });

  it.each<[string, () => unknown, RegExp]>([
    ['sent NaN', () => send('two', changeBy(Number.NaN)), /no number/],
    ['sent infinity', () => send('two', changeBy(Infinity)), /no number/],
    ['sent an outlier', () => send('two', changeBy(0.5)), /5 times as much as the median silo/],
    ['began with other weights', () => send('two', changeBy(0.1), join(round, 'one.safetensors')), /other weights/],
    [
      'sent tensors of another model',
      () => send('two', new Map([['a', { shape: [1], values: new Float32Array(1) }]])),
      /another model/,
    ],
    ['sent half a file', () => truncateSync(join(round, 'two.safetensors'), 100), /not the one it announced/],
    ['sent a file that was changed on the way', () => flipLastBit(join(round, 'two.safetensors')), /announced/],
    ['sent half a note', () => writeFileSync(join(round, 'two.json'), '{"silo":"two","fi'), /cannot be read/],
    ['sent a note of nothing', () => writeFileSync(join(round, 'two.json'), 'null'), /not the one it announced/],
    [
      'names a file elsewhere',
      () => writeFileSync(join(round, 'two.json'), '{"file":"../base.safetensors","sha256":""}'),
      /announced/,
    ],
  ])('goes on without a silo that %s', async (_, spoil, reason) => {
    await spoil();
    const { kept, leftOut } = await receive();
    expect(silosOf(kept)).toEqual(['one', 'three', 'four']);
    expect(leftOut).toEqual([{ silo: 'two', reason: expect.stringMatching(reason) }]);
  });

  it('goes on without a silo that sent nothing', async () => {
    const { kept, leftOut } = await rounds.receiveChanges(round, [...SILOS, 'five'], base, weights);
    expect(silosOf(kept)).toEqual(SILOS);
    expect(leftOut).toEqual([{ silo: 'five', reason: 'sent nothing' }]);
  });

  it('holds the longer of two changes to the shorter', async () => {
    await send('two', changeBy(100));
    const { kept, leftOut } = await rounds.receiveChanges(round, ['one', 'two'], base, weights);
    expect(silosOf(kept)).toEqual(['one']);
    expect(silosOf(leftOut)).toEqual(['two']);
  });
});

describe('the step of the server', () => {
  const still = () => new Map(Array.from(weights, ([name, of]) => [name, { ...of, values: of.values.map(() => 0) }]));
  const step = (aggregate: string, sizes: number[]) => {
    const changes = sizes.map((size) => changeBy(size));
    const moved = rounds.outerStep(weights, changes, { aggregate, lr: 0.5, momentum: 0 }, still());
    return rounds.changeOf(weights, moved).get('b')!.values[0];
  };

  it('is along the mean, or the median, which an outlier does not move', () => {
    expect(step('mean', [0.1, 0.2, 0.6])).toBeCloseTo(0.15, 6);
    expect(step('median', [0.1, 0.2, 0.6])).toBeCloseTo(0.1, 6);
    expect(step('median', [0.1, 0.2, 1e6])).toBeCloseTo(0.1, 6);
    expect(step('median', [0.1, 0.2])).toBeCloseTo(0.075, 6);
  });

  it('has the momentum of torch.optim.SGD with nesterov', () => {
    const momentum = still();
    const options = { aggregate: 'mean', lr: 0.5, momentum: 0.9 };
    const first = rounds.outerStep(weights, [changeBy(0.1)], options, momentum);
    const second = rounds.outerStep(first, [changeBy(0.2)], options, momentum);
    expect(rounds.changeOf(weights, first).get('b')!.values[0]).toBeCloseTo(0.5 * (0.1 + 0.9 * 0.1), 6);
    expect(rounds.changeOf(first, second).get('b')!.values[0]).toBeCloseTo(0.5 * (0.2 + 0.9 * 0.29), 6);
  });
});

function flipLastBit(path: string): void {
  const bytes = readFileSync(path);
  bytes[bytes.length - 1] ^= 1;
  writeFileSync(path, bytes);
}
