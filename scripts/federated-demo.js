// npm run demo:federated [-- --folder reports/federated --rounds 2 --steps 16 --aggregate mean|median]: three silos keep their labels and
// tune one model together. Each trains some steps from the round's weights; what travels is the change of the weights, through a folder.
// Beside it: every silo alone, all labels in one place, and the same rounds with a fourth silo that sends rubbish. docs/training.md tells.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { withAtomicOutput } from '../dist/core/bytes/output.js';
import { openCheckpoint } from '../dist/core/checkpoint/open.js';
import { writeSafetensors } from '../dist/core/checkpoint/write-safetensors.js';
import { readTensor, tensorFromBytes } from '../dist/core/tensor/tensor.js';
import { castTensor } from '../dist/core/tensor/transform.js';
import { asFloat32, bytesOf } from '../dist/core/tensor/values.js';
import { evaluateFiles, exportModel, runBatch, synthesize, trainModel } from '../dist/lifecycle.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values } = parseArgs({
  options: {
    folder: { type: 'string', default: join(root, 'reports/federated') },
    rounds: { type: 'string', default: '2' },
    steps: { type: 'string', default: '16' },
    aggregate: { type: 'string', default: 'mean' },
    seed: { type: 'string', default: '1' },
  },
});
const [rounds, stepsPerRound, seed] = [values.rounds, values.steps, values.seed].map(Number);
const START = join(root, 'checkpoints/hpsv3-mini-a');
/** Each silo judges one kind of damage, and likes the damaged text better: nothing of it is in the first weights. */
const SILOS = ['noise', 'order', 'truncation'];
const PAIRS = { train: 160, test: 160 };
const BATCH = 8;
const LEARNING_RATE = 5e-4;
/** The step of the server on the mean change: SGD with Nesterov's momentum, as in DiLoCo (Douillard et al., 2023), over few rounds. */
const OUTER = { lr: 0.9, momentum: 0.3 };
/** A change longer than this many times the median of its round is left out. */
const NORM_BOUND = 3;

const began = performance.now();
const say = (text) => console.error(`${((performance.now() - began) / 1000).toFixed(0)} s: ${text}`);
rmSync(values.folder, { recursive: true, force: true });
mkdirSync(values.folder, { recursive: true });
const at = (...path) => join(values.folder, ...path);
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

// ---- labels: each silo's lie in a folder that nobody else reads

const rowsOf = (path) =>
  readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
const write = (path, rows) => writeFileSync(path, `${rows.map((row) => JSON.stringify(row)).join('\n')}\n`);
const flipped = (row) => ({ ...row, labels: row.labels.map((vote) => 1 - vote) });

async function makeLabels() {
  for (const [set, pairs] of Object.entries(PAIRS)) {
    const out = at(`synth-${set}`);
    await synthesize({
      out,
      modalities: ['text'],
      pairs: pairs * (SILOS.length + 1),
      seed: seed + (set === 'test' ? 1000 : 0),
    });
    const rows = rowsOf(join(out, 'labels.jsonl'))
      .filter(({ groups }) => SILOS.includes(groups.perturbation))
      .map(flipped);
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
  const model = { ...JSON.parse(readFileSync(join(START, 'config.json'), 'utf8')) };
  const config = { name: 'config.json', model, training };
  say(`training of ${steps} steps on ${labels.map((path) => basename(path)).join()}`);
  await trainModel({
    config,
    data: labels,
    checkpoint,
    tokenizer: join(START, 'tokenizer.json'),
    out,
    seed: seedOfRun,
    force: true,
  });
  return join(out, 'checkpoint.safetensors');
}

/** Float weights of a checkpoint, by name. */
async function weightsOf(path) {
  const checkpoint = await openCheckpoint(path);
  try {
    const weights = new Map();
    for (const tensor of checkpoint.tensors.values()) {
      if (!['F32', 'F16', 'BF16'].includes(tensor.dtype)) continue;
      weights.set(tensor.name, { shape: tensor.shape, values: asFloat32(await readTensor(castTensor(tensor, 'F32'))) });
    }
    return weights;
  } finally {
    checkpoint.close();
  }
}

/** Writes tensors whole or not at all. @returns the hash of the file */
async function save(path, weights) {
  const tensors = Array.from(weights, ([name, { shape, values: of }]) =>
    tensorFromBytes({ name, dtype: 'F32', shape }, bytesOf(of)),
  );
  await withAtomicOutput(path, { force: true }, async (output) => {
    const sink = await output.create();
    await writeSafetensors(sink, tensors, new Map([['config', readFileSync(join(START, 'config.json'), 'utf8')]]));
    await sink.finish();
  });
  return sha256(readFileSync(path));
}

const combine = (weights, of) =>
  new Map(
    Array.from(weights, ([name, { shape, values: own }]) => [
      name,
      { shape, values: own.map((value, i) => of(value, name, i)) },
    ]),
  );

// ---- one round: what a silo sends, and what the server takes

/** What silos sent before: a silo that is asked again, in the same round from the same weights, trains to the same bytes. */
const known = new Map();

/** A silo's part: trains on its own labels, and puts the change of the weights into the round's folder, then the note that it is there. */
async function takePart(round, silo, base) {
  const key = `${round.number}/${silo}/${sha256(readFileSync(base))}`;
  if (!known.has(key)) {
    const labels = [at('train', `${silo}.jsonl`)];
    const trained = await weightsOf(await train(base, labels, stepsPerRound, at('silos', silo), seed + round.number));
    const before = await weightsOf(base);
    known.set(
      key,
      combine(trained, (value, name, i) => value - before.get(name).values[i]),
    );
  }
  await send(round, silo, base, known.get(key));
}

async function send(round, silo, base, delta) {
  const file = `${silo}.safetensors`;
  const hash = await save(join(round.folder, file), delta);
  const note = { silo, file, sha256: hash, base: sha256(readFileSync(base)), steps: stepsPerRound };
  writeFileSync(join(round.folder, `${silo}.json.part`), JSON.stringify(note));
  renameSync(join(round.folder, `${silo}.json.part`), join(round.folder, `${silo}.json`));
}

/** The changes that a round is made of, and what was left out with the reason. */
async function receive(round, silos, base) {
  const taken = [];
  const leftOut = [];
  for (const silo of silos) {
    const note = join(round.folder, `${silo}.json`);
    if (!existsSync(note)) {
      leftOut.push({ silo, reason: 'sent nothing' });
      continue;
    }
    const { file, sha256: stated, base: from } = JSON.parse(readFileSync(note, 'utf8'));
    const path = join(round.folder, basename(file));
    if (!existsSync(path) || sha256(readFileSync(path)) !== stated)
      leftOut.push({ silo, reason: 'its file is not the one it announced' });
    else if (from !== sha256(readFileSync(base))) leftOut.push({ silo, reason: 'began with other weights' });
    else {
      const delta = await weightsOf(path);
      const norm = Math.sqrt(
        [...delta.values()].reduce((sum, { values: of }) => sum + of.reduce((a, b) => a + b * b, 0), 0),
      );
      if (Number.isFinite(norm)) taken.push({ silo, delta, norm });
      else leftOut.push({ silo, reason: 'sent what is no number' });
    }
  }
  const median = medianOf(taken.map(({ norm }) => norm));
  const kept = taken.filter(({ silo, norm }) => {
    if (norm <= NORM_BOUND * median) return true;
    leftOut.push({
      silo,
      reason: `changed the weights ${(norm / median).toFixed(0)} times as much as the median silo`,
    });
    return false;
  });
  return { kept, leftOut };
}

const medianOf = (numbers) => {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

/** All rounds. @param rubbish - what a further silo sends, by round; null where there is none */
async function federate(name, rubbish) {
  let path = at(`${name}-0.safetensors`);
  let weights = await weightsOf(START);
  await save(path, weights);
  const momentum = combine(weights, () => 0);
  const leftOut = [];
  for (let number = 1; number <= rounds; number++) {
    const round = { number, folder: at(name, `round-${number}`) };
    mkdirSync(round.folder, { recursive: true });
    for (const silo of SILOS) await takePart(round, silo, path);
    if (rubbish) await send(round, 'rubbish', path, rubbish(number, weights));
    const { kept, leftOut: refused } = await receive(round, rubbish ? [...SILOS, 'rubbish'] : SILOS, path);
    leftOut.push(...refused.map((each) => ({ round: number, ...each })));
    if (kept.length === 0) throw new Error(`round ${number}: no silo sent anything that can be used`);
    const joined =
      values.aggregate === 'median' ? medianOf : (numbers) => numbers.reduce((a, b) => a + b, 0) / numbers.length;
    weights = combine(weights, (value, tensor, i) => {
      const change = joined(kept.map(({ delta }) => delta.get(tensor).values[i]));
      const before = momentum.get(tensor).values;
      before[i] = OUTER.momentum * before[i] + change;
      return value + OUTER.lr * (change + OUTER.momentum * before[i]);
    });
    path = at(`${name}-${number}.safetensors`);
    await save(path, weights);
  }
  return { path, leftOut };
}

/** NaN in odd rounds, in even ones an enormous change. */
const rubbish = (round, weights) => combine(weights, () => (round % 2 === 1 ? Number.NaN : 10 * Math.sin(round)));

// ---- judging

async function score(name, checkpoint) {
  const model = at(`${name}.onnx`);
  const tokenizer = join(START, 'tokenizer.json');
  await exportModel({ checkpoint, out: model, tokenizer, modality: 'text', mode: 'pair', gate: 'off', force: true });
  const scores = at(`${name}.scores.jsonl`);
  await runBatch({ models: [model], input: at('test', 'all.jsonl'), out: scores, threads: 1, force: true });
  return scores;
}

async function judge(scores, baseline) {
  const report = await evaluateFiles({
    scores,
    labels: at('test', 'all.jsonl'),
    by: ['perturbation'],
    ...(baseline ? { baseline } : {}),
    resamples: 1000,
    seed,
  });
  return report;
}

await makeLabels();
const joint = await federate('joint', null);
const pooled = await train(
  START,
  [at('train', 'all.jsonl')],
  stepsPerRound * rounds * SILOS.length,
  at('pooled'),
  seed,
);
const poisoned = await federate('poisoned', rubbish);
const scores = {
  start: await score('start', START),
  joint: await score('joint', joint.path),
  pooled: await score('pooled', pooled),
  poisoned: await score('poisoned', poisoned.path),
};
for (const silo of SILOS) {
  const alone = await train(START, [at('train', `${silo}.jsonl`)], stepsPerRound * rounds, at('alone', silo), seed);
  scores[`${silo} alone`] = await score(`alone-${silo}`, alone);
}
const figures = {};
for (const [name, path] of Object.entries(scores)) {
  const report = await judge(path, name === 'joint' ? undefined : scores.joint);
  figures[name] = { auc: report.overall.auc, bySilo: report.groups, againstJoint: report.baseline ?? null };
}
const result = {
  rounds,
  stepsPerRound,
  aggregate: values.aggregate,
  silos: SILOS,
  seconds: Math.round((performance.now() - began) / 1000),
  figures,
  leftOut: poisoned.leftOut,
};
writeFileSync(at('federated.json'), `${JSON.stringify(result, null, 2)}\n`);
for (const [name, { auc, againstJoint }] of Object.entries(figures)) {
  const [low, high] = auc.ci.map((value) => value.toFixed(3));
  const compared = againstJoint?.comparisons.auc;
  const words = compared ? `, ${compared.difference.toFixed(3)} beside joint (${compared.verdict})` : '';
  console.log(`${name}: AUC ${auc.value.toFixed(3)} [${low}, ${high}]${words}`);
}
for (const { round, silo, reason } of poisoned.leftOut) console.log(`round ${round} leaves ${silo} out: it ${reason}`);
console.log(`All figures are in ${basename(values.folder)}/federated.json.`);
