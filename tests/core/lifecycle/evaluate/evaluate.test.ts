import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Random } from '../../../../src/core/bytes/random.js';
import { formatCalibratorCheck } from '../../../../src/core/cli/render-calibrate.js';
import { formatEvaluate } from '../../../../src/core/cli/render-evaluate.js';
import { calibrateFiles } from '../../../../src/core/lifecycle/calibrate/calibrate.js';
import { checkCalibrator } from '../../../../src/core/lifecycle/calibrate/check.js';
import { evaluateFiles } from '../../../../src/core/lifecycle/evaluate/evaluate.js';
import type { Progress } from '../../../../src/core/run.js';
import { exportFile } from '../../../helpers/pico.js';
import { hasShared, SHARED } from '../../../helpers/shared.js';
import { tempFolder } from '../../../helpers/temp.js';

interface PairOptions {
  readonly prompts: number;
  /** True log-odds a logit. */
  readonly truth: number;
  /** The score of group b says nothing. */
  readonly blindGroup?: boolean;
}

/** Labels and scores of a model, three pairs a prompt, in a folder of their own. */
function writePairs({ prompts, truth, blindGroup = false }: PairOptions) {
  const random = new Random(`pairs ${truth}`);
  const folder = tempFolder();
  const labels: object[] = [];
  const scores: object[] = [];
  const noise: object[] = [];
  for (let i = 0; i < prompts * 3; i++) {
    const logit = random.normal() * 2;
    const group = i % 2 === 0 ? 'a' : 'b';
    const p = 1 / (1 + Math.exp(-truth * logit));
    const votes = Array.from({ length: 5 }, () => Number(random.uniform() < p));
    const groups = i < 5 ? { kind: group, size: 'rare' } : { kind: group, size: 'common' };
    labels.push({
      id: `${i}`,
      type: 'pair',
      left: 'l',
      right: 'r',
      labels: votes,
      prompt_id: `p${Math.floor(i / 3)}`,
      groups,
    });
    scores.push({ id: `${i}`, logit: blindGroup && group === 'b' ? random.normal() : logit });
    noise.push({ id: `${i}`, logit: random.normal() });
  }
  const write = (name: string, rows: object[]) => {
    const path = join(folder, name);
    writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    return path;
  };
  return { folder, labels: write('l.jsonl', labels), scores: write('s.jsonl', scores), noise: write('n.jsonl', noise) };
}

const FIT = {
  symmetric: true,
  strictlyMonotone: false,
  folds: 5,
  resamples: 100,
  gate: 'off',
  seed: 0,
  force: false,
} as const;
const EVALUATE = { by: [], minGroup: 30, resamples: 200, seed: 0, force: false } as const;

describe('a target that is there', () => {
  // Labels that cannot be read would be the error if the work came first.
  it.each(['out', 'outScores'] as const)('is refused by evaluate before the work: %s', async (key) => {
    const folder = tempFolder();
    const [labels, target] = [join(folder, 'l.jsonl'), join(folder, 'there.json')];
    for (const path of [labels, target]) writeFileSync(path, 'mine');
    const options = { ...EVALUATE, labels, scores: labels, [key]: target };
    await expect(evaluateFiles(options)).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' });
  });

  it.each(['c.json', 'm.onnx', 'm.onnx.report.json'])('is refused by calibrate before the work: %s', async (name) => {
    const folder = tempFolder();
    const at = (file: string) => join(folder, file);
    for (const file of ['l.jsonl', name]) writeFileSync(at(file), 'mine');
    await exportFile(at('source.onnx'), { mode: 'pair', modality: 'text' });
    const options = { ...FIT, labels: at('l.jsonl'), scores: at('l.jsonl'), method: 'platt' } as const;
    const embed = { model: at('source.onnx'), out: at('m.onnx') };
    await expect(calibrateFiles({ ...options, out: at('c.json'), embed })).rejects.toMatchObject({
      code: 'OUTPUT_EXISTS',
      details: { file: name },
    });
    expect(readFileSync(at(name), 'utf8')).toBe('mine');
  });
});

describe('a signal', () => {
  it.each(['calibrate', 'evaluate'] as const)(
    'stops %s between two resamples, and nothing is written',
    async (verb) => {
      const { folder, labels, scores } = writePairs({ prompts: 60, truth: 1 });
      const before = readdirSync(folder);
      const controller = new AbortController();
      const files = { labels, scores, out: join(folder, 'out.json'), resamples: 100_000, signal: controller.signal };
      const onProgress = ({ stage }: Progress) => {
        if (stage === 'Intervals' || stage === 'Overall') setTimeout(() => controller.abort(new Error('stopped')));
      };
      const work =
        verb === 'calibrate'
          ? calibrateFiles({ ...FIT, ...files, method: 'platt', onProgress })
          : evaluateFiles({ ...EVALUATE, ...files, onProgress });
      await expect(work).rejects.toThrow('stopped');
      expect(readdirSync(folder)).toEqual(before);
    },
  );
});

describe('evaluate', () => {
  it('says that a score without a calibrator is uncalibrated, and counts ties and zero logits one half', async () => {
    const folder = tempFolder();
    const [labels, scores] = [join(folder, 'l.jsonl'), join(folder, 's.jsonl')];
    const pair = (id: string, votes: number[]) =>
      JSON.stringify({ id, type: 'pair', left: 'l', right: 'r', labels: votes });
    writeFileSync(labels, [pair('1', [1, 1, 0]), pair('2', [1, 0.5]), pair('3', [0])].join('\n'));
    writeFileSync(scores, '{"id":"1","logit":2}\n{"id":"2","logit":0}\n{"id":"3","logit":1}\n');
    const { calibrated, overall, n, clusters } = await evaluateFiles({ ...EVALUATE, labels, scores });
    expect({ calibrated, n, clusters }).toEqual({ calibrated: false, n: 3, clusters: 3 });
    expect(overall['accuracy'].value).toBeCloseTo((2 + 1 + 0) / 6, 12);
  });

  it('writes what it fitted, and applies it row by row', async () => {
    const { folder, labels, scores } = writePairs({ prompts: 80, truth: 0.4 });
    const calibrator = join(folder, 'c.json');
    const fitted = await calibrateFiles({ ...FIT, labels, scores, out: calibrator, method: 'platt' });
    const outScores = join(folder, 'p.jsonl');
    const out = join(folder, 'report.json');
    const report = await evaluateFiles({ ...EVALUATE, labels, scores, calibrator, out, outScores });
    expect(report).toMatchObject({ calibrated: true, fittedOnTheseLabels: true });
    expect(report.warnings.join()).toContain('fitted on these labels');
    expect(report.overall['ece'].value!).toBeLessThan(fitted.before['ece'].value!);
    const [first] = readFileSync(outScores, 'utf8').split('\n');
    const row = JSON.parse(first);
    const { slope } = fitted.parameters as { slope: number };
    expect(row.score).toBeCloseTo(1 / (1 + Math.exp(-slope * row.logit)), 12);
    expect(row.confidence).toBeLessThan(Math.max(row.score, 1 - row.score));
    expect(readFileSync(out, 'utf8')).not.toMatch(/NaN|Infinity/);
    expect(JSON.parse(readFileSync(out, 'utf8')).overall).toEqual(report.overall);
  });

  it('finds the group a score is blind in, and shows small groups as suppressed', async () => {
    const { labels, scores } = writePairs({ prompts: 100, truth: 1, blindGroup: true });
    const { groups, gaps, worst } = await evaluateFiles({
      ...EVALUATE,
      resamples: 1000,
      labels,
      scores,
      by: ['groups.kind', 'size'],
    });
    expect(groups.find(({ value }) => value === 'rare')).toMatchObject({ n: 5, suppressed: true, metrics: null });
    expect(groups.map(({ by }) => by)).toContain('kind × size');
    expect(worst.find(({ metric }) => metric === 'accuracy')!.value).toMatch(/^b/);
    const gap = gaps.find(({ value, metric }) => value === 'b' && metric === 'accuracy')!;
    expect(gap.difference.ci![1]).toBeLessThan(0);
    expect(gap.holm!).toBeLessThan(0.05);
  });

  it('calls a model better than noise, undecided against itself', async () => {
    const { labels, scores, noise } = writePairs({ prompts: 60, truth: 1 });
    const better = await evaluateFiles({ ...EVALUATE, labels, scores, baseline: noise });
    expect(better.baseline!.verdict).toBe('better');
    expect(better.baseline!.mcnemar!.pValue).toBeLessThan(0.001);
    const worse = await evaluateFiles({ ...EVALUATE, labels, scores: noise, baseline: scores });
    expect(worse.baseline!.verdict).toBe('worse');
    const same = await evaluateFiles({ ...EVALUATE, labels, scores, baseline: scores });
    expect(same.baseline).toMatchObject({ verdict: 'undecided', mcnemar: { pValue: 1 } });
  });

  it('gives a gap that no resample contradicts a p-value that survives the correction for many', async () => {
    const { labels, scores } = writePairs({ prompts: 100, truth: 1, blindGroup: true });
    const { gaps } = await evaluateFiles({ ...EVALUATE, resamples: 100, labels, scores, by: ['groups.kind', 'size'] });
    const gap = gaps.find(({ value, metric }) => value === 'b' && metric === 'accuracy')!;
    expect(gap.difference.ci![1]).toBeLessThan(-0.1);
    // Of 100 resamples alone the p-value would be 2 in 101, and after Holm for all of them nearly 1 in 3.
    expect(gap.pValue!).toBeLessThan(0.001);
    expect(gap.holm!).toBeLessThan(0.01);
  });

  it('takes ties as halves and rows of one prompt together when it compares', async () => {
    const folder = tempFolder();
    const file = (name: string, rows: readonly object[]) => {
      writeFileSync(join(folder, name), rows.map((row) => JSON.stringify(row)).join('\n'));
      return join(folder, name);
    };
    // Six rows of one prompt that the model has right, and four prompts in which it ties or errs.
    const logits = [1, 1, 1, 1, 1, 1, 0, 0, -1, 1];
    const others = [-1, -1, -1, -1, -1, -1, 1, 1, 1, 1];
    const pair = (_: number, i: number) => ({
      id: `${i}`,
      type: 'pair',
      left: 'l',
      right: 'r',
      prompt_id: i < 6 ? 'p' : `q${i}`,
      labels: [1],
    });
    const labels = file('l.jsonl', logits.map(pair));
    const rowsOf = (values: readonly number[]) => values.map((logit, i) => ({ id: `${i}`, logit }));
    const [scores, baseline] = [file('s.jsonl', rowsOf(logits)), file('b.jsonl', rowsOf(others))];
    const { mcnemar } = (await evaluateFiles({ ...EVALUATE, labels, scores, baseline })).baseline!;
    // Of the clusters 6, -0.5, -0.5, -1 and 0 half of all sign flips come to 4 or more in size on either side: no evidence at all.
    expect(mcnemar).toMatchObject({ onlyModel: 6, onlyBaseline: 1, half: 2, pValue: 1 });
  });

  it('names a group the labels do not have', async () => {
    const { labels, scores } = writePairs({ prompts: 5, truth: 1 });
    await expect(evaluateFiles({ ...EVALUATE, labels, scores, by: ['colour'] })).rejects.toMatchObject({
      code: 'USAGE',
      hint: expect.stringContaining('groups.kind'),
    });
  });
});

describe('calibrate', () => {
  it('refuses labels that the scores share no id with', async () => {
    const { labels, folder } = writePairs({ prompts: 5, truth: 1 });
    const scores = join(folder, 'other.jsonl');
    writeFileSync(scores, '{"id":"x","logit":1}\n');
    await expect(calibrateFiles({ ...FIT, labels, scores, out: null, method: 'auto' })).rejects.toMatchObject({
      code: 'DATA_INVALID',
    });
  });

  it('fits a curve a group, shrunk to the whole', async () => {
    const { labels, scores } = writePairs({ prompts: 100, truth: 1, blindGroup: true });
    const { groups } = await calibrateFiles({
      ...FIT,
      labels,
      scores,
      out: null,
      method: 'temperature',
      perGroup: 'groups.kind',
    });
    const slope = (value: string) => (groups.find((group) => group.value === value)!.curve as { slope: number }).slope;
    expect(slope('b')).toBeLessThan(slope('a'));
    expect(groups[0].ownShare).toBeCloseTo(groups[0].clusters / (groups[0].clusters + 50), 12);
  });

  it('tells a calibrator that holds from one that has gone stale', async () => {
    const fitted = writePairs({ prompts: 120, truth: 0.4 });
    const calibrator = join(fitted.folder, 'c.json');
    await calibrateFiles({
      ...FIT,
      labels: fitted.labels,
      scores: fitted.scores,
      out: calibrator,
      method: 'temperature',
    });
    const check = (files: { labels: string; scores: string }) =>
      checkCalibrator({ ...files, calibrator, resamples: 100, seed: 0 });
    const same = await check(fitted);
    expect(same).toMatchObject({ stale: false, fittedOnTheseLabels: true });
    expect(same.warnings.join()).toContain('fitted on these labels');
    expect(formatCalibratorCheck(same)).toContain('It was fitted on these labels: they cannot tell');
    const changed = writePairs({ prompts: 120, truth: 1.2 });
    expect(await check(changed)).toMatchObject({ stale: true, fittedOnTheseLabels: false, warnings: [] });
    const judged = await evaluateFiles({ ...EVALUATE, ...changed, calibrator });
    expect(judged).toMatchObject({ calibrated: true, fittedOnTheseLabels: false, warnings: [] });
    expect(formatEvaluate(judged)).not.toContain('fitted on these labels');
    expect(formatEvaluate({ ...judged, fittedOnTheseLabels: true })).toContain(
      'by a calibrator fitted on these labels',
    );
  });
});

describe.skipIf(!hasShared)('calibrate --method auto on real judgements', () => {
  it.each([
    ['tifa-pairs', 'clip'],
    ['t2v-alignment-pairs', 'xclip'],
  ])(
    'mends %s of %s out-of-fold',
    async (set, scorer) => {
      const [labels, scores] = [`${SHARED}data/${set}/labels.jsonl`, `${SHARED}data/${set}/scores/${scorer}.jsonl`];
      const { before, after } = await calibrateFiles({ ...FIT, labels, scores, out: null, method: 'auto' });
      expect(before['eceDebiased'].ci![0]).toBeGreaterThan(0.03);
      expect(after['ece'].value!).toBeLessThanOrEqual(Math.max(0.05, 0.65 * before['ece'].value!));
      expect(after['nll'].value! - before['nll'].value!).toBeLessThanOrEqual(0.005);
    },
    120_000,
  );
});
