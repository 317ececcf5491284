// hpsv3-mini for captioned pictures: it compares both modalities, and learns by contrast which caption is of which picture.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  change,
  exported,
  figure,
  heldOut,
  judged,
  parametersOf,
  ROOT,
  releaseOf,
  SEEDS,
  SIZES,
  scored,
  startOf,
  synth,
  trained,
  truthOf,
} from './tools.js';

const CONFIG = 'configs/hpsv3_mini_image_text.yaml';
const MODALITY = 'image-text';
const TOKENIZER = 'configs/hpsv3_mini_image_text.tokenizer.json';
const SETS = [
  { name: 'mismatch', damage: 'mismatch', pairs: 16_000, pairsPerSource: 2 },
  { name: 'captioned-damage', damage: 'blur,noise,jpeg', pairs: 8000, pairsPerSource: 8 },
];
const VALIDATION_PAIRS = 600;

export async function makeImageText({ work, into }) {
  const train = SETS.map(({ name, damage, pairs, pairsPerSource }) =>
    synth(`${work}/train-${name}`, MODALITY, SEEDS.train, pairs, [
      ...['--perturbation', damage, '--pairs-per-source', pairsPerSource, '--absolute'],
      ...SIZES[MODALITY],
    ]),
  );
  const validation = [synth(`${work}/val-captioned`, MODALITY, SEEDS.validation, VALIDATION_PAIRS, SIZES[MODALITY])];
  const more = ['--config', CONFIG, '--tokenizer', TOKENIZER, '--seed', 1];
  const run = trained(work, MODALITY, { train, validation, more });
  const folder = `${into}/hpsv3-mini-${MODALITY}`;
  await releaseOf(run, folder, TOKENIZER);

  const data = heldOut(work, MODALITY);
  const [before, after] = [startOf(into, 'a'), folder].map((checkpoint) => {
    const model = exported(work, checkpoint, MODALITY);
    return scored(model, data, `${model}.scores.jsonl`);
  });
  const tables = { ours: judged(after, data, before), beside: judged(before, data), truth: truthOf(data) };
  writeFileSync(join(ROOT, folder, 'README.md'), readme(folder, tables));
}

function readme(folder, { ours, beside, truth }) {
  const { auc, accuracy } = ours.baseline.comparisons;
  const groups = ours.groups.map(({ value, n, metrics }) => {
    const theirs = beside.groups.find((group) => group.value === value).metrics;
    return `| ${value} | ${n} | ${figure(metrics.auc)} | ${figure(metrics.accuracy)} | ${figure(theirs.auc)} |`;
  });
  return `# hpsv3-mini-image-text

A small model of the hpsv3 architecture (${parametersOf(`${folder}/model.safetensors`)} parameters, float16) for captioned pictures, trained on synthetic comparisons only. It
sees whether a caption is of its picture, which hpsv3-mini-a does not: it has the product of both modalities (\`fusion_match\`), and was trained
to tell each picture's caption from those of the other pictures of a batch (\`losses.match\`). Like the others it knows nothing of what
people like, and of pictures no more than the drawn ones: things of eight colours and five shapes.

| | |
| --- | --- |
| configuration | ${CONFIG}, seed 1 |
| training data | \`hpsv3 synth\` seed ${SEEDS.train}: ${SETS.map(({ damage, pairs }) => `${pairs} pairs of ${damage.replaceAll(',', ', ')}`).join('; ')} |
| held-out data | \`hpsv3 synth\` seed ${SEEDS.heldOut}: ${ours.n} pairs of other sources and other raters |
| made by | \`npm run train:mini -- --only image-text\`; train-log.jsonl is the log of the run |
| licence | Apache-2.0, as the software: nothing of anybody else went into it |

## Held-out comparisons

AUC and accuracy count votes, each of five simulated raters; in brackets 95 % intervals over sources. The AUC of the true utilities is ${truth.toFixed(3)}.

| | hpsv3-mini-a | this checkpoint | change, paired |
| --- | --- | --- | --- |
| AUC | ${figure(auc.baseline)} | ${figure(auc.model)} | ${change(auc)} |
| accuracy | ${figure(accuracy.baseline)} | ${figure(accuracy.model)} | ${change(accuracy)} |

| Perturbation | Pairs | AUC | Accuracy | AUC of hpsv3-mini-a |
| --- | --- | --- | --- | --- |
${groups.join('\n')}

For pictures or texts alone, and for sounds and clips, take hpsv3-mini-a or -b.
`;
}
