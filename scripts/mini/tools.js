// What all small checkpoints are made with: the command line, folders of comparisons, release in float16, held-out figures.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
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

/** The checkpoint of a folder as a model of one modality. */
export function exported(work, checkpoint, modality) {
  const out = `${work}/${checkpoint.split('/').at(-1)}-${modality}.onnx`;
  const from = `${checkpoint}/model.safetensors`;
  hpsv3('export', '--checkpoint', from, '--modality', modality, '--mode', 'pair', '--out', out, '--force', '--quiet');
  return out;
}

/** Scores of a model on labelled comparisons, as a file. */
export function scored(model, data, out) {
  const input = `${data}/labels.jsonl`;
  hpsv3('batch', '--model', model, '--input', input, '--out', out, '--media-root', data, '--force', '--quiet');
  return out;
}

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
