// Shows what `hpsv3 finetune` comes to by its defaults, and by others, on three kinds of labels: the table in docs/training.md.
// `node scripts/finetune-table.js --hh harmless-base__test.jsonl.gz --folder FOLDER` (Anthropic's hh-rlhf, MIT). Runs that stand in
// FOLDER/results.jsonl are not made again. Figures are of labels apart from those that a run trains and stops on.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { finetuneModel } from '../dist/core/lifecycle/train/finetune.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values: options } = parseArgs({
  options: { hh: { type: 'string' }, folder: { type: 'string' }, only: { type: 'string', default: '' } },
});
const at = (...path) => join(options.folder, ...path);
mkdirSync(options.folder, { recursive: true });

/** A number in [0, 1) that a text always has. */
const draw = (text) => createHash('sha256').update(text).digest().readUInt32BE() / 2 ** 32;
const rowsOf = (path) =>
  readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
const write = (path, rows) => writeFileSync(path, `${rows.map((row) => JSON.stringify(row)).join('\n')}\n`);
const hpsv3 = (...args) => {
  const { status, stderr } = spawnSync(process.execPath, [join(root, 'bin/run.js'), ...args], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
};

/** People's choice between two answers in a dialogue, at its last turn. */
function dialogues() {
  const last = (text) => text.slice(text.lastIndexOf('\n\nAssistant:') + 12).trim();
  return gunzipSync(readFileSync(options.hh))
    .toString()
    .trim()
    .split('\n')
    .flatMap((line, i) => {
      const { chosen, rejected } = JSON.parse(line);
      const [good, bad] = [last(chosen), last(rejected)];
      if (good === '' || bad === '' || good === bad) return [];
      const [left, right] = draw(`side ${i}`) < 0.5 ? [good, bad] : [bad, good];
      const prompt_id = createHash('sha256').update(chosen.split('\n\nAssistant:', 1)[0]).digest('hex').slice(0, 16);
      return [{ id: `hh-${i}`, type: 'pairwise_text', left, right, prompt_id, labels: [left === good ? 1 : 0] }];
    });
}

function synthetic(modality, family, ...more) {
  const folder = at(`synth-${modality}`);
  if (!existsSync(folder)) hpsv3('synth', '--out', folder, '--modality', modality, ...more, '-q');
  return rowsOf(join(folder, 'labels.jsonl')).filter(({ groups }) => groups.perturbation === family);
}

const SETS = {
  hh: { modality: 'text', rows: dialogues, words: 'hh-rlhf: which answer people chose' },
  short: {
    modality: 'text',
    // The opposite of what the model has learnt.
    rows: () =>
      synthetic('text', 'truncation', '--pairs', '4800', '--seed', '31').map((row) => ({
        ...row,
        labels: row.labels.map((vote) => 1 - vote),
      })),
    words: 'synthetic: the text that is cut short is the better one',
  },
  tifa: {
    modality: 'image-text',
    rows: () =>
      synthetic(
        'image-text',
        'mismatch',
        '--pairs',
        '2400',
        '--pairs-per-source',
        '8',
        '--raters',
        '7',
        '--image-size',
        '96',
        '--seed',
        '32',
      ),
    words: 'as TIFA: which picture is of the text, at 96 pixels',
  },
};
const SIZES = [100, 300, 1000];
/** Every step passes through the whole model: minutes. */
const SIZES_OF_ALL = { hh: [300, 1000], short: [300], tifa: [300] };

function prepare(name) {
  const { modality, rows } = SETS[name];
  const model = at(`${modality}.onnx`);
  if (!existsSync(model)) {
    const checkpoint = join(root, 'checkpoints/hpsv3-mini-a/model.safetensors');
    hpsv3(
      'export',
      '--checkpoint',
      checkpoint,
      '--modality',
      modality,
      '--mode',
      'pair',
      '--gate',
      'off',
      '-q',
      '--out',
      model,
    );
  }
  const path = (part) => at(`${name}.${part}.jsonl`);
  if (!existsSync(path('test'))) {
    const ordered = rows().toSorted((a, b) => draw(`order ${a.id}`) - draw(`order ${b.id}`));
    const isHeldOut = ({ prompt_id }) => draw(`test ${prompt_id}`) < 0.25;
    const pool = ordered.filter((row) => !isHeldOut(row));
    for (const size of SIZES) write(path(size), pool.slice(0, size));
    write(path('test'), ordered.filter(isHeldOut));
  }
  return { model, modality, path };
}

/** @param training - what is given instead of left to the defaults */
async function run({ set, size, train, training = {}, epochs }) {
  const { model, modality, path } = prepare(set);
  const started = performance.now();
  const report = await finetuneModel({
    source: { model },
    labels: [path(size)],
    old: [path('test')],
    forget: 1,
    out: at('tuned.onnx'),
    train,
    training,
    epochs,
    threads: 1,
    gate: 'off',
    force: true,
    mediaRoot: at(`synth-${modality}`),
    cache: at('cache'),
  });
  const { auc, pairs } = report.forgotten;
  return {
    lr: report.lr,
    steps: report.steps,
    best: report.bestStep,
    pairs,
    ...auc,
    seconds: Math.round((performance.now() - started) / 1000),
  };
}

const EARLIER = { training: { lr: 1e-5, patience: 3 }, epochs: 10 };
const plans = Object.keys(SETS).flatMap((set) => [
  ...SIZES.flatMap((size) => [
    { set, size, train: 'head', name: '`lr` 1e-5, 10 epochs', ...EARLIER },
    { set, size, train: 'head', name: 'default' },
  ]),
  ...SIZES_OF_ALL[set].map((size) => ({ set, size, train: 'all', name: 'default' })),
]);

const results = at('results.jsonl');
const done = new Map(existsSync(results) ? rowsOf(results).map((row) => [row.key, row]) : []);
for (const plan of plans) {
  const key = JSON.stringify(plan);
  if (done.has(key) || !`${plan.set} ${plan.train} ${plan.size}`.includes(options.only)) continue;
  const row = { key, ...plan, ...(await run(plan)) };
  done.set(key, row);
  appendFileSync(results, `${JSON.stringify(row)}\n`);
  console.error(key, row.before, row.after, `${row.seconds} s`);
}

const signed = (value) => `${value < 0 ? '' : '+'}${value.toFixed(3)}`;
console.log(
  '| Labels | pairs | `--train` | settings | lr | steps | AUC before | AUC after | change |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |',
);
for (const plan of plans) {
  const row = done.get(JSON.stringify(plan));
  if (!row) continue;
  const change = `${signed(row.difference)} [${row.ci.map(signed).join(', ')}]`;
  const cells = [
    SETS[plan.set].words,
    plan.size,
    plan.train,
    plan.name,
    row.lr,
    row.steps,
    row.before.toFixed(3),
    row.after.toFixed(3),
    change,
  ];
  console.log(`| ${cells.join(' | ')} |`);
}
