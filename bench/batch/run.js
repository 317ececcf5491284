// npm run bench -- batch [--python python3] [--threads 2] [--batch 16] [--images 160] [--rounds 5]
// Images per second of scoring files, beside onnxruntime alone on ready tensors and a Python pipeline.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import sharp from 'sharp';
import { median, runOnce } from '../measure.js';

const { values } = parseArgs({
  args: process.argv.slice(2),
  options: {
    python: { type: 'string', default: 'python3' },
    threads: { type: 'string', default: String(availableParallelism()) },
    batch: { type: 'string', default: '16' },
    images: { type: 'string', default: '160' },
    rounds: { type: 'string', default: '5' },
  },
});
const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const folder = join(tmpdir(), 'hpsv3-bench-batch');
const model = join(folder, 'model.onnx');
const [batch, images] = [Number(values.batch), Number(values.images)];

mkdirSync(folder, { recursive: true });
if (!existsSync(model)) {
  const cli = (...args) => execFileSync(process.execPath, [here('../../bin/run.js'), ...args], { stdio: 'ignore' });
  const checkpoint = join(folder, 'model.safetensors');
  cli('init', '--config', here('config.yaml'), '--out', checkpoint, '--force');
  cli(
    'export',
    '--checkpoint',
    checkpoint,
    '--modality',
    'image',
    '--mode',
    'item',
    '--optimize',
    '--gate',
    'off',
    '--out',
    model,
    '--force',
  );
}
await makePictures(images + batch);

const rivals = [
  ['onnxruntime, ready tensors', process.execPath, here('ready.js')],
  ['hpsv3, from JPEG files', process.execPath, here('ours.js')],
  ['Pillow + onnxruntime (Python)', values.python, here('theirs.py')],
];
const rates = new Map(rivals.map(([name]) => [name, []]));
for (let round = 0; round < Number(values.rounds); round++) {
  for (const [name, command, script] of rivals) {
    const { code, output } = await runOnce(command, [script, model, batch, values.threads, images, folder].map(String));
    const rate = Number(output.trim().split('\n').at(-1));
    if (code !== 0 || !(rate > 0)) throw new Error(`${name}: ${output.slice(-2000)}`);
    rates.get(name).push(rate);
  }
}
const [ready, ours, theirs] = rivals.map(([name]) => rates.get(name));
console.log(
  `\n${images} pictures of 640x480, batch ${batch}, ${values.threads} threads, ${ready.length} rounds in turn; images/s`,
);
for (const [name] of rivals) {
  const of = rates.get(name);
  console.log(
    `  ${name.padEnd(30)} median ${median(of).toFixed(1).padStart(6)}   all ${of.map((rate) => rate.toFixed(1)).join(' ')}`,
  );
}
// Of each round, since the machine may be another one an hour later.
const ratio = (a, b) => median(a.map((rate, i) => rate / b[i])).toFixed(2);
console.log(`  ours / ready tensors ${ratio(ours, ready)}   ours / Python ${ratio(ours, theirs)}`);

/** Smooth noise of three scales: compresses and decodes like a photograph. */
async function makePictures(count) {
  for (let i = 0; i < count; i++) {
    const path = join(folder, `${String(i).padStart(4, '0')}.jpg`);
    if (existsSync(path)) continue;
    const layer = (cells) =>
      sharp({
        create: {
          width: 4 * cells,
          height: 3 * cells,
          channels: 3,
          background: '#888',
          noise: { type: 'gaussian', mean: 128, sigma: 60 },
        },
      })
        .resize(640, 480, { kernel: 'cubic' })
        .png()
        .toBuffer();
    const layers = await Promise.all([5, 20, 80].map(layer));
    const top = layers.slice(1).map((input) => ({ input, blend: 'soft-light' }));
    await sharp(layers[0]).composite(top).jpeg({ quality: 90 }).toFile(path);
  }
}
