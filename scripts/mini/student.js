// A student of hpsv3-mini for pictures: it learns the judgement of both minis together, not that of raters, and is then quantized.
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { spearman } from '../../dist/core/stats/correlation.js';
import {
  change,
  copyConfiguration,
  exported,
  figure,
  groupRows,
  heldOut,
  hpsv3,
  judged,
  parametersOf,
  ROOT,
  SEEDS,
  SIZES,
  scored,
  startOf,
  synth,
  trained,
  truthOf,
} from './tools.js';

const CONFIG = 'configs/hpsv3_student.yaml';
const PAIRS = 2400;
/** A probability is written as so many votes. */
const VOTES = 20;
const MAX_BYTES = 1e6;

const linesOf = (path) =>
  readFileSync(join(ROOT, path), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/** Mean logits of the teachers, by id of the row. */
function taught(work, teachers, data, file) {
  const sums = new Map();
  for (const teacher of teachers) {
    const model = exported(work, teacher, 'image');
    const out = `${work}/student-${teacher.split('/').at(-1)}-${file}`;
    hpsv3('batch', '--model', model, '--input', `${data}/${file}`, '--out', out, '--media-root', data, '--force', '-q');
    for (const { id, logit } of linesOf(out)) sums.set(id, (sums.get(id) ?? 0) + logit / teachers.length);
  }
  return sums;
}

/** The comparisons with the teachers' judgement in place of the raters': votes in proportion to their probability, and their utility. */
function transferSet(work, teachers, data) {
  const out = `${data}/taught.jsonl`;
  if (existsSync(join(ROOT, out))) return out;
  const pairs = taught(work, teachers, data, 'labels.jsonl');
  const items = taught(work, teachers, data, 'absolute.jsonl');
  const rows = [
    ...linesOf(`${data}/labels.jsonl`).map(({ id, type, left, right, modality, prompt_id }) => {
      const forLeft = Math.round(VOTES * sigmoid(pairs.get(id)));
      const labels = Array.from({ length: VOTES }, (_, i) => (i < forLeft ? 1 : 0));
      return { id, type, left, right, modality, prompt_id, labels };
    }),
    ...linesOf(`${data}/absolute.jsonl`).map((row) => {
      const { id, type, item, content, modality, prompt_id } = row;
      return { id, type, item, content, modality, prompt_id, score: Math.tanh(items.get(id)) };
    }),
  ];
  writeFileSync(join(ROOT, out), `${rows.map((row) => JSON.stringify(row)).join('\n')}\n`);
  return out;
}

export function makeStudent({ work, into }) {
  const teachers = ['a', 'b'].map((name) => startOf(into, name));
  const data = synth(`${work}/student-train`, 'image', SEEDS.train + 1, PAIRS, [
    ...['--pairs-per-source', '8', '--absolute'],
    ...SIZES.image,
  ]);
  const validation = synth(`${work}/val-image`, 'image', SEEDS.validation, 240, SIZES.image);
  const run = trained(work, 'student', {
    train: [transferSet(work, teachers, data)],
    validation: [validation],
    more: ['--config', CONFIG, '--seed', 1],
  });
  const float = `${work}/student.onnx`;
  const from = `${run}/checkpoint.safetensors`;
  hpsv3('export', '--checkpoint', from, '--modality', 'image', '--mode', 'pair', '--out', float, '--force', '--quiet');
  const folder = `${into}/hpsv3-mini-student`;
  mkdirSync(join(ROOT, folder), { recursive: true });
  const model = `${folder}/model.onnx`;
  const quantized = hpsv3(
    'quantize',
    float,
    ...['--out', model, '--scheme', 'static', '--samples', `${validation}/labels.jsonl`, '--max-size', MAX_BYTES],
    ...['--budget', 'flips=0.05,kendall=0.9,score=1', '--seed', 1, '--force', '--quiet', '--json'],
  );
  // Its figures are in the card; its times are of one run.
  rmSync(join(ROOT, `${model}.report.json`), { force: true });
  copyConfiguration(run, folder);

  const unseen = heldOut(work, 'image');
  const scores = (each) => scored(each, unseen, `${work}/${each.split('/').slice(-2).join('-')}.held-out.jsonl`);
  const teacher = scores(exported(work, teachers[0], 'image'));
  const both = taught(work, teachers, unseen, 'labels.jsonl');
  const [int8, before] = [model, float].map((each) => {
    const out = scores(each);
    return { path: each, ...judged(out, unseen, teacher), agreement: agreementOf(linesOf(out), both) };
  });
  writeFileSync(join(ROOT, folder, 'README.md'), card(int8, before, JSON.parse(quantized), truthOf(unseen)));
}

/** How far a model decides and orders comparisons as the teachers do together. */
function agreementOf(rows, teachers) {
  const [own, theirs] = [rows.map(({ logit }) => logit), rows.map(({ id }) => teachers.get(id))];
  const same = own.filter((logit, i) => logit > 0 === theirs[i] > 0).length / rows.length;
  return { same, order: spearman(Float64Array.from(own), Float64Array.from(theirs)) };
}

const bytesOf = (path) => `${Math.round(statSync(join(ROOT, path)).size / 1000).toLocaleString('en')} kB`;

function card(int8, float, { flips, gate, kendall }, truth) {
  const row = (words, { path, overall, baseline: { comparisons }, agreement: { same, order } }) =>
    `| ${words} | ${bytesOf(path)} | ${figure(overall.auc)} | ${figure(overall.accuracy)} | ${change(comparisons.auc)} | ${(100 * same).toFixed(1)} % | ${order.toFixed(3)} |`;
  const teacher = int8.baseline.comparisons;
  return `# hpsv3-mini-student

A student of [hpsv3-mini-a](../hpsv3-mini-a/README.md) and [-b](../hpsv3-mini-b/README.md) for pictures, in int8 (${bytesOf(int8.path)}): \`model.onnx\` is scored as it
is. Like them, it knows damage and nothing of what people like.

| | |
| --- | --- |
| configuration | ${CONFIG}, ${parametersOf(float.path)} parameters, seed 1 |
| training data | ${PAIRS} comparisons of pictures, \`hpsv3 synth\` seed ${SEEDS.train + 1}, judged by the mean logit of both teachers: ${VOTES} votes in proportion to their probability, and their utility of every item; no rater's vote |
| quantized | \`hpsv3 quantize --scheme static\`: ranges from half of the validation comparisons; on the ${gate.pairs} others ${flips} decide otherwise than in float32, Kendall's tau of the scores is ${kendall.toFixed(3)} |
| held-out data | ${int8.n} comparisons, those of hpsv3-mini-a |
| made by | \`npm run train:mini -- --only student\`; train-log.jsonl is the log of the run |
| licence | Apache-2.0, as the software: nothing of anybody else went into it |

## Held-out comparisons

In brackets 95 % intervals over sources. The change is beside hpsv3-mini-a, paired; the last columns are beside the mean logit of both
teachers, on the same comparisons. The AUC of the true utilities is ${truth.toFixed(3)}.

| Model | Size | AUC | Accuracy | AUC beside hpsv3-mini-a | Decides as the teachers | Rank correlation with them |
| --- | --- | --- | --- | --- | --- | --- |
| hpsv3-mini-a | | ${figure(teacher.auc.baseline)} | ${figure(teacher.accuracy.baseline)} | | | |
${row('student in float32', float)}
${row('student in int8', int8)}

By perturbation, in int8:

| Modality | Perturbation | Pairs | AUC | Accuracy |
| --- | --- | --- | --- | --- |
${groupRows(int8, 'image').join('\n')}
`;
}
