// Makes the checkpoints of this repository from nothing, one after another, each timed: synthetic comparisons, training, a release, and a
// table of how each does on comparisons it has not seen. Data that are there already are not made again, and a stopped training goes on
// where it was. Run `npm run build` first; video needs ffmpeg.
//
//   node scripts/train-mini.js [--work reports/mini] [--into checkpoints] [--only NAME[,NAME]] [--again] [--tables]
//
// NAME is a or b (the same model from two seeds), image-text, student, or a domain (--domain NAME is the same as --only NAME). With --again they
// are made in another folder, and their bytes compared with those that are there. --tables judges all of them (checkpoints/held-out.md).
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { makeDomain } from './mini/domain.js';
import { DOMAINS } from './mini/domains.js';
import { makeImageText } from './mini/image-text.js';
import { makeStudent } from './mini/student.js';
import { writeTables } from './mini/tables.js';
import {
  CONFIG,
  exported,
  figure,
  groupRows,
  heldOut,
  judged,
  parametersOf,
  ROOT,
  releaseOf,
  SEEDS,
  SIZES,
  scored,
  synth,
  TOKENIZER,
  trained,
  truthOf,
} from './mini/tools.js';

const SETS = [
  { modality: 'image', sizes: ['--image-size', '96'], pairs: 4000 },
  { modality: 'image', sizes: ['--image-size', '144'], pairs: 1600 },
  { modality: 'text', sizes: [], pairs: 24_000 },
  { modality: 'image-text', sizes: ['--image-size', '96'], pairs: 1600 },
  { modality: 'audio', sizes: [], pairs: 3200 },
  { modality: 'video', sizes: ['--video-size', '64'], pairs: 2400, pairsPerSource: 4 },
];
const MODALITIES = Object.keys(SIZES);
const SEED_OF = { a: 1, b: 2 };

const { values } = parseArgs({
  options: {
    work: { type: 'string', default: 'reports/mini' },
    into: { type: 'string', default: 'checkpoints' },
    only: { type: 'string' },
    domain: { type: 'string' },
    again: { type: 'boolean', default: false },
    tables: { type: 'boolean', default: false },
  },
});
/** The bytes are made anew, data and all. */
const work = values.again ? `${values.work}/again` : values.work;
const into = values.again ? `${work}/checkpoints` : values.into;
if (values.again) rmSync(join(ROOT, work), { recursive: true, force: true });
mkdirSync(join(ROOT, work), { recursive: true });

/** Trains one model of all modalities from nothing. */
async function makeMini(name) {
  const train = SETS.map(({ modality, sizes, pairs, pairsPerSource = 8 }) =>
    synth(`${work}/train-${[modality, ...sizes.slice(1)].join('-')}`, modality, SEEDS.train, pairs, [
      ...sizes,
      ...['--pairs-per-source', pairsPerSource, '--absolute'],
    ]),
  );
  const validation = MODALITIES.map((modality) =>
    synth(`${work}/val-${modality}`, modality, SEEDS.validation, 240, SIZES[modality]),
  );
  const more = ['--config', CONFIG, '--tokenizer', TOKENIZER, '--seed', SEED_OF[name]];
  await release(name, trained(work, name, { train, validation, more }));
}

/** The release, with how it does on held-out comparisons. */
async function release(name, run) {
  const folder = `${into}/hpsv3-mini-${name}`;
  await releaseOf(run, folder, TOKENIZER);
  const tables = MODALITIES.map((modality) => {
    const data = heldOut(work, modality);
    const model = exported(work, folder, modality);
    const report = judged(scored(model, data, `${model}.scores.jsonl`), data);
    return { modality, report, truth: truthOf(data) };
  });
  writeFileSync(join(ROOT, folder, 'README.md'), readme(name, folder, tables));
}

function readme(name, folder, tables) {
  const overall = tables.map(
    ({ modality, report, truth }) =>
      `| ${modality} | ${report.n} | ${figure(report.overall.auc)} | ${figure(report.overall.accuracy)} | ${truth.toFixed(3)} |`,
  );
  const groups = tables.flatMap(({ modality, report }) => groupRows(report, modality));
  return `# hpsv3-mini-${name}

A small model of the hpsv3 architecture (${parametersOf(`${folder}/model.safetensors`)} parameters, float16), trained on synthetic comparisons only. It exists so
that the tools have something to work on that has learnt what it says: it prefers what is less damaged, and knows nothing
of what people like. Do not judge anything by it but this software.

| | |
| --- | --- |
| configuration | ${CONFIG}, seed ${SEED_OF[name]} |
| training data | \`hpsv3 synth\` seed ${SEEDS.train}: ${SETS.map(({ modality, sizes, pairs }) => `${pairs} ${modality} pairs${sizes.length > 0 ? ` (${sizes.join(' ')})` : ''}`).join(', ')} |
| held-out data | \`hpsv3 synth\` seed ${SEEDS.heldOut}: ${tables[0].report.n} pairs of each modality, of other sources and other raters |
| made by | \`npm run train:mini\`; train-log.jsonl is the log of the run |
| licence | Apache-2.0, as the software: nothing of anybody else went into it |

## Held-out comparisons

AUC and accuracy count votes, each of five simulated raters; in brackets 95 % intervals over sources. The last column is the
AUC of the true utilities: raters disagree, so nothing reaches 1.

| Modality | Pairs | AUC | Accuracy | AUC of the truth |
| --- | --- | --- | --- | --- |
${overall.join('\n')}

By perturbation. A paraphrase is built to make hardly a difference, and raters vote on it almost at random.

| Modality | Perturbation | Pairs | AUC | Accuracy |
| --- | --- | --- | --- | --- |
${groups.join('\n')}
`;
}

const MAKERS = {
  a: () => makeMini('a'),
  b: () => makeMini('b'),
  'image-text': () => makeImageText({ work, into }),
  ...Object.fromEntries(Object.keys(DOMAINS).map((name) => [name, () => makeDomain(name, { work, into })])),
  student: () => makeStudent({ work, into }),
};

/** @throws where a file is not the one that is there */
function compareBytes(name) {
  const folder = `hpsv3-mini-${name}`;
  for (const file of readdirSync(join(ROOT, into, folder))) {
    const [made, there] = [into, values.into].map((place) => readFileSync(join(ROOT, place, folder, file)));
    if (!made.equals(there)) throw new Error(`${folder}/${file}: other bytes than before`);
    console.log(`${folder}/${file}: the same ${made.length} bytes`);
  }
}

const wanted = values.domain ?? values.only;
const names = wanted ? wanted.split(',') : values.tables ? [] : Object.keys(MAKERS);
const unknown = names.find((name) => !Object.hasOwn(MAKERS, name));
if (unknown !== undefined) throw new Error(`there is no ${unknown}: there are ${Object.keys(MAKERS).join(', ')}`);
for (const name of names) {
  const began = performance.now();
  await MAKERS[name]();
  console.log(`hpsv3-mini-${name}: ${Math.round((performance.now() - began) / 1000)} s`);
  if (values.again) compareBytes(name);
}
if (values.tables) writeTables({ work, into });
