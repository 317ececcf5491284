import { beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../../src/core/bytes/random.js';
import {
  type Calibrator,
  calibrate,
  calibratorDocument,
  formatCalibrator,
} from '../../../src/core/calibration/calibrator.js';
import { type FittedCalibrator, fitCalibrator } from '../../../src/core/calibration/fit-calibrator.js';
import { CALIBRATION_METHODS } from '../../../src/core/calibration/methods/registry.js';
import { type ClusteredVotes, PAIR_TASK } from '../../../src/core/calibration/pair-task.js';
import { testStaleness } from '../../../src/core/calibration/staleness.js';
import { parseDocumentBytes } from '../../../src/core/documents/define.js';
import { sigmoid } from '../../../src/core/stats/logistic.js';

/** Pairs whose true log-odds are `truth` times the logit, four rows a prompt. */
function drawPairs(clusters: number, truth: number, seed: string): ClusteredVotes {
  const random = new Random(seed);
  const n = clusters * 4;
  const logits = Float64Array.from({ length: n }, () => random.normal() * 2);
  const positive = logits.map((x) =>
    Array.from({ length: 3 }, () => Number(random.uniform() < sigmoid(truth * x))).reduce((a, b) => a + b),
  );
  return {
    logits,
    outcomes: { positive, negative: positive.map((left) => 3 - left) },
    cluster: {
      names: Array.from({ length: clusters }, (_, i) => `prompt-${i}`),
      codes: Int32Array.from({ length: n }, (_, i) => Math.floor(i / 4)),
    },
  };
}

function fitPairs(
  rows: ClusteredVotes,
  ids: readonly string[],
  options: { resamples?: number } = {},
): Promise<FittedCalibrator> {
  const methods = CALIBRATION_METHODS.filter(({ id }) => ids.includes(id)).map((method) => ({
    id: method.id,
    minClusters: method.minClusters,
    fit: (one: ClusteredVotes) => method.fit(one, { symmetric: true, strictlyMonotone: false }),
  }));
  return fitCalibrator(PAIR_TASK, rows, methods, {
    auto: ids.length > 1,
    folds: 5,
    seed: 0,
    resamples: 100,
    ...options,
  });
}

const AUTO = ['none', 'temperature', 'platt', 'isotonic'];

describe('choosing a method', () => {
  it('takes none, and says so, where the score is calibrated as it is', async () => {
    const { method, band, warnings } = await fitPairs(drawPairs(150, 1, 'right'), AUTO);
    expect(method).toBe('none');
    expect(band).toBeNull();
    expect(warnings.join(' ')).toContain('did not help');
  });

  it('takes the simplest method that mends an overconfident score, and its error falls out-of-fold', async () => {
    const { method, curve, before, after, reduction } = await fitPairs(drawPairs(150, 0.3, 'sure'), AUTO);
    expect(method).toBe('temperature');
    expect((curve as { slope: number }).slope).toBeCloseTo(0.3, 1);
    expect(before['ece'].value!).toBeGreaterThan(0.1);
    expect(after['ece'].value!).toBeLessThan(0.05);
    expect(reduction['ece'].ci![0]).toBeGreaterThan(0.35);
  });

  it('refuses isotonic under 30 clusters, warns under 100, and does not try it then under auto', async () => {
    await expect(fitPairs(drawPairs(29, 1, 'few'), ['isotonic'])).rejects.toThrowError(
      expect.objectContaining({ code: 'TOO_FEW_CLUSTERS', hint: expect.stringContaining('temperature') }),
    );
    expect((await fitPairs(drawPairs(99, 1, 'some'), ['isotonic'])).warnings.join(' ')).toContain('99 clusters');
    const chosen = await fitPairs(drawPairs(99, 1, 'some'), AUTO);
    expect(chosen.choice.map(({ method }) => method)).not.toContain('isotonic');
    expect(chosen.warnings.join(' ')).toContain('isotonic was not tried');
  });

  it('refuses to cross-validate one cluster, and rows that match nothing', async () => {
    await expect(fitPairs(drawPairs(1, 1, 'one'), AUTO)).rejects.toThrowError(
      expect.objectContaining({ code: 'TOO_FEW_CLUSTERS' }),
    );
    await expect(fitPairs(drawPairs(0, 1, 'no'), AUTO)).rejects.toThrowError(
      expect.objectContaining({ code: 'DATA_INVALID' }),
    );
  });

  it('never predicts a row from its own cluster: labels that cannot be learnt gain nothing', async () => {
    // Each cluster has its own logit and its own answer, so that any leak would look like skill.
    const random = new Random('leak');
    const clusters = 120;
    const logits = Float64Array.from({ length: clusters * 4 }, (_, i) => (Math.floor(i / 4) + 1) / 10);
    const lefts = Array.from({ length: clusters }, () => (random.uniform() < 0.5 ? 0 : 1));
    const positive = logits.map((_, i) => lefts[Math.floor(i / 4)]);
    const rows = {
      ...drawPairs(clusters, 1, 'x'),
      logits,
      outcomes: { positive, negative: positive.map((x) => 1 - x) },
    };
    const { after } = await fitPairs(rows, ['isotonic']);
    expect(after['nll'].value!).toBeGreaterThan(Math.log(2) - 0.02);
  });

  it('does not depend on the order of the rows', async () => {
    const rows = drawPairs(40, 0.5, 'order');
    const order = Int32Array.from(new Random('shuffle').permutation(rows.logits.length));
    const shuffled = PAIR_TASK.select(rows, order);
    const [a, b] = [await fitPairs(rows, AUTO), await fitPairs(shuffled, AUTO)];
    expect(b.method).toBe(a.method);
    expect(b.after['ece'].value!).toBeCloseTo(a.after['ece'].value!, 9);
  });
});

describe('the band', () => {
  it('holds the curve, narrows with more prompts, and gives the confidence of the winner', async () => {
    const few = await fitPairs(drawPairs(30, 0.5, 'a'), ['temperature'], { resamples: 400 });
    const many = await fitPairs(drawPairs(400, 0.5, 'b'), ['temperature'], { resamples: 400 });
    const width = ({ band }: FittedCalibrator) => Math.max(...band!.upper.map((high, i) => high - band!.lower[i]));
    expect(width(many)).toBeLessThan(width(few));
    const { probability, confidence } = calibrateWith(many, 2);
    expect(confidence!).toBeLessThan(probability);
    expect(confidence!).toBeGreaterThan(0.5);
    expect(calibrateWith(many, -2).confidence).toBe(confidence);
    expect(calibrateWith(many, 0)).toEqual({ probability: 0.5, confidence: null });
  });
});

const SHA = 'a'.repeat(64);
const fileOf = ({ curve, band, method, n, clusters, before, after, reduction }: FittedCalibrator): Calibrator => ({
  schema: 'hpsv3/calibrator@1',
  kind: 'pair',
  method: method as Calibrator['method'],
  symmetric: true,
  decision: null,
  parameters: curve,
  band,
  n,
  clusters,
  dataSha256: SHA,
  scoresSha256: SHA,
  modelSha256: null,
  folds: 5,
  repeats: 5,
  seed: 0,
  figures: { before, after, reduction } as Calibrator['figures'],
  groups: null,
  tool: 'test',
});

function calibrateWith(fitted: FittedCalibrator, logit: number) {
  const { value, confidence } = calibrate(fileOf(fitted), logit);
  return { probability: value, confidence };
}

describe('the calibrator file', () => {
  const KNOTS = { kind: 'knots', x: [0, 1], y: [0, 1], mirrored: false };
  const read = (text: string) => parseDocumentBytes(calibratorDocument, Buffer.from(text), 'c.json');
  let fitted: FittedCalibrator;
  beforeAll(async () => {
    fitted = await fitPairs(drawPairs(120, 0.4, 'file'), ['isotonic']);
  }, 120_000);

  it('reads back as it was written, and is the same bytes twice', async () => {
    const text = formatCalibrator(fileOf(fitted));
    expect(read(text)).toEqual(fileOf(fitted));
    expect(formatCalibrator(fileOf(await fitPairs(drawPairs(120, 0.4, 'file'), ['isotonic'])))).toBe(text);
    expect(text).not.toContain('NaN');
  });

  it.each([
    ['another document', (file: object) => ({ ...file, schema: 'hpsv3/profile@1' })],
    ['a file without schema', ({ schema, ...file }: Calibrator) => file],
    ['knots above 1', (file: Calibrator) => ({ ...file, parameters: { ...KNOTS, y: [0, 1.5] } })],
    ['a human scale for pairs', (file: object) => ({ ...file, parameters: { kind: 'line', slope: 1, intercept: 3 } })],
    [
      'a band above 1',
      ({ band, ...file }: Calibrator) => ({ ...file, band: { ...band, upper: band!.x.map(() => 1.5) } }),
    ],
    [
      'a band that is crossed',
      ({ band, ...file }: Calibrator) => ({ ...file, band: { ...band, upper: band!.x.map(() => 0) } }),
    ],
    [
      'a slope that overflows',
      (file: object) => ({ ...file, parameters: { kind: 'sigmoid', slope: 1e39, intercept: 0 } }),
    ],
    ['knots out of order', (file: object) => ({ ...file, parameters: { ...KNOTS, x: [1, 0] } })],
    ['a falling curve', (file: object) => ({ ...file, parameters: { kind: 'sigmoid', slope: -1, intercept: 0 } })],
    ['a field that is not in the format', (file: object) => ({ ...file, extra: 1 })],
  ])('refuses %s', (_, change) => {
    const text = JSON.stringify(change(fileOf(fitted)));
    expect(() => read(text)).toThrowError(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  });

  it('of a newer hpsv3 is not called damaged', () => {
    const text = JSON.stringify({ ...fileOf(fitted), schema: 'hpsv3/calibrator@99', more: true });
    expect(() => read(text)).toThrowError(
      expect.objectContaining({
        code: 'MADE_BY_NEWER',
        message: 'c.json: made by a newer hpsv3: its schema is hpsv3/calibrator@99',
      }),
    );
  });
});

describe('staleness', () => {
  const rows = (truth: number, seed: string) => drawPairs(150, truth, seed);
  const test = (one: ClusteredVotes, scale: number) =>
    testStaleness(
      one.logits.map((x) => sigmoid(scale * x)),
      one.outcomes,
      { of: one.cluster.codes, count: one.cluster.names.length },
      { symmetric: true },
    );

  it('sees that votes no longer follow the curve', () => {
    expect(test(rows(0.3, 'drift'), 0.6).stale).toBe(true);
    expect(test(rows(1, 'drift'), 0.6).stale).toBe(true);
  });

  it('calls about one in twenty stale that is not', () => {
    const false_ = Array.from({ length: 200 }, (_, i) => test(rows(0.6, `still ${i}`), 0.6).stale).filter(
      Boolean,
    ).length;
    expect(false_).toBeLessThanOrEqual(18); // level 0.05: 10 expected, 18 is beyond the 99th percentile
  });

  it('is not misled by votes that repeat within a prompt', () => {
    // The same judgement ten times is no more evidence than once.
    const once = rows(0.6, 'copies');
    const tenfold = PAIR_TASK.reweight(once, new Float64Array(once.logits.length).fill(10));
    expect(test(tenfold, 0.6).tests[0].pValue).toBeCloseTo(test(once, 0.6).tests[0].pValue, 9);
  });
});
