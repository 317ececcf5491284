// npm run ablate [-- --folder reports/ablate --only attention|fluency --pairs 640 --steps 60 --text-pairs 2000 --text-steps 240]: what two
// parts of the model are worth at the size of hpsv3-mini, by training with and without them. Judged on comparisons of other sources, with
// intervals paired over sources. docs/training.md has the figures.
//
//   attention   hpsv3-mini-a and -b are trained on with image-text pairs: as they are, and with a cross-attention that looks at every
//               token alike
//   fluency     two text models of that size are trained from nothing: with the loss of the fluency head, and without
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { parse } from 'yaml';
import { PAIR_METRICS } from '../dist/core/stats/metric.js';
import { exportModel, runBatch, synthesize, trainModel } from '../dist/lifecycle.js';
import { attendsToAllAlike, compareArms, falsePositives, withoutCrossAttention } from './ablation.js';
import { saveWeights, weightsOf } from './weights.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values } = parseArgs({
  options: {
    folder: { type: 'string', default: join(root, 'reports/ablate') },
    only: { type: 'string' },
    pairs: { type: 'string', default: '640' },
    steps: { type: 'string', default: '60' },
    'text-pairs': { type: 'string', default: '2000' },
    'text-steps': { type: 'string', default: '240' },
    'held-out': { type: 'string', default: '600' },
  },
});
const [pairs, steps, textPairs, textSteps, heldOut] = [
  values.pairs,
  values.steps,
  values['text-pairs'],
  values['text-steps'],
  values['held-out'],
].map(Number);
const SEEDS = { train: 3001, heldOut: 4002 };
/** Which of the bundled models a seed stands for. */
const MINIS = new Map([
  [1, 'a'],
  [2, 'b'],
]);
const ARMS = ['whole', 'without'];
const { model: MINI, training: RECIPE } = parse(readFileSync(join(root, 'configs/hpsv3_mini.yaml'), 'utf8'));
const TOKENIZER = join(root, 'configs/hpsv3_mini.tokenizer.json');

const began = performance.now();
const say = (text) => console.error(`${((performance.now() - began) / 1000).toFixed(0)} s: ${text}`);
rmSync(values.folder, { recursive: true, force: true });
mkdirSync(values.folder, { recursive: true });
const at = (...path) => join(values.folder, ...path);
const linesOf = (path) =>
  readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

async function train(name, modality, { training, ...options }) {
  say(`training of ${name}`);
  await trainModel({
    config: {
      name: 'hpsv3_mini.yaml',
      model: MINI,
      training: {
        ...RECIPE,
        batch_size: 16,
        micro_batch_size: 16,
        eval_every: training.steps,
        checkpoint_every: training.steps,
        modality_mix: { [modality]: 1 },
        val_fraction: 0.05,
        ...training,
      },
    },
    tokenizer: TOKENIZER,
    data: [at(`train-${modality}`)],
    out: at(name),
    threads: 1, // two are trained at once
    ...options,
  });
  return join(at(name), 'checkpoint.safetensors');
}

/** Scores of held-out rows by id. */
async function score(name, checkpoint, modality, mode, file) {
  const model = at(`${name}.onnx`);
  await exportModel({ checkpoint, out: model, tokenizer: TOKENIZER, modality, mode, gate: 'off', force: true });
  const out = at(`${name}.scores.jsonl`);
  await runBatch({ models: [model], input: at(`held-out-${modality}`, file), out, threads: 1, force: true });
  return new Map(linesOf(out).map((row) => [row.id, row.logit]));
}

const synth = (name, modality, count, seed) =>
  synthesize({
    out: at(`${name}-${modality}`),
    modalities: [modality],
    pairs: count,
    absolute: modality === 'text',
    sizes: { image: 96, video: 64 },
    seed,
  });

function clustersOf(rows) {
  const codes = new Map();
  const of = Int32Array.from(rows, ({ prompt_id: source }) => {
    if (!codes.has(source)) codes.set(source, codes.size);
    return codes.get(source);
  });
  return { of, count: codes.size };
}

/** Trains every seed with and without the part. @returns scores of the held-out rows, seed by seed, of both arms */
async function bothArms(trainArm, scoreArm) {
  const scores = { whole: [], without: [] };
  for (const seed of MINIS.keys()) {
    const trained = await Promise.all(ARMS.map((arm) => trainArm(arm, seed)));
    for (const [i, arm] of ARMS.entries()) scores[arm].push(await scoreArm(trained[i], arm, seed));
  }
  return scores;
}

async function attention() {
  const modality = 'image-text';
  await synth('train', modality, pairs, SEEDS.train);
  await synth('held-out', modality, heldOut, SEEDS.heldOut);
  const scores = await bothArms(
    async (arm, seed) => {
      const weights = await weightsOf(join(root, `checkpoints/hpsv3-mini-${MINIS.get(seed)}`));
      const start = at(`attention-${arm}-${seed}.safetensors`);
      await saveWeights(start, arm === 'whole' ? weights : withoutCrossAttention(weights), MINI);
      const training = { lr: 3e-4, warmup_steps: Math.min(10, steps - 1), steps, ema_decay: 0 };
      const trained = await train(`attention-${arm}-${seed}`, modality, { training, checkpoint: start, seed });
      if (arm === 'without' && !attendsToAllAlike(await weightsOf(trained)))
        throw new Error('training has brought the cross-attention back');
      return trained;
    },
    (checkpoint, arm, seed) => score(`attention-${arm}-${seed}`, checkpoint, modality, 'pair', 'labels.jsonl'),
  );
  const rows = linesOf(at(`held-out-${modality}`, 'labels.jsonl'));
  const figures = {};
  const damages = [...new Set(rows.map(({ groups }) => groups.perturbation))].sort();
  for (const damage of ['all', ...damages]) {
    const chosen = damage === 'all' ? rows : rows.filter(({ groups }) => groups.perturbation === damage);
    const outcomes = {
      positive: Float64Array.from(chosen, ({ labels }) => labels.reduce((sum, vote) => sum + vote, 0)),
      negative: Float64Array.from(chosen, ({ labels }) => labels.reduce((sum, vote) => sum + 1 - vote, 0)),
    };
    for (const id of damage === 'all' ? ['auc', 'accuracy'] : ['auc']) {
      const { prepare, direction } = PAIR_METRICS.find((metric) => metric.id === id);
      const statistic = (ofRow) =>
        prepare({ logits: Float64Array.from(chosen, (row) => ofRow.get(row.id)), probabilities: null, outcomes });
      const [whole, without] = ARMS.map((arm) => scores[arm].map(statistic));
      figures[damage === 'all' ? id : `${id} of ${damage}`] = {
        n: chosen.length,
        ...(await compareArms({ whole, without, direction, clusters: clustersOf(chosen), seed: id })),
      };
    }
  }
  return figures;
}

async function fluency() {
  const modality = 'text';
  await synth('train', modality, textPairs, SEEDS.train);
  await synth('held-out', modality, heldOut, SEEDS.heldOut);
  const scores = await bothArms(
    (arm, seed) => {
      const losses = arm === 'whole' ? RECIPE.losses : { ...RECIPE.losses, fluency: 0 };
      const training = { steps: textSteps, warmup_steps: Math.min(50, textSteps - 1), losses };
      return train(`fluency-${arm}-${seed}`, modality, { training, seed });
    },
    (checkpoint, arm, seed) => score(`fluency-${arm}-${seed}`, checkpoint, modality, 'item', 'absolute.jsonl'),
  );
  const NOISY = ['noise', 'order'];
  const rows = linesOf(at(`held-out-${modality}`, 'absolute.jsonl')).filter(({ groups }) =>
    NOISY.includes(groups.perturbation),
  );
  const actual = Float64Array.from(rows, ({ score: truth }) => truth);
  const statistic = (ofRow) =>
    falsePositives(
      Float64Array.from(rows, ({ id }) => ofRow.get(id)),
      actual,
    );
  const [whole, without] = ARMS.map((arm) => scores[arm].map(statistic));
  const compared = await compareArms({
    whole,
    without,
    direction: 'lower',
    clusters: clustersOf(rows),
    seed: 'fluency',
  });
  return { 'false positives on noisy text': { n: actual.filter((score) => score < 0).length, ...compared } };
}

const ABLATIONS = { attention, fluency };
const result = { schema: 'hpsv3/ablation@1', settings: { pairs, steps, textPairs, textSteps, heldOut }, ablations: {} };
for (const [name, ablate] of Object.entries(ABLATIONS))
  if (values.only === undefined || values.only === name) result.ablations[name] = await ablate();
result.seconds = Math.round((performance.now() - began) / 1000);
writeFileSync(at('ablation.json'), `${JSON.stringify(result, null, 2)}\n`);
const short = (value) => value.toFixed(3);
for (const [name, figures] of Object.entries(result.ablations))
  for (const [figure, { n, whole, without, difference, ci, verdict, byModel }] of Object.entries(figures)) {
    const interval = ci === null ? 'no interval' : `[${ci.map(short).join(', ')}]`;
    const each = byModel.map((one) => short(one.difference)).join(', ');
    console.log(
      `without ${name}, ${figure} (n = ${n}): ${short(without)} instead of ${short(whole)}, ${short(difference)} ${interval}, ${verdict}; by model ${each}`,
    );
  }
say(`all figures are in ${basename(values.folder)}/ablation.json`);
