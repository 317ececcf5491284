// What all small checkpoints are made with: the command line, folders of comparisons, release in float16, held-out figures.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sha256Hex } from '../../dist/core/bytes/hash.js';
import { withAtomicOutput } from '../../dist/core/bytes/output.js';
import { openCheckpoint } from '../../dist/core/checkpoint/open.js';
import { writeConfigured } from '../../dist/core/checkpoint/write-safetensors.js';
import { castTensor } from '../../dist/core/tensor/transform.js';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const CONFIG = 'configs/hpsv3_mini.yaml';
export const TOKENIZER = 'configs/hpsv3_mini.tokenizer.json';
export const SEEDS = { train: 1001, validation: 1501, heldOut: 2002 };

/** Sizes of the media are those that the model reads, or a little above: what is damaged there must be there to be seen. */
export const SIZES = {
  image: ['--image-size', '96'],
  text: [],
  'image-text': ['--image-size', '96'],
  audio: [],
  video: ['--video-size', '64'],
};
const HELD_OUT_PAIRS = 600;

/** What a command prints. @throws where it fails */
export function hpsv3(...args) {
  console.log(`$ hpsv3 ${args.join(' ')}`);
  const done = spawnSync(process.execPath, ['bin/run.js', ...args], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 64 * 2 ** 20,
  });
  if (done.status !== 0) throw new Error(`hpsv3 ${args[0]} ended with ${done.status ?? done.signal}`);
  return done.stdout.toString();
}

/** A folder of comparisons; one that is there is not made again. */
export function synth(out, modality, seed, pairs, more) {
  if (!existsSync(join(ROOT, out, 'synth.json')))
    hpsv3('synth', '--out', out, '--modality', modality, '--pairs', pairs, '--seed', seed, '--quiet', ...more);
  return out;
}

/** Comparisons that no checkpoint was trained on: of other sources and other raters. */
export const heldOut = (work, modality) =>
  synth(`${work}/held-out-${modality}`, modality, SEEDS.heldOut, HELD_OUT_PAIRS, SIZES[modality]);

/** The folder of a training; one that was stopped goes on where it was. */
export function trained(work, name, { train, validation, more }) {
  const run = `${work}/run-${name}`;
  const stopped = existsSync(join(ROOT, run, 'state.safetensors'));
  if (!stopped) rmSync(join(ROOT, run), { recursive: true, force: true });
  hpsv3(
    'train',
    ...[...more, '--out', run, '--cache', `${work}/cache`],
    ...(stopped ? ['--resume'] : []),
    ...train.flatMap((labels) => ['--labels', labels]),
    ...validation.flatMap((labels) => ['--val', labels]),
  );
  return run;
}

/** What a training made, as it is released: weights in float16, what is needed to read them, and the log. */
export async function releaseOf(run, folder, tokenizer) {
  mkdirSync(join(ROOT, folder), { recursive: true });
  const weights = join(ROOT, run, 'checkpoint.safetensors');
  await writeHalf(weights, join(ROOT, folder, 'model.safetensors'), json(`${run}/config.json`));
  copyFileSync(join(ROOT, tokenizer), join(ROOT, folder, 'tokenizer.json'));
  copyConfiguration(run, folder);
}

export function copyConfiguration(run, folder) {
  copyFileSync(join(ROOT, run, 'config.json'), join(ROOT, folder, 'config.json'));
  copyFileSync(join(ROOT, run, 'log.jsonl'), join(ROOT, folder, 'train-log.jsonl'));
}

/** Weights in float16, with their configuration. */
export async function writeHalf(from, to, config) {
  const trained = await openCheckpoint(from, {});
  const half = [...trained.tensors.values()].map((tensor) =>
    tensor.dtype === 'F32' ? castTensor(tensor, 'F16') : tensor,
  );
  await withAtomicOutput(to, { force: true }, async (output) => {
    const sink = await output.create();
    await writeConfigured(sink, half, config);
    await sink.finish();
  });
  trained.close();
}

/** What a checkpoint is for, where that is not every modality. */
const MADE_FOR = { 'hpsv3-mini-image-text': ['image-text'], 'hpsv3-mini-student': ['image'] };

export const modalitiesOf = (name) => MADE_FOR[name] ?? Object.keys(SIZES);

/** The folder of a mini that another one is made from: of this run if it was made here, else as it is released. */
export function startOf(into, name) {
  const made = `${into}/hpsv3-mini-${name}`;
  return existsSync(join(ROOT, made)) ? made : `checkpoints/hpsv3-mini-${name}`;
}

/** The checkpoint of a folder as a model of one modality; where a model is all that it has, that one. */
export function exported(work, checkpoint, modality) {
  const model = `${checkpoint}/model.onnx`;
  if (existsSync(join(ROOT, model))) return model;
  const out = `${work}/${checkpoint.split('/').at(-1)}-${modality}.onnx`;
  const from = `${checkpoint}/model.safetensors`;
  hpsv3('export', '--checkpoint', from, '--modality', modality, '--mode', 'pair', '--out', out, '--force', '--quiet');
  return out;
}

/** Scores of a model on labelled comparisons, as a file; those that the same model gave before are not made again. */
export function scored(model, data, out) {
  if (existsSync(join(ROOT, out)) && modelOf(out) === sha256Hex(readFileSync(join(ROOT, model)))) return out;
  const input = `${data}/labels.jsonl`;
  hpsv3('batch', '--model', model, '--input', input, '--out', out, '--media-root', data, '--force', '--quiet');
  return out;
}

/** sha256 of the model that gave scores: each row has it. */
const modelOf = (scores) => JSON.parse(readFileSync(join(ROOT, scores), 'utf8').split('\n', 1)[0]).model;

/** What `hpsv3 evaluate` says of scores, by perturbation; beside those of a baseline, if one is given. */
export function judged(scores, data, baseline) {
  return JSON.parse(
    hpsv3(
      'evaluate',
      ...['--scores', scores, '--labels', `${data}/labels.jsonl`, '--by', 'groups.perturbation', '--json', '--quiet'],
      ...(baseline ? ['--baseline', baseline] : []),
    ),
  );
}

/** AUC of the true utilities: raters disagree, so nothing reaches 1. */
export const truthOf = (data) =>
  JSON.parse(hpsv3('evaluate', '--scores', `${data}/truth.jsonl`, '--labels', `${data}/labels.jsonl`, '--json', '-q'))
    .overall.auc.value;

export const figure = ({ value, ci }) => `${value.toFixed(3)} [${ci[0].toFixed(3)}, ${ci[1].toFixed(3)}]`;

const signed = (value) => `${value < 0 ? '' : '+'}${value.toFixed(3)}`;

/** A paired difference, and whether it is more than chance. */
export const change = ({ difference, ci, verdict }) =>
  `${signed(difference)} [${ci.map(signed).join(', ')}], ${verdict}`;

export const groupRows = ({ groups }, modality) =>
  groups
    .filter(({ suppressed }) => !suppressed)
    .map(
      ({ value, n, metrics }) =>
        `| ${modality} | ${value} | ${n} | ${figure(metrics.auc)} | ${figure(metrics.accuracy)} |`,
    );

export const parametersOf = (model) => JSON.parse(hpsv3('inspect', model, '--json')).parameters.toLocaleString('en');

export const json = (path) => JSON.parse(readFileSync(join(ROOT, path), 'utf8'));
