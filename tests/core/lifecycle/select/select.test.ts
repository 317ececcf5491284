import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { calibrateFiles } from '../../../../src/core/lifecycle/calibrate/calibrate.js';
import { evaluateFiles } from '../../../../src/core/lifecycle/evaluate/evaluate.js';
import { replaySelection } from '../../../../src/core/lifecycle/select/replay.js';
import { type SelectOptions, selectPairs } from '../../../../src/core/lifecycle/select/select.js';
import { selectionDocument, selectReplayDocument } from '../../../../src/core/selection/document.js';
import { withoutPixels } from '../../../helpers/drawings.js';
import { drawPairs, jsonLines, type Row, writeJudged } from '../../../helpers/judged.js';
import { tempFolder } from '../../../helpers/temp.js';

let folder: string;
const at = (name: string): string => join(folder, name);
const write = (name: string, rows: readonly Row[]): string => {
  writeFileSync(at(name), jsonLines(rows));
  return at(name);
};
const read = (name: string): Record<string, unknown>[] =>
  readFileSync(at(name), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

/** Four items a prompt, every two of them. */
const pairs = Array.from({ length: 5 }, (_, p) =>
  [0, 1, 2, 3].flatMap((i) =>
    Array.from({ length: i }, (_, j) => ({
      id: `${p}-${j}-${i}`,
      type: 'pair',
      left: `${p}/${j}.png`,
      right: `${p}/${i}.png`,
      prompt_id: `p${p}`,
    })),
  ),
).flat();
const scores = pairs.map(({ id }, i) => ({ id, logit: Math.sin(i) }));

const select = (options: Partial<SelectOptions> = {}) =>
  selectPairs({ pairs: at('pairs.jsonl'), budget: 10, out: at('queue.jsonl'), ...options });

beforeEach(() => {
  folder = tempFolder();
  write('pairs.jsonl', pairs);
  write('scores.jsonl', scores);
});

describe('select', () => {
  it('writes a queue with the rows of the pairs, a report and a picture, the same each time', async () => {
    const report = await select({ scores: at('scores.jsonl') });
    const { out, ...document } = report;
    expect(out).toBe('queue.jsonl');
    selectionDocument.schema.parse(document);
    const queue = read('queue.jsonl');
    expect(queue).toHaveLength(10);
    expect(queue.map(({ rank }) => rank)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(queue[0]).toMatchObject({ type: 'pair', left: expect.any(String), propensity: 1, reason: 'gain' });
    expect(queue.filter(({ reason }) => reason === 'random')).toHaveLength(1);
    expect(report.chosen.propensityByLot).toBe(1 / 21);
    for (const name of ['queue.report.json', 'queue.gain.svg', 'queue.gain.png'])
      expect(existsSync(at(name))).toBe(true);
    const before = readFileSync(at('queue.jsonl'), 'utf8');
    await select({ scores: at('scores.jsonl'), force: true });
    expect(readFileSync(at('queue.jsonl'), 'utf8')).toBe(before);
  });

  it('does not ask for what is labelled, repeated or held out', async () => {
    write('labels.jsonl', [{ ...pairs[0], id: 'other', left: pairs[0].right, right: pairs[0].left, labels: [1] }]);
    write('test.jsonl', [pairs.at(-1)!]);
    write('pairs.jsonl', [...pairs, { ...pairs[1], id: 'again', left: pairs[1].right, right: pairs[1].left }]);
    const { pool, labelsSoFar } = await select({
      labels: at('labels.jsonl'),
      heldOut: [at('test.jsonl')],
      budget: 100,
    });
    expect(pool).toEqual({ rows: 31, duplicates: 1, heldOut: 6, labelled: 1, unscored: 0, candidates: 23 });
    expect(labelsSoFar).toEqual({ pairs: 1, votes: 1 });
    const ids = read('queue.jsonl').map(({ id }) => id);
    expect(ids).not.toContain(pairs[0].id);
    expect(ids.some((id) => String(id).startsWith('4-'))).toBe(false);
    const again = await select({ labels: at('labels.jsonl'), votesPerPair: 2, budget: 100, force: true });
    expect(again.pool.labelled).toBe(0);
  });

  it('ranks by disagreement, by entropy, by lot, and by gain a second', async () => {
    write(
      'other.jsonl',
      scores.map(({ id, logit }, i) => ({ id, logit: i === 7 ? -3 * logit : logit })),
    );
    await select({ method: 'bald', members: [at('scores.jsonl'), at('other.jsonl')], budget: 1, randomShare: 0 });
    expect(read('queue.jsonl')[0].id).toBe(pairs[7].id);
    const entropy = await select({
      method: 'entropy',
      scores: at('scores.jsonl'),
      budget: 1,
      randomShare: 0,
      force: true,
    });
    expect(read('queue.jsonl')[0].id).toBe(pairs[0].id); // logit 0
    expect(entropy.warnings.join()).toContain('Nothing calibrates the scores');
    const random = await select({ method: 'random', force: true });
    expect(random.chosen).toMatchObject({ byGain: 0, byLot: 10, propensityByLot: 10 / 30 });
    write('votes.jsonl', [{ pair: pairs[0].id, ms: 4000, choice: 'left' }]);
    const timed = await select({ times: at('votes.jsonl'), force: true });
    expect(timed.chosen.seconds).toBe(40);
    expect(read('queue.jsonl')[0].cost_s).toBe(4);
  });

  it('takes ids alone from scores, and says so', async () => {
    const report = await select({ pairs: undefined, scores: at('scores.jsonl') });
    expect(read('queue.jsonl')[0]).toMatchObject({ id: expect.any(String), rank: 1 });
    expect(report.warnings.join()).toContain('ids alone');
  });

  it('says when enough is labelled', async () => {
    const utilities = [8, 4, -4, -8];
    write(
      'labels.jsonl',
      pairs.map((pair) => {
        const [, j, i] = pair.id.split('-').map(Number);
        return { ...pair, labels: new Array(20).fill(utilities[j] > utilities[i] ? 1 : 0) };
      }),
    );
    const { stop, warnings } = await select({ labels: at('labels.jsonl'), votesPerPair: 1000 });
    expect(stop).toMatchObject({ reached: true, settled: 1 });
    expect(warnings.join()).toContain('Enough is labelled');
  });

  it.each([
    [{ pairs: undefined }, 'USAGE', 'nothing says which pairs there are'],
    [{ method: 'bald' as const }, 'USAGE', 'there is no member'],
    [{ method: 'bald' as const, members: ['scores.jsonl'] }, 'USAGE', 'there is one member'],
    [{ method: 'entropy' as const }, 'USAGE', 'entropy is of the scores'],
    [{ labels: 'all.jsonl' }, 'DATA_INVALID', '30 labelled'],
    [{ pairs: 'scores.jsonl' }, 'DATA_INVALID', 'has no pair to ask for'],
    [{ times: 'scores.jsonl' }, 'DATA_INVALID', 'has no vote with its time'],
    [{ pairs: 'none.jsonl' }, 'FILE_NOT_FOUND', 'none.jsonl'],
  ])('refuses %j', async (options, code, message) => {
    write(
      'all.jsonl',
      pairs.map((pair) => ({ ...pair, labels: [1] })),
    );
    const paths = Object.entries(options).map(([name, value]) => [
      name,
      name === 'method' ? value : Array.isArray(value) ? value.map(at) : value && at(value as string),
    ]);
    await expect(select(Object.fromEntries(paths))).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
    });
    expect(existsSync(at('queue.jsonl'))).toBe(false);
  });

  it('refuses more items in one comparison than a covariance holds', async () => {
    const chain = Array.from({ length: 1100 }, (_, i) => ({
      ...{ id: `${i}`, type: 'pair', left: `${i}`, right: `${i + 1}`, prompt_id: 'all' },
      labels: [1],
    }));
    write('labels.jsonl', chain);
    await expect(select({ labels: at('labels.jsonl') })).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringContaining('more than 1024 items'),
    });
  });
});

describe('propensities', () => {
  it('make evaluate and calibrate count a row as one over its own', async () => {
    const drawn = drawPairs({ prompts: 40, truth: 0.5 });
    writeJudged(folder, drawn);
    const rows = read('labels.jsonl');
    // What is there three times with propensity 1 is there once with a third.
    const [some, once] = [rows.slice(0, 30), rows.slice(30)];
    write('thrice.jsonl', [
      ...some.flatMap((row) => [0, 1, 2].map((k) => ({ ...row, id: `${row.id}#${k}` }))),
      ...once,
    ]);
    write('weighted.jsonl', [...some.map((row) => ({ ...row, propensity: 1 / 3 })), ...once]);
    write(
      'both.jsonl',
      read('scores.jsonl').flatMap((row) => [row, ...[0, 1, 2].map((k) => ({ ...row, id: `${row.id}#${k}` }))]),
    );
    const judged = (labels: string) => evaluateFiles({ scores: at('both.jsonl'), labels: at(labels), resamples: 100 });
    const [thrice, weighted] = [await judged('thrice.jsonl'), await judged('weighted.jsonl')];
    for (const id of ['accuracy', 'auc', 'nll', 'brier', 'ece']) {
      expect(weighted.overall[id].value).toBeCloseTo(thrice.overall[id].value!, 10);
    }
    expect(weighted.ceiling?.value).toBeCloseTo(thrice.ceiling!.value!, 10);
    expect(weighted.rows.effectiveRows).toBeLessThan(weighted.n);
    expect(weighted.warnings.join()).toContain('one over their propensity');
    const fitted = (labels: string, method: 'temperature') =>
      calibrateFiles({
        scores: at('both.jsonl'),
        labels: at(labels),
        method,
        out: at(`${labels}.json`),
        resamples: 100,
      });
    const [one, other] = [await fitted('thrice.jsonl', 'temperature'), await fitted('weighted.jsonl', 'temperature')];
    const slope = ({ parameters }: typeof one) => (parameters.kind === 'sigmoid' ? parameters.slope : Number.NaN);
    // The votes imagined beside those that were cast are the same for more and fewer of them.
    expect(slope(other) / slope(one)).toBeCloseTo(1, 1);
  });
});

describe('select replay', () => {
  it('compares a method with chance on labels that are there', async () => {
    const labelled = pairs.map((pair) => {
      const [, j, i] = pair.id.split('-').map(Number);
      return { ...pair, labels: [i > j ? 1 : 0, 1, i > j ? 1 : 0.5] };
    });
    write('labels.jsonl', labelled);
    const { out, ...document } = await replaySelection({
      labels: at('labels.jsonl'),
      out: at('replay.json'),
      replays: 3,
      batch: 4,
    });
    expect(out).toBe('replay.json');
    selectReplayDocument.schema.parse(document);
    expect(document).toMatchObject({ pairs: 30, prompts: 5, votes: 90, full: 1, batch: 4 });
    expect(existsSync(at('replay.curve.svg'))).toBe(true);
    expect(withoutPixels(folder)).toEqual([]);
    const model = await replaySelection({
      labels: at('labels.jsonl'),
      scores: at('scores.jsonl'),
      method: 'entropy',
      metric: 'accuracy',
      replays: 2,
    });
    expect(model.out).toBeNull();
    expect(model.full).toBeGreaterThan(0.5);
  });

  it.each([
    [{ scores: 'scores.jsonl' }, 'USAGE', 'a simulation has no scores'],
    [{ metric: 'accuracy' as const }, 'USAGE', 'never end'],
    [{ method: 'random' as const }, 'USAGE', 'chance'],
    [{ labels: 'pairs.jsonl' }, 'DATA_INVALID', 'has no judged pair to replay'],
    [{ labels: 'one.jsonl', scores: 'scores.jsonl' }, 'DATA_INVALID', '1 of 1 labelled pairs have no score'],
  ])('refuses %j', async (options, code, message) => {
    write('one.jsonl', [{ ...pairs[0], id: 'unknown', labels: [1] }]);
    const paths = Object.entries(options).map(([name, value]) => [name, value.endsWith('.jsonl') ? at(value) : value]);
    await expect(replaySelection(Object.fromEntries(paths))).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
    });
  });
});
