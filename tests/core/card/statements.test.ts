import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse as parseYaml } from 'yaml';
import type { CardFacts, ModelFacts } from '../../../src/core/card/card-facts.js';
import { cardPage } from '../../../src/core/card/card-page.js';
import { renderMarkdown } from '../../../src/core/card/markdown.js';
import { readCardFacts } from '../../../src/core/card/read-card.js';
import { calibrationBlocks, profileTables } from '../../../src/core/card/sections/analyses.js';
import { formatP, gapSummary, percent, rowsWords, weightsWords } from '../../../src/core/card/words.js';
import { contradictions } from '../../helpers/card-statements.js';
import { evaluated, makeCard, writeTexts } from '../../helpers/cards.js';
import { sharedFolder, tempFolder } from '../../helpers/temp.js';

const folder = sharedFolder();
const card = join(folder, 'card');
let facts: CardFacts;
beforeAll(async () => {
  const report = await evaluated(folder, { prompts: 20, groups: ['a', 'b', 'c'] });
  await makeCard(card, { evaluations: [report], ...writeTexts(folder) });
  facts = readCardFacts(card);
}, 120_000);

/** What the page of other facts reads like. */
const pageOf = (changed: Partial<CardFacts>): string =>
  renderMarkdown(cardPage({ ...facts, ...changed }, new Map()), { picture: () => null });

/** The faults that are found once a text of the card reads otherwise. */
function faultsOf(from: string | RegExp, to: string): string[] {
  const copy = join(tempFolder(), 'card');
  cpSync(card, copy, { recursive: true });
  for (const name of ['README.md', 'card.html']) {
    const text = readFileSync(join(copy, name), 'utf8');
    writeFileSync(join(copy, name), text.replace(from, to));
  }
  return contradictions(copy);
}

describe('the statements of a card', () => {
  it('do not contradict each other', () => {
    expect(contradictions(card)).toEqual([]);
  });

  it.each([
    ['gaps', /(none|\d+) stands? after Holm/, '7 stand after Holm'],
    ['raters', 'Who judged: not stated', 'Who judged: humans'],
    ['calibration', 'calibrated: **no**', 'calibrated: **platt**'],
    ['figures', /\| Accuracy \| \*\*[\d.]+\*\*/, '| Accuracy | **0.001**'],
    ['missing', '| Licence | **Apache-2.0**', '| Licence | **MIT**'],
    ['form', 'A model of drawn numbers.', 'A `model` of -2.22e-14 % of drawn numbers.'],
  ])('are found where they do: %s', (rule, from, to) => {
    expect(faultsOf(from, to).map((fault) => fault.split(':')[0])).toContain(rule);
  });

  it('show every gap that was tested, by the metric that it is of', () => {
    const { report } = facts.evaluations[0];
    const [first, second] = [...new Set(report.gaps.map(({ metric }) => metric))];
    expect([first, second]).toEqual(['accuracy', 'brier']);
    const gaps = report.gaps.map((gap) => ({
      ...gap,
      pValue: 0.4,
      holm: gap.metric === 'brier' && gap.value === 'b' ? 0.01 : 1,
    }));
    const summary = gapSummary({ ...report, gaps });
    expect(summary).toContain(`Of ${gaps.length} gaps`);
    expect(summary).toContain("1 stands after Holm's correction: Brier score: kind is b.");
    const page = pageOf({ evaluations: [{ ...facts.evaluations[0], report: { ...report, gaps } }] });
    expect(page.match(/\| \*\*0\.010\*\* \|/g)).toHaveLength(1);
  });

  it('write p with as many digits as its verdict needs', () => {
    expect([0.04996, 0.05, 0.0504, 0.2, 0.00012].map(formatP)).toEqual([
      '0.04996',
      '0.050',
      '0.050',
      '0.20',
      '0.00012',
    ]);
  });

  it('write shares without noise, and whole ones whole', () => {
    expect([-2.22e-16, 0, 1, 0.5, 0.1234, 0.1].map(percent)).toEqual(['0 %', '0 %', '100 %', '50 %', '12.3 %', '10 %']);
  });

  it('call weights what they are stored as', () => {
    const model = (dtype: string | null, ...lineage: object[]) =>
      weightsWords({ dtype, lineage } as unknown as ModelFacts);
    const quantized = { step: 'quantize', options: { scheme: 'weight-only' } };
    expect(model('fp32', { step: 'export', options: {} })).toBe('fp32');
    expect(model('fp32', quantized)).toBe('int8 (weight-only) and fp32');
    expect(model('fp32', quantized, { step: 'calibrate', options: {} })).toBe('int8 (weight-only) and fp32');
    expect(model('fp32', quantized, { step: 'ensemble', options: {} })).toBe(
      'int8 (weight-only, of a member) and fp32',
    );
    expect(model(null, { ...quantized, options: { scheme: 'int4' } })).toBe('int4 (int4) and floats');
    expect(model(null)).toBe('not stated');
  });

  it('tell rows of another part from rows that are bad', () => {
    const { report } = facts.evaluations[0];
    const rows = { ...report.rows, scoresOnly: { count: 216 }, labelsOnly: { count: 2 }, failed: 1 };
    const words = rowsWords({ ...report, rows });
    expect(words).toContain('scores.jsonl scores 216 more rows, for which labels.jsonl has no labels.');
    expect(words).toContain('2 labelled rows have no score');
    expect(words).toContain('1 rows were refused as bad');
    expect(rowsWords(report)).not.toMatch(/more rows|refused|no score/);
  });

  it('do not say that none was fitted', () => {
    const estimate = { value: 0.05, ci: null };
    const figures = {
      before: { ece: estimate },
      after: { ece: estimate },
      reduction: { ece: { value: -2.2e-16, ci: null } },
    };
    const none = { method: 'none', n: 236, clusters: 59, folds: 5, repeats: 5, symmetric: true, figures, groups: null };
    const blocks = calibrationBlocks(none as never, new Map(), 'curve');
    const text = renderMarkdown({ title: 't', lead: 'l', blocks }, { picture: () => null });
    expect(text).toContain('No curve is applied: on 236 rows in 59 clusters');
    expect(text).not.toMatch(/fitted to|Method|%.*%|After/);
  });

  it('say of shares in a traced run that they are of one, beside the median of runs that were not traced', () => {
    const value = (ms: number) => ({ value: ms, ci: null });
    const setting = { variant: 'model', batch: 1, threads: 1, optimization: 'all' };
    const profile = {
      model: { file: 'm.onnx' },
      machine: { cpu: 'a', cores: 2, platform: 'b', runtime: 'c', device: 'cpu' },
      latency: { setting, p50Ms: value(7), p95Ms: value(8), p99Ms: value(9), samplesPerSecond: 140 },
      coldStart: { totalMs: 50 },
      memory: { peakBytes: 1e6 },
      counts: { macs: 1e6 },
      sweep: { recommended: null },
      noise: { quiet: true },
      time: { wallMs: 11.5, operators: [{ operator: 'MatMul', kernels: 3, ms: 9, share: 9 / 11.5 }] },
    };
    const blocks = profileTables(profile as never);
    const text = renderMarkdown({ title: 't', lead: 'l', blocks }, { picture: () => null });
    expect(text).toContain('| Median time of a run | 7 ms |');
    expect(text).toContain('Where the time of a traced run goes, by operator');
    expect(text).toContain('the traced one took 11.5 ms, where the median of runs without tracing is 7 ms');
    // No time of kernels stands beside one that was not traced.
    expect(text).toMatch(/\| MatMul \| 3 \| 78\.3 % \|/);
  });

  it('keep a bullet whole that has commas, in the demo too', () => {
    const caveats = ['It was drawn, and not seen, by anybody.'];
    expect(pageOf({ text: { ...facts.text, caveats } })).toContain(`\n- ${caveats[0]}\n`);
    for (const name of ['card', 'data']) {
      const text = readFileSync(new URL(`../../../configs/demo/${name}.yaml`, import.meta.url), 'utf8');
      expect(JSON.stringify(parseYaml(text)).match(/[[,]"(and|or|but) [^"]*"/g)).toBeNull();
    }
  });

  it('show as code what makers put between backticks', () => {
    const page = pageOf({ text: { ...facts.text, details: { description: 'Drawn by `hpsv3 synth`.' } } });
    expect(page).toContain('Drawn by `hpsv3 synth`.');
  });
});
