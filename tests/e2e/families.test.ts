import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { calibrateFiles } from '../../src/core/lifecycle/calibrate/calibrate.js';
import { makeModelCard } from '../../src/core/lifecycle/card/write.js';
import { applyEnsemble } from '../../src/core/lifecycle/ensemble/apply.js';
import { makeEnsemble } from '../../src/core/lifecycle/ensemble/fit.js';
import { mergeEnsemble } from '../../src/core/lifecycle/ensemble/merge.js';
import { evaluateFiles } from '../../src/core/lifecycle/evaluate/evaluate.js';
import { exportModel } from '../../src/core/lifecycle/export/export.js';
import { quantizeModel } from '../../src/core/lifecycle/quantize/quantize.js';
import { runBatch } from '../../src/core/lifecycle/score/batch.js';
import { readTensor } from '../../src/core/tensor/tensor.js';
import { asFloat32 } from '../../src/core/tensor/values.js';
import { PROJECT } from '../helpers/cli.js';
import { readTensors } from '../helpers/models.js';
import { sharedFolder } from '../helpers/temp.js';

// Published families from checkpoint to card, over small checkpoints of random weights with the scores of PyTorch
// (tests/golden/families/make.py).

const family = (name: string): string => join(PROJECT, 'tests/golden/families', name);
const folder = sharedFolder();
const at = (name: string): string => join(folder, name);
const MEDIA = family('clip-transformers');

interface Scored {
  readonly id: string;
  readonly logit: number;
}

const lines = (path: string): Scored[] =>
  readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

const write = (name: string, rows: readonly object[]): string => {
  writeFileSync(at(name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return at(name);
};

const batch = (model: string, input: string, out: string, mediaRoot = MEDIA) =>
  runBatch({ models: [model], input, out, mediaRoot, force: true });

describe('the scores of the rows that a package published for HPSv2 prepares', () => {
  it.each([
    ['raw', undefined],
    ['raw_noantialias', 'hpsv2-no-antialias'],
    ['raw_open_clip', 'open-clip'],
  ])('%s, exported with preprocess %s', async (group, preprocess) => {
    const source = family('clip-open');
    const model = at(`${group}.onnx`);
    await exportModel({ checkpoint: join(source, 'HPS_v2_tiny.pt'), out: model, preprocess, gate: 'off' });
    const raw: { image: string; text: string }[] = JSON.parse(readFileSync(join(source, 'raw.json'), 'utf8'));
    const input = write(
      `${group}.jsonl`,
      raw.map(({ image, text }, i) => ({ id: String(i), type: 'image_text', image, text })),
    );
    await batch(model, input, at(`${group}.scores.jsonl`), source);
    const golden = new Map(await readTensors(join(source, 'golden.safetensors')));
    const expected = asFloat32(await readTensor(golden.get(`${group}/out/utility_logit`)!));
    const scored = lines(at(`${group}.scores.jsonl`));
    expect(scored.map(({ id }) => id)).toEqual(raw.map((_, i) => String(i)));
    expect(scored.map(({ logit }) => logit)).toBeAllClose(expected, { atol: 1e-5, rtol: 0 });
  });
});

describe('a CLIP score and ImageReward, which read other inputs', () => {
  const [clip, reward, small] = ['clip.onnx', 'reward.onnx', 'small.onnx'].map(at);
  const names = { clip: small, reward };
  let rows: string;
  let labels: string;

  beforeAll(async () => {
    await exportModel({ checkpoint: MEDIA, out: clip, gate: 'off' });
    await exportModel({ checkpoint: family('imagereward'), out: reward, gate: 'off' });
    const prompts = Array.from({ length: 30 }, (_, i) => `a cat on ${i} mats, ${'very '.repeat(i % 5)}blue`);
    const pairs = prompts.flatMap((text, p) =>
      [0, 1, 2].map((picture) => ({
        id: `${p}-${picture}`,
        type: 'pairwise_image_text',
        prompt_id: `p${p}`,
        left: { image: `raw-${picture}.png`, text },
        right: { image: `raw-${(picture + 1) % 3}.png`, text },
      })),
    );
    rows = write('rows.jsonl', pairs);
    // The pictures of a prompt differ by less than rounding here: a gate would rightly refuse.
    await quantizeModel({ model: clip, out: small, scheme: 'weight-only', gate: 'off' });
    for (const [name, model] of Object.entries(names)) await batch(model, rows, at(`${name}.jsonl`));
    const members = Object.keys(names).map((name) => lines(at(`${name}.jsonl`)));
    const spread = members.map((scores) =>
      Math.sqrt(scores.reduce((sum, { logit }) => sum + logit ** 2, 0) / scores.length),
    );
    // Both say half of what raters prefer, and each rater errs by himself.
    labels = write(
      'labels.jsonl',
      pairs.map((pair, i) => {
        const both = members.reduce((sum, scores, m) => sum + scores[i].logit / spread[m], 0);
        return { ...pair, labels: [0, 1, 2].map((rater) => Number(both + Math.sin(7 * i + 13 * rater) > 0)) };
      }),
    );
  });

  it('cannot be one graph, and the error says what can be done instead', async () => {
    const members = Object.values(names).map((path) => ({ path, weight: 0.5 }));
    await expect(mergeEnsemble({ members, out: at('one.onnx') })).rejects.toMatchObject({
      code: 'MODELS_INCOMPARABLE',
      message: expect.stringMatching(/inputs\./),
      hint: expect.stringContaining('`hpsv3 ensemble` with the scores of both'),
    });
  });

  it('are weighed by their scores, calibrated and described', async () => {
    const scores = Object.keys(names).map((name) => ({ name, path: at(`${name}.jsonl`) }));
    const made = await makeEnsemble({ scores, labels, out: at('ensemble.json'), resamples: 100 });
    expect(Math.min(...Object.values(made.shares))).toBeGreaterThan(0.1);
    const applied = await applyEnsemble({ ensemble: at('ensemble.json'), scores, out: at('both.jsonl') });
    expect(applied).toMatchObject({ n: 90, missing: { clip: 0, reward: 0 } });
    const judged = { scores: at('both.jsonl'), labels, resamples: 100 };
    await calibrateFiles({ ...judged, out: at('both-calibrator.json') });
    const { overall } = await evaluateFiles({ ...judged, calibrator: at('both-calibrator.json') });
    for (const { path } of scores) {
      const alone = await evaluateFiles({ ...judged, scores: path });
      expect(overall.accuracy.value).toBeGreaterThan(alone.overall.accuracy.value!);
    }
  });

  it('becomes a release: quantized, calibrated, with a card, and scored by it', async () => {
    const calibrator = at('calibrator.json');
    await calibrateFiles({ scores: at('clip.jsonl'), labels, out: calibrator, resamples: 100 });
    const judged = { scores: at('clip.jsonl'), labels, calibrator, resamples: 100 };
    await evaluateFiles({ ...judged, out: at('evaluation.json') });
    await makeModelCard({
      model: small,
      evaluations: [at('evaluation.json')],
      calibration: calibrator,
      quantization: `${small}.report.json`,
      out: at('card'),
    });
    expect(readFileSync(at('card/README.md'), 'utf8')).toContain('small.onnx');
    const scored = await runBatch({
      models: [small],
      calibrator,
      input: rows,
      out: at('released.jsonl'),
      mediaRoot: MEDIA,
    });
    expect(scored).toMatchObject({ rows: 90, failed: 0 });
    const [row] = lines(at('released.jsonl'));
    expect(row).toMatchObject({ calibrated: expect.anything(), confidence: expect.any(Number) });
  });
});
