import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as verbs from 'hpsv3/lifecycle';
import { expect, it } from 'vitest';
import { REPORTS, type ReportName } from '../../src/core/documents/reports.js';
import { drawPairs, jsonLines, writeJudged } from '../helpers/judged.js';
import { PICO } from '../helpers/pico.js';
import { schemaErrors } from '../helpers/reports.js';
import { tinyModel, writeRows } from '../helpers/scoring.js';
import { sharedFolder } from '../helpers/temp.js';
import { TEXT_MODEL, writeTextPairs } from '../helpers/training.js';
import { writeWindowed } from '../helpers/windowed.js';

const folder = sharedFolder();
const at = (name: string): string => join(folder, name);

/** Of verbs that go on until they are stopped, or run all others. */
const ELSEWHERE: readonly ReportName[] = ['demo', 'serve', 'serve-token'];

/** Every other verb at least once, by small files: what it reports. */
async function* reports(): AsyncGenerator<[ReportName, object]> {
  const { labels, scores } = drawPairs({ prompts: 40, truth: 0.6 });
  writeJudged(folder, { labels, scores });
  writeFileSync(at('other.jsonl'), jsonLines(scores.map((row, i) => ({ ...row, logit: i % 5 }))));
  const judged = { scores: at('scores.jsonl'), labels: at('labels.jsonl'), resamples: 100 };
  const input = at('labels.jsonl');
  yield [
    'drift-fit',
    await verbs.fitDrift({ scores: at('scores.jsonl'), labels: at('labels.jsonl'), out: at('drift.json') }),
  ];
  const config = { model: JSON.parse(readFileSync(PICO.config, 'utf8')) };
  yield ['init', await verbs.initCheckpoint({ config, out: at('new.safetensors') })];
  yield ['inspection', await verbs.inspectFile({ path: PICO.checkpoint, statistics: true })];
  const exported = await verbs.exportModel({
    checkpoint: PICO.checkpoint,
    mode: 'pair',
    out: at('m.onnx'),
    gate: 'quick',
  });
  yield ['export', exported];
  yield ['export', await verbs.exportModel({ checkpoint: PICO.checkpoint, out: at('dry.onnx'), dryRun: true })];
  yield ['inspection', await verbs.inspectFile({ path: at('m.onnx') })];
  yield ['verification', await verbs.verifyModels({ model: at('m.onnx'), level: 'quick' })];
  const members = [
    { path: at('m.onnx'), weight: 1 },
    { path: at('m.onnx'), weight: 1 },
  ];
  yield ['ensemble-merge', await verbs.mergeEnsemble({ members, out: at('merged.onnx'), gate: 'off' })];
  yield ['calibration', await verbs.calibrateFiles({ ...judged, out: at('c.json'), perGroup: 'kind', folds: 2 })];
  yield ['calibration-check', await verbs.checkCalibrator({ ...judged, calibrator: at('c.json') })];
  const baseline = at('other.jsonl');
  yield ['evaluation', await verbs.evaluateFiles({ ...judged, by: ['kind'], baseline, out: at('report.json') })];
  const pair = [
    { name: 'a', path: at('scores.jsonl') },
    { name: 'b', path: at('other.jsonl') },
  ];
  const fit = { scores: pair, labels: input, resamples: 100, out: at('ensemble.json') };
  yield ['ensemble-fit', await verbs.makeEnsemble({ ...fit, weights: { kind: 'fit', folds: 2 } })];
  const byName = new Map([
    ['a', 1],
    ['b', 1],
  ]);
  yield ['ensemble-fit', await verbs.makeEnsemble({ scores: pair, weights: { kind: 'given', byName } })];
  yield [
    'ensemble-apply',
    await verbs.applyEnsemble({ ensemble: at('ensemble.json'), scores: pair, out: at('e.jsonl') }),
  ];
  yield ['data-convert', await verbs.convertFile({ input, out: at('labels.csv') })];
  yield ['data-consensus', await verbs.consensusFile({ input, out: at('consensus.jsonl') })];
  yield ['data-split', await verbs.splitFile({ input, out: at('parts') })];
  yield ['data-stats', await verbs.statsOfFile({ input })];
  const card = { evaluations: [at('report.json')], resamples: 100 };
  yield ['modelcard', await verbs.makeModelCard({ ...card, scorer: 'a', out: at('card') })];
  yield ['card-verification', await verbs.verifyModelCard({ folder: at('card'), recompute: false })];
  yield ['card-diff', await verbs.diffModelCards({ before: at('card'), after: at('card'), resamples: 100 })];
  yield ['run-report', await verbs.reportRun({ folder: at('parts/..'), out: at('summary') })];
  yield ['diagnosis', await verbs.diagnose()];
  const model = await tinyModel(folder, 'text');
  const rows = writeRows(folder, 'rows.jsonl', [
    { id: '1', type: 'pair', left: 'a', right: 'b' },
    { id: '2', type: 'x' },
  ]);
  const shard = { index: 0, count: 1 };
  yield ['batch', await verbs.runBatch({ models: [model], input: rows, out: at('s0.jsonl'), shard })];
  yield ['batch-merge', await verbs.mergeShards({ shards: [at('s0.jsonl')], input: rows, out: at('s.jsonl') })];
  yield ['batch-aggregate', await verbs.fitWindows({ ...writeWindowed(folder, 'windowed', 60), out: at('rule.json') })];
  yield ['embedding', await verbs.embedFile({ model, input: rows, out: at('e.npy') })];
  yield ['score', await verbs.scoreOne({ model, input: { sample: { left: 'a', right: 'b' } } })];
  yield ['score', await verbs.scoreOne({ model, input: { sample: { item: 'a' } } })];
  for (const scheme of ['weight-only', 'static'] as const) {
    const budget = { flipRate: 1, kendall: -1 };
    const options = { model: at('m.onnx'), out: at(`${scheme}.onnx`), scheme, budget, gate: 'quick' } as const;
    yield ['quantization', await verbs.quantizeModel(options)];
  }
  const pairs = writeTextPairs(at('pairs.jsonl'), 48);
  const training = { batch_size: 8, steps: 2, warmup_steps: 0, eval_every: 1, checkpoint_every: 1 };
  yield ['train', await verbs.trainModel({ config: { model: TEXT_MODEL, training }, data: [pairs], out: at('run') })];
  const source = { checkpoint: at('run/checkpoint.safetensors'), modality: 'text' } as const;
  yield ['finetune', await verbs.finetuneModel({ source, labels: [pairs], steps: 2, old: [pairs], out: at('t.onnx') })];
}

it('reports hold to their published schemas', async () => {
  const seen = new Set<string>();
  const broken: string[] = [];
  for await (const [name, report] of reports()) {
    seen.add(name);
    broken.push(...schemaErrors(name, report).map((error) => `${name}: ${error}`));
  }
  expect(broken).toEqual([]);
  expect([...seen, ...ELSEWHERE].sort()).toEqual(Object.keys(REPORTS).sort());
});
