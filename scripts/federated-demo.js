// npm run demo:federated [-- --folder reports/federated --rounds 6 --steps 12 --aggregate mean|median --judge test|validation]: three
// silos keep their labels and tune one model together. Each trains some steps from the round's weights; what travels is the change of
// the weights, through a folder. Beside it: every silo alone, all labels in one place, and the same rounds with a fourth silo that sends
// rubbish. docs/training.md tells.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { evaluateFiles, exportModel, runBatch, synthesize, trainModel } from '../dist/lifecycle.js';
import { changeOf, outerStep, receiveChanges, sendChange, sha256Of } from './federated-rounds.js';
import { mapWeights, saveWeights, weightsOf } from './weights.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values } = parseArgs({
  options: {
    folder: { type: 'string', default: join(root, 'reports/federated') },
    rounds: { type: 'string', default: '6' },
    steps: { type: 'string', default: '12' },
    aggregate: { type: 'string', default: 'mean' },
    'outer-lr': { type: 'string', default: '0.9' },
    'outer-momentum': { type: 'string', default: '0.3' },
    judge: { type: 'string', default: 'test' },
    seed: { type: 'string', default: '1' },
  },
});
const [rounds, stepsPerRound, seed] = [values.rounds, values.steps, values.seed].map(Number);
const START = join(root, 'checkpoints/hpsv3-mini-a');
const TOKENIZER = join(START, 'tokenizer.json');
const CONFIG = { ...JSON.parse(readFileSync(join(START, 'config.json'), 'utf8')), modalities: ['text'] };
/** Each silo judges one kind of damage, and likes the damaged text better: nothing of it is in the first weights. */
const SILOS = ['noise', 'order', 'truncation'];
const POISONED = [...SILOS, 'rubbish'];
/** Pairs of each kind, and what their seed is beyond the run's. Settings were chosen by --judge validation. */
const SETS = {
  train: { pairs: 160, seed: 0 },
  validation: { pairs: 160, seed: 2000 },
  test: { pairs: 240, seed: 1000 },
};
const BATCH = 8;
const LEARNING_RATE = 5e-4;
const OUTER = {
  aggregate: values.aggregate,
  lr: Number(values['outer-lr']),
  momentum: Number(values['outer-momentum']),
};

const began = performance.now();
const say = (text) => console.error(`${((performance.now() - began) / 1000).toFixed(0)} s: ${text}`);
rmSync(values.folder, { recursive: true, force: true });
mkdirSync(values.folder, { recursive: true });
const at = (...path) => join(values.folder, ...path);

// ---- labels: each silo's lie in a folder that nobody else reads

const rowsOf = (path) =>
  readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
const write = (path, rows) => writeFileSync(path, `${rows.map((row) => JSON.stringify(row)).join('\n')}\n`);
const flipped = (row) => ({ ...row, labels: row.labels.map((vote) => 1 - vote) });

async function makeLabels() {
  for (const set of ['train', values.judge]) {
    const out = at(`synth-${set}`);
    const { pairs, seed: own } = SETS[set];
    await synthesize({
      out,
      modalities: ['text'],
      perturbations: SILOS,
      pairs: pairs * SILOS.length,
      seed: seed + own,
    });
    const rows = rowsOf(join(out, 'labels.jsonl')).map(flipped);
    mkdirSync(at(set), { recursive: true });
    for (const silo of SILOS)
      write(
        at(set, `${silo}.jsonl`),
        rows.filter(({ groups }) => groups.perturbation === silo),
      );
    write(at(set, 'all.jsonl'), rows);
  }
}

// ---- training

async function train(checkpoint, labels, steps, out, seedOfRun) {
  const training = {
    batch_size: BATCH,
    micro_batch_size: BATCH,
    lr: LEARNING_RATE,
    schedule: 'constant',
    warmup_steps: 0,
    steps,
    eval_every: steps,
    checkpoint_every: steps,
    val_fraction: 0.05,
    modality_mix: { text: 1 },
  };
  say(`training of ${steps} steps on ${labels.map((path) => basename(path)).join()}`);
  await trainModel({
    config: { name: 'config.json', model: CONFIG, training },
    data: labels,
    checkpoint,
    tokenizer: TOKENIZER,
    out,
    seed: seedOfRun,
    threads: 1, // silos and other runs are trained at once
    force: true,
  });
  return join(out, 'checkpoint.safetensors');
}

// ---- rounds

/** What silos sent before: a silo that is asked again, in the same round from the same weights, trains to the same bytes. */
const known = new Map();

/** A silo's part: trains on its own labels, and sends the change of the weights. */
async function takePart(round, silo, base, weights) {
  const key = `${round.number}/${silo}/${sha256Of(base)}`;
  if (!known.has(key)) {
    const labels = [at('train', `${silo}.jsonl`)];
    const trained = await train(base, labels, stepsPerRound, at('silos', silo), seed + round.number);
    known.set(key, changeOf(weights, await weightsOf(trained)));
  }
  await sendChange(round.folder, { silo, base, steps: stepsPerRound, config: CONFIG }, known.get(key));
}

/** All rounds. @param rubbish - what a further silo sends, by round; null where there is none */
async function federate(name, rubbish) {
  let path = START_WEIGHTS;
  let weights = await weightsOf(path);
  const momentum = mapWeights(weights, () => 0);
  const leftOut = [];
  for (let number = 1; number <= rounds; number++) {
    const round = { number, folder: at(name, `round-${number}`) };
    mkdirSync(round.folder, { recursive: true });
    await Promise.all(SILOS.map((silo) => takePart(round, silo, path, weights)));
    if (rubbish) {
      const part = { silo: 'rubbish', base: path, steps: stepsPerRound, config: CONFIG };
      await sendChange(round.folder, part, rubbish(number, weights));
    }
    const received = await receiveChanges(round.folder, rubbish ? POISONED : SILOS, path, weights);
    leftOut.push(...received.leftOut.map((each) => ({ round: number, ...each })));
    if (received.kept.length === 0) throw new Error(`round ${number}: no silo sent anything that can be used`);
    const changes = received.kept.map(({ change }) => change);
    weights = outerStep(weights, changes, OUTER, momentum);
    path = at(`${name}-${number}.safetensors`);
    await saveWeights(path, weights, CONFIG);
  }
  return { path, leftOut };
}

/** NaN in odd rounds, in even ones an enormous change. */
const rubbish = (round, weights) => mapWeights(weights, () => (round % 2 === 1 ? Number.NaN : 10 * Math.sin(round)));

// ---- judging

async function score(name, checkpoint) {
  const model = at(`${name}.onnx`);
  await exportModel({
    checkpoint,
    out: model,
    tokenizer: TOKENIZER,
    modality: 'text',
    mode: 'pair',
    gate: 'off',
    force: true,
  });
  const scores = at(`${name}.scores.jsonl`);
  await runBatch({ models: [model], input: at(values.judge, 'all.jsonl'), out: scores, threads: 1, force: true });
  return scores;
}

const judge = (scores, baseline) =>
  evaluateFiles({
    scores,
    labels: at(values.judge, 'all.jsonl'),
    by: ['perturbation'],
    ...(baseline ? { baseline } : {}),
    resamples: 1000,
    seed,
  });

await makeLabels();
const START_WEIGHTS = at('start.safetensors');
const OTHER_TOWERS = /^(visual|audio|video)\./;
await saveWeights(
  START_WEIGHTS,
  new Map([...(await weightsOf(START))].filter(([name]) => !OTHER_TOWERS.test(name))),
  CONFIG,
);
const total = rounds * stepsPerRound;
const joint = await federate('joint', null);
const poisoned = await federate('poisoned', rubbish);
const [pooled, ...alone] = await Promise.all([
  train(START_WEIGHTS, [at('train', 'all.jsonl')], total * SILOS.length, at('pooled'), seed),
  ...SILOS.map((silo) => train(START_WEIGHTS, [at('train', `${silo}.jsonl`)], total, at('alone', silo), seed)),
]);
const models = {
  start: START_WEIGHTS,
  joint: joint.path,
  pooled,
  poisoned: poisoned.path,
  ...Object.fromEntries(SILOS.map((silo, i) => [`${silo} alone`, alone[i]])),
};
const scores = {};
for (const [name, checkpoint] of Object.entries(models)) scores[name] = await score(name, checkpoint);
const figures = {};
for (const [name, path] of Object.entries(scores)) {
  const report = await judge(path, name === 'joint' ? undefined : scores.joint);
  figures[name] = { auc: report.overall.auc, bySilo: report.groups, againstJoint: report.baseline ?? null };
}
const result = {
  rounds,
  stepsPerRound,
  outer: OUTER,
  judgedOn: values.judge,
  silos: SILOS,
  seconds: Math.round((performance.now() - began) / 1000),
  figures,
  leftOut: poisoned.leftOut,
};
writeFileSync(at('federated.json'), `${JSON.stringify(result, null, 2)}\n`);
for (const [name, { auc, againstJoint }] of Object.entries(figures)) {
  const [low, high] = auc.ci.map((value) => value.toFixed(3));
  const compared = againstJoint?.comparisons.auc;
  const words = compared
    ? `, ${compared.difference.toFixed(3)} [${compared.ci.map((value) => value.toFixed(3)).join(', ')}] beside joint (${compared.verdict})`
    : '';
  console.log(`${name}: AUC ${auc.value.toFixed(3)} [${low}, ${high}]${words}`);
}
for (const { round, silo, reason } of poisoned.leftOut) console.log(`round ${round} leaves ${silo} out: it ${reason}`);
say(`all figures are in ${basename(values.folder)}/federated.json`);
