// Makes the table of docs/quantizing.md: flips and the area under the ROC curve of each scheme, over seeds.
// `node scripts/flips-table.js --folder FOLDER [--modalities text,image] [--schemes static:mse,weight-only] [--seeds 1,2,3]
// [--checkpoint FILE] [--processor any]`. Ranges are calibrated on half of 240 pairs, and 600 others are judged. Files that stand in FOLDER are not made again.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values: options } = parseArgs({
  options: {
    folder: { type: 'string' },
    modalities: { type: 'string', default: 'text,image,image-text,audio,video' },
    schemes: {
      type: 'string',
      default: 'weight-only,static:mse,static:minmax,static:percentile,static:entropy,dynamic,fp16,int4',
    },
    seeds: { type: 'string', default: '1,2,3' },
    checkpoint: { type: 'string', default: join(root, 'checkpoints/hpsv3-mini-a/model.safetensors') },
    processor: { type: 'string', default: 'any' },
  },
});
const CALIBRATION = { pairs: '240', seed: 1500 };
const JUDGED = { pairs: '600', seed: 2000 };
/** Of pictures and frames, as the checkpoint reads them. */
const IMAGE_SIZE = '96';

const at = (...path) => join(options.folder, ...path);
const list = (name) => options[name].split(',');
mkdirSync(options.folder, { recursive: true });

function hpsv3(...args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'bin/run.js'), ...args, '--quiet'], {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  if (status !== 0) throw new Error(stderr || stdout);
  return stdout;
}

/** A file that a command writes, made where it is not there. */
function made(path, args) {
  if (!existsSync(path)) hpsv3(...args);
  return path;
}

function labels(modality, { pairs, seed }, add) {
  const folder = at(`${modality}-${seed + add}`);
  const size = modality === 'text' || modality === 'audio' ? [] : ['--image-size', IMAGE_SIZE];
  const args = ['synth', '--out', folder, '--modality', modality, ...size, '--pairs', pairs];
  return made(join(folder, 'labels.jsonl'), [...args, '--seed', String(seed + add)]);
}

function quantized(float, modality, scheme, seed) {
  const [id, calibrator] = scheme.split(':');
  const out = at(`${modality}-${id}-${calibrator ?? ''}-${options.processor}-${seed}.onnx`);
  const samples = labels(modality, CALIBRATION, seed);
  const chosen = calibrator ? ['--calibrator', calibrator] : [];
  const integers = id === 'static' || id === 'dynamic' ? ['--processor', options.processor] : [];
  const allowed = [
    ...(id === 'dynamic' ? ['--allow-batch-dependence'] : []),
    ...(id === 'int4' ? ['--allow-contrib'] : []),
  ];
  const args = ['quantize', float, '--out', out, '--scheme', id, '--samples', samples, '--gate', 'off'];
  return made(out, [...args, ...chosen, ...integers, ...allowed]);
}

/** Pair logits in the order of the rows, and the area under the curve. */
function judged(model, name, data) {
  const out = at(`${name}.jsonl`);
  made(out, ['batch', data, '--model', model, '--out', out]);
  const { auc } = JSON.parse(hpsv3('evaluate', '--scores', out, '--labels', data, '--json')).overall;
  const rows = readFileSync(out, 'utf8').trim().split('\n');
  return { auc: auc.value, logits: rows.map((row) => JSON.parse(row).logit) };
}

/** What a scheme does to the choices of one model, over the seeds. */
function measured(modality, scheme) {
  const float = at(`${modality}.onnx`);
  made(float, [
    ...['export', '--checkpoint', options.checkpoint, '--modality', modality, '--mode', 'pair'],
    ...['--out', float],
  ]);
  return list('seeds')
    .map(Number)
    .map((seed) => {
      const data = labels(modality, JUDGED, seed);
      const before = judged(float, `${modality}-float-${seed}`, data);
      const name = `${modality}-${scheme.replace(':', '-')}-${options.processor}-${seed}`;
      const after = judged(quantized(float, modality, scheme, seed), name, data);
      const flips = before.logits.filter((logit, i) => Math.sign(logit) !== Math.sign(after.logits[i])).length;
      return { flips: (100 * flips) / before.logits.length, lost: before.auc - after.auc };
    });
}

/** The mean of the flips in percent with their range, and what the area falls by. */
function cell(modality, scheme) {
  const runs = measured(modality, scheme);
  const flips = runs.map((run) => run.flips);
  const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
  const [low, high] = [Math.min(...flips), Math.max(...flips)];
  const lost = mean(runs.map((run) => run.lost));
  return `${mean(flips).toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)}), ${(-lost).toFixed(4).replace('-', '−')}`;
}

console.log(`| Flips in %, change of the area | ${list('modalities').join(' | ')} |`);
console.log(`| --- |${' --- |'.repeat(list('modalities').length)}`);
for (const scheme of list('schemes')) {
  const cells = list('modalities').map((modality) => cell(modality, scheme));
  console.log(`| \`${scheme.replace(':', '` `')}\` | ${cells.join(' | ')} |`);
}
