import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it } from 'vitest';
import { withSource } from '../../../../src/core/bytes/source.js';
import { fileInput } from '../../../../src/core/data/input.js';
import { readRows } from '../../../../src/core/data/read-rows.js';
import { evaluateFiles } from '../../../../src/core/lifecycle/evaluate/evaluate.js';
import { jsonLines, type Row } from '../../../helpers/judged.js';
import { tempFolder } from '../../../helpers/temp.js';

const PROJECT = fileURLToPath(new URL('../../../../', import.meta.url));
/** Made by rewardbench 0.1.4 and numpy (tests/golden/suites/make.py). */
const golden = JSON.parse(readFileSync(join(PROJECT, 'tests/golden/suites/suites.json'), 'utf8'));
const shipped = (name: string): string => join(PROJECT, 'configs/suites', `${name}.yaml`);

let folder: string;
beforeEach(() => {
  folder = tempFolder();
});
const at = (name: string): string => join(folder, name);

/** Labels as others lay them out, and pair logits from the score that each text has. */
async function judged(records: readonly Row[], scoreOf: (text: string) => number) {
  writeFileSync(at('labels.jsonl'), jsonLines(records));
  const scores: Row[] = [];
  await withSource(at('labels.jsonl'), async (source) => {
    for await (const batch of readRows(fileInput(source))) {
      for (const { row } of batch) {
        if (row?.kind !== 'pair') throw new Error('not a pair');
        scores.push({ id: row.id, logit: scoreOf(textOf(row.left)) - scoreOf(textOf(row.right)) });
      }
    }
  });
  writeFileSync(at('scores.jsonl'), jsonLines(scores));
}

const textOf = (item: unknown): string =>
  typeof item === 'string' ? item : String((item as Record<string, unknown>).image);

const evaluate = async (suite: string, layout?: string) => {
  const files = { scores: at('scores.jsonl'), labels: at('labels.jsonl') };
  const { suite: report, warnings } = await evaluateFiles({ ...files, suite, layout, resamples: 100 });
  return { report: report!, warnings };
};

describe('suites', () => {
  it('has the figures of RewardBench: subsets, sections, and the whole', async () => {
    const { rows, subsets, sections, whole } = golden.rewardbench;
    const scores = new Map<string, number>();
    const records = rows.map(({ id, subset, scores: [chosen, rejected] }: Row & { scores: number[] }) => {
      scores.set(`${id} chosen`, chosen).set(`${id} rejected`, rejected);
      return { id: String(id).split('/')[1], subset, prompt: id, chosen: `${id} chosen`, rejected: `${id} rejected` };
    });
    await judged(records, (text) => scores.get(text)!);
    const { report, warnings } = await evaluate(shipped('rewardbench'), 'chosen-rejected');
    expect(report.score.value).toBeCloseTo(whole, 12);
    for (const section of report.sections) {
      expect(section.score.value).toBeCloseTo(sections[section.name], 12);
      for (const { name, score } of section.subsets) expect(score.value).toBeCloseTo(subsets[name], 12);
    }
    expect(report.sections).toHaveLength(4);
    const [low, high] = report.score.ci!;
    expect(low < report.score.value! && report.score.value! < high).toBe(true);
    expect(warnings.join()).not.toContain('compares with no published figure');
  });

  it('has the figures of RewardBench 2: best of four with shared places, and ties', async () => {
    const { records, subsets, whole } = golden.rewardbench2;
    const scores = new Map<string, number>();
    const rows = records.map(({ id, subset, num_correct: right, scores: own }: Row & { scores: number[] }) => {
      const texts = own.map((score, i) => {
        scores.set(`${id} ${i}`, score);
        return `${id} ${i}`;
      });
      return {
        id,
        subset,
        prompt: id,
        num_correct: right,
        chosen: texts.slice(0, Number(right)),
        rejected: texts.slice(Number(right)),
      };
    });
    await judged(rows, (text) => scores.get(text)!);
    const { report } = await evaluate(shipped('rewardbench-2'));
    for (const {
      subsets: [subset],
    } of report.sections)
      expect(subset.score.value).toBeCloseTo(subsets[subset.name], 12);
    expect(report.score.value).toBeCloseTo(whole, 12);
    expect(report.sections.at(-1)!.subsets[0].metric).toBe('ties');
  });

  it('has the figures of ImageReward and HPDv3', async () => {
    const { rankings, whole } = golden.imagereward;
    const scores = new Map<string, number>();
    const rows = rankings.map(({ prompt, ranks, rewards }: Row & { ranks: number[]; rewards: number[] }) => ({
      id: prompt,
      prompt,
      generations: rewards.map((reward, i) => {
        scores.set(`${prompt}-${i}.png`, reward);
        return `${prompt}-${i}.png`;
      }),
      ranking: ranks,
    }));
    await judged(rows, (text) => scores.get(text)!);
    const imageReward = await evaluate(shipped('imagereward'));
    expect(imageReward.report.score.value).toBeCloseTo(whole, 12);
    expect(imageReward.report.equalVotes).toBeGreaterThan(0);

    const pairs = golden.hpdv3.pairs.map((each: number[], i: number) => {
      each.forEach((score, side) => void scores.set(`${i}-${side}`, score));
      return { prompt: `${i}`, path1: `${i}-0`, path2: `${i}-1`, choice_dist: golden.hpdv3.votes[i] };
    });
    await judged(pairs, (text) => scores.get(text)!);
    const hpdv3 = await evaluate(shipped('hpdv3'));
    expect(hpdv3.report.score.value).toBeCloseTo(golden.hpdv3.whole, 12);
    expect(hpdv3.report.equalVotes).toBe(0);
    const ours = golden.hpdv3.pairs.map((_: unknown, i: number) => {
      return { id: `${i}`, type: 'pair', left: `${i}-0`, right: `${i}-1`, labels: [1] };
    });
    await judged(ours, (text) => scores.get(text)!); // rows that name no side go by their votes
    expect((await evaluate(shipped('hpdv3'))).report.score.value).toBeCloseTo(golden.hpdv3.whole, 12);
  });

  it('says what is missing of a suite, and what is of no subset', async () => {
    const records = ['hep-go', 'hep-go', 'unknown'].map((subset, i) => ({
      id: `${i}`,
      subset,
      prompt: `${i}`,
      chosen: 'a',
      rejected: 'b',
    }));
    await judged(records, (text) => (text === 'a' ? 1 : 0));
    const { report, warnings } = await evaluate(shipped('rewardbench'));
    expect(report.missing).toContain('hep-cpp');
    expect(report.otherRows).toBe(1);
    expect(report.sections.map(({ name, score }) => [name, score.value])).toEqual([['Reasoning', 1]]);
    expect(warnings.join()).toContain('compares with no published figure');
  });

  it.each([
    ['name: x\nby: nothing', 'USAGE', 'no group nothing'],
    ['name: x\nby: subset\nsections: [{name: a, subsets: [none]}]', 'DATA_INVALID', 'no row is of the suite x'],
    ['name: x\nsections: [{name: a, subsets: [b]}]', 'CONFIG_INVALID', '`by` does not say'],
    [
      'name: x\nby: subset\nsections: [{name: a, subsets: [b]}, {name: c, subsets: [b]}]',
      'CONFIG_INVALID',
      'in two sections',
    ],
    ['name: x\nmetric: elo', 'CONFIG_INVALID', 'metric'],
    ['name: x\nmetric: ties', 'DATA_INVALID', 'is not named ref:N or tied:N'],
    ['- a list', 'CONFIG_INVALID', 'not a suite'],
  ])('refuses %j', async (text, code, message) => {
    await judged([{ id: '1', subset: 's', prompt: 'p', chosen: 'a', rejected: 'b' }], () => 0);
    writeFileSync(at('suite.yaml'), text);
    await expect(evaluate(at('suite.yaml'))).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
  });
});
