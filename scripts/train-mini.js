// Makes checkpoints/hpsv3-mini-a and -b from nothing: synthetic comparisons, training from scratch on two seeds, a release in
// float16, and a table of how each does on comparisons it has not seen. Folders that are there already are not made again, and
// a stopped training goes on where it was. Run `npm run build` first; video needs ffmpeg.
//
//   node scripts/train-mini.js [--work reports/mini] [--only a|b]
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { withAtomicOutput } from '../dist/core/bytes/output.js';
import { openCheckpoint } from '../dist/core/checkpoint/open.js';
import { writeSafetensors } from '../dist/core/checkpoint/write-safetensors.js';
import { castTensor } from '../dist/core/tensor/transform.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const CONFIG = 'configs/hpsv3_mini.yaml';
const TOKENIZER = 'configs/hpsv3_mini.tokenizer.json';

/** Sizes of the media are those that the model reads, or a little above: what is damaged there must be there to be seen. */
const SETS = [
  { modality: 'image', sizes: ['--image-size', '96'], pairs: 4000 },
  { modality: 'image', sizes: ['--image-size', '144'], pairs: 1600 },
  { modality: 'text', sizes: [], pairs: 24_000 },
  { modality: 'image-text', sizes: ['--image-size', '96'], pairs: 1600 },
  { modality: 'audio', sizes: [], pairs: 3200 },
  { modality: 'video', sizes: ['--video-size', '64'], pairs: 2400, pairsPerSource: 4 },
];
const HELD_OUT = ['image', 'text', 'image-text', 'audio', 'video'];
const HELD_OUT_PAIRS = 600;
const SEEDS = { train: 1001, validation: 1501, heldOut: 2002, a: 1, b: 2 };

const { values } = parseArgs({
  options: { work: { type: 'string', default: 'reports/mini' }, only: { type: 'string' } },
});
const work = values.work;
mkdirSync(join(ROOT, work), { recursive: true });

function hpsv3(...args) {
  console.log(`$ hpsv3 ${args.join(' ')}`);
  const done = spawnSync(process.execPath, ['bin/run.js', ...args], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (done.status !== 0) throw new Error(`hpsv3 ${args[0]} ended with ${done.status ?? done.signal}`);
  return done.stdout.toString();
}

function synth(name, modality, seed, pairs, sizes, more = []) {
  const out = `${work}/${name}`;
  if (!existsSync(join(ROOT, out, 'synth.json'))) {
    hpsv3(
      'synth',
      '--out',
      out,
      '--modality',
      modality,
      '--pairs',
      pairs,
      '--seed',
      seed,
      '--quiet',
      ...sizes,
      ...more,
    );
  }
  return out;
}

const sizesOf = (modality) => SETS.find((set) => set.modality === modality).sizes;
const train = SETS.map(({ modality, sizes, pairs, pairsPerSource = 8 }) =>
  synth(`train-${[modality, ...sizes.slice(1)].join('-')}`, modality, SEEDS.train, pairs, sizes, [
    '--pairs-per-source',
    pairsPerSource,
    '--absolute',
  ]),
);
const validation = HELD_OUT.map((modality) =>
  synth(`val-${modality}`, modality, SEEDS.validation, 240, sizesOf(modality)),
);
const heldOut = HELD_OUT.map((modality) =>
  synth(`held-out-${modality}`, modality, SEEDS.heldOut, HELD_OUT_PAIRS, sizesOf(modality)),
);

/** The trained weights in float16, with what is needed to read them, and how they do on held-out comparisons. */
async function release(name, run) {
  const folder = `checkpoints/hpsv3-mini-${name}`;
  mkdirSync(join(ROOT, folder), { recursive: true });
  const trained = await openCheckpoint(join(ROOT, run, 'checkpoint.safetensors'), {});
  const config = JSON.parse(readFileSync(join(ROOT, run, 'config.json'), 'utf8'));
  const half = [...trained.tensors.values()].map((tensor) =>
    tensor.dtype === 'F32' ? castTensor(tensor, 'F16') : tensor,
  );
  const metadata = new Map([
    ['format', 'pt'],
    ['config', JSON.stringify(config)],
  ]);
  const checkpoint = `${folder}/model.safetensors`;
  await withAtomicOutput(join(ROOT, checkpoint), { force: true }, async (output) => {
    const sink = await output.create();
    await writeSafetensors(sink, half, metadata);
    await sink.finish();
  });
  trained.close();
  copyFileSync(join(ROOT, run, 'config.json'), join(ROOT, folder, 'config.json'));
  copyFileSync(join(ROOT, TOKENIZER), join(ROOT, folder, 'tokenizer.json'));
  copyFileSync(join(ROOT, run, 'log.jsonl'), join(ROOT, folder, 'train-log.jsonl'));
  const tables = HELD_OUT.map((modality, i) => judge(name, checkpoint, modality, heldOut[i]));
  writeFileSync(join(ROOT, folder, 'README.md'), readme(name, tables));
}

/** Exports one modality, scores the held-out comparisons through the command line, and judges the scores by perturbation. */
function judge(name, checkpoint, modality, data) {
  const base = `${work}/${name}-${modality}`;
  hpsv3(
    'export',
    '--checkpoint',
    checkpoint,
    '--modality',
    modality,
    '--mode',
    'pair',
    '--out',
    `${base}.onnx`,
    '--force',
    '--quiet',
  );
  hpsv3(
    'batch',
    '--model',
    `${base}.onnx`,
    '--input',
    `${data}/labels.jsonl`,
    '--output',
    `${base}.scores.jsonl`,
    '--media-root',
    data,
    '--force',
    '--quiet',
  );
  const report = JSON.parse(
    hpsv3(
      'evaluate',
      '--scores',
      `${base}.scores.jsonl`,
      '--labels',
      `${data}/labels.jsonl`,
      '--by',
      'groups.perturbation',
      '--out',
      `${base}.evaluation.json`,
      '--force',
      '--json',
    ),
  );
  const truth = JSON.parse(
    hpsv3('evaluate', '--scores', `${data}/truth.jsonl`, '--labels', `${data}/labels.jsonl`, '--json'),
  );
  return { modality, report, truth };
}

const figure = ({ value, ci }) => `${value.toFixed(3)} [${ci[0].toFixed(3)}, ${ci[1].toFixed(3)}]`;

function readme(name, tables) {
  const overall = tables.map(
    ({ modality, report, truth }) =>
      `| ${modality} | ${report.n} | ${figure(report.overall.auc)} | ${figure(report.overall.accuracy)} | ${truth.overall.auc.value.toFixed(3)} |`,
  );
  const groups = tables.flatMap(({ modality, report }) =>
    report.groups
      .filter(({ suppressed }) => !suppressed)
      .map(
        ({ value, n, metrics }) =>
          `| ${modality} | ${value} | ${n} | ${figure(metrics.auc)} | ${figure(metrics.accuracy)} |`,
      ),
  );
  return `# hpsv3-mini-${name}

A small model of the hpsv3 architecture (${parameters()} parameters, float16), trained on synthetic comparisons only. It exists so
that the tools have something to work on that has learnt what it says: it prefers what is less damaged, and knows nothing
of what people like. Do not judge anything by it but this software.

| | |
| --- | --- |
| configuration | ${CONFIG}, seed ${SEEDS[name]} |
| training data | \`hpsv3 synth\` seed ${SEEDS.train}: ${SETS.map(({ modality, sizes, pairs }) => `${pairs} ${modality} pairs${sizes.length > 0 ? ` (${sizes.join(' ')})` : ''}`).join(', ')} |
| held-out data | \`hpsv3 synth\` seed ${SEEDS.heldOut}: ${HELD_OUT_PAIRS} pairs of each modality, of other sources and other raters |
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

function parameters() {
  const inspected = JSON.parse(hpsv3('inspect', 'checkpoints/hpsv3-mini-a/model.safetensors', '--json'));
  return inspected.parameters.toLocaleString('en');
}

for (const name of values.only ? [values.only] : ['a', 'b']) {
  const run = `${work}/run-${name}`;
  const stopped = existsSync(join(ROOT, run, 'state.safetensors'));
  if (!stopped) rmSync(join(ROOT, run), { recursive: true, force: true });
  hpsv3(
    'train',
    ...[
      '--config',
      CONFIG,
      '--tokenizer',
      TOKENIZER,
      '--seed',
      SEEDS[name],
      '--out',
      run,
      '--cache',
      `${work}/cache`,
      ...(stopped ? ['--resume'] : []),
    ],
    ...train.flatMap((folder) => ['--data', folder]),
    ...validation.flatMap((folder) => ['--val', folder]),
  );
  await release(name, run);
}
