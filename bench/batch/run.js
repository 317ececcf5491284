// npm run bench -- batch [--threads 2] [--batch 16] [--images 160]: scoring JPEG files with a ResNet-50-size image model, beside onnxruntime
// alone on ready tensors and a Python pipeline, and large ones with a small model; then rows a second and memory of `hpsv3 batch` on few and
// on many rows, and kill -9 with --resume.
import { closeSync, existsSync, mkdirSync, openSync, statSync, writeSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { atLeast, atMost, benchCase, faster, memoryShare, ratioOf } from '../case.js';
import { alternate } from '../measure.js';
import { makeModel } from '../rows.js';
import { killAndResume } from './resume.js';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const FEW_ROWS = 1000;
const MANY_ROWS = 100_000;
const WORKER_ROWS = 30_000;
/** What a heap may differ by between two runs of any length. */
const FLAT = 1.1;
/** Rows a second on two cores, start-up of the program included. */
const ROWS_PER_SECOND = 20_000;
const LARGE = { width: 4000, height: 3000, images: 24, batch: 4 };

export default {
  title: 'Scoring files',
  options: {
    threads: { type: 'string', default: String(availableParallelism()) },
    batch: { type: 'string', default: '16' },
    images: { type: 'string', default: '160' },
  },
  async *cases(context) {
    yield await imageCase(context);
    yield await largeCase(context);
    yield await memoryCase(context);
    yield await workerCase(context);
  },
};

/** Seconds of scoring alone, after one batch that warms up: start-up is measured by its own bench. */
async function imageCase(context) {
  const { options, cache, small } = context;
  const [batch, images] = small ? [4, 16] : [Number(options.batch), Number(options.images)];
  const model = await imageModel(context, 'image.onnx', 'config.yaml');
  await makePictures(cache, images + batch);
  const rivals = { model, batch, images, folder: cache };
  const { ours, ready, theirs } = await measurePictures(context, rivals);
  return benchCase(
    `${images} pictures of 640 x 480, batch ${batch}, ${options.threads} threads`,
    ours,
    [ready, theirs],
    {
      targets: [
        atLeast("at least 90 % of onnxruntime's rate on ready tensors", 100 * ratioOf(ours, ready), 90, '%'),
        faster(ours, theirs, 1),
        lighter(ours, theirs),
      ],
      notes: ratesOf([ours, ready, theirs], images),
    },
  );
}

/** Where decoding is most of the work: pictures of 12 megapixels, a model of a few thousand parameters. */
async function largeCase(context) {
  const { options, cache, small } = context;
  const [batch, images] = small ? [2, 2] : [LARGE.batch, LARGE.images];
  const model = await imageModel(context, 'small-image.onnx', 'small.yaml');
  const folder = join(cache, 'large');
  await makeLargePictures(folder, images + batch);
  const { ours, ready, theirs } = await measurePictures(context, { model, batch, images, folder });
  return benchCase(
    `${images} pictures of ${LARGE.width} x ${LARGE.height}, a small model, batch ${batch}, ${options.threads} threads`,
    ours,
    [ready, theirs],
    {
      targets: [faster(ours, theirs, 1.3), lighter(ours, theirs)],
      notes: ratesOf([ours, ready, theirs], images),
    },
  );
}

async function imageModel({ cache, folder, cli }, name, config) {
  const model = join(cache, name);
  if (!existsSync(model))
    await makeModel(model, { config: here(config), modality: 'image', mode: 'item', folder, cli });
  return model;
}

const lighter = (ours, theirs) => atMost('peak memory over theirs', memoryShare(ours, theirs), 1, 'x');

const ratesOf = (rivals, images) =>
  rivals
    .filter(({ absent }) => !absent)
    .map(({ name, seconds }) => `${name}: ${(images / seconds).toFixed(1)} images/s`);

async function measurePictures({ options, python, rounds }, { model, batch, images, folder }) {
  const args = (script) => [here(script), model, batch, options.threads, images, folder].map(String);
  const read = (output) => ({ seconds: images / Number(output.trim().split('\n').at(-1)) });
  const [ours, ready, theirs] = await alternate(
    [
      { name: 'hpsv3, from JPEG files', command: process.execPath, args: args('ours.js'), read },
      { name: 'onnxruntime, ready tensors', command: process.execPath, args: args('ready.js'), read },
      python.rival({
        name: 'Pillow + onnxruntime (Python)',
        needs: ['onnxruntime', 'pillow', 'numpy'],
        args: args('theirs.py'),
        read,
      }),
    ],
    { rounds: rounds(5), warmup: 0 },
  );
  return { ours, ready, theirs };
}

/** Rows a second and peak memory of the command on text pairs, every text another one; and a run that is killed and resumed. */
async function memoryCase({ folder, cache, rounds, small, cli }) {
  const model = await textModel({ folder, cache, cli });
  const run = (rows) => {
    const file = join(folder, `${rows}.jsonl`);
    writePairs(file, rows);
    const out = join(folder, `${rows}-scores.jsonl`);
    return {
      name: `hpsv3 batch, ${rows.toLocaleString('en')} rows`,
      ...cli('batch', '--model', model, '--input', file, '--output', out, '--batch-size', '64', '--force', '--quiet'),
    };
  };
  const most = small ? 4 * FEW_ROWS : MANY_ROWS;
  const [many, few] = await alternate([run(most), run(FEW_ROWS)], { rounds: rounds(3), warmup: 0 });
  const again = join(folder, 'again.jsonl');
  const args = ['batch', '--model', model, '--input', join(folder, `${most}.jsonl`), '--output', again];
  const resumed = await killAndResume(cli(...args, '--batch-size', '64', '--quiet'), {
    out: again,
    reference: join(folder, `${most}-scores.jsonl`),
  });
  return benchCase('speed, and memory whatever the length, tiny text pairs', many, [few], {
    targets: [
      atLeast('rows a second, start-up included', most / many.seconds, ROWS_PER_SECOND, 'rows/s'),
      atMost(
        `peak memory at most ${FLAT} times that of ${FEW_ROWS.toLocaleString('en')} rows`,
        many.peakMiB / few.peakMiB,
        FLAT,
        'x',
      ),
      atLeast('killed in mid-run and resumed: the same bytes (1: yes)', Number(resumed.rows > 0 && resumed.same), 1),
    ],
    notes: [
      `killed with ${resumed.rows.toLocaleString('en')} of ${most.toLocaleString('en')} rows in the journal, then resumed`,
    ],
  });
}

async function textModel({ folder, cache, cli }) {
  const model = join(cache, 'text.onnx');
  const made = { config: here('tiny.yaml'), modality: 'text', mode: 'pair', folder, cli };
  if (!existsSync(model)) await makeModel(model, made);
  return model;
}

/** What `hpsv3 worker` costs a host beside `hpsv3 batch` on the same rows: whole processes, from a file to a file. */
async function workerCase({ folder, cache, rounds, small, cli }) {
  const model = await textModel({ folder, cache, cli });
  const count = small ? FEW_ROWS : WORKER_ROWS;
  const file = join(folder, `worker-${count}.jsonl`);
  writePairs(file, count);
  const options = ['--model', model, '--batch-size', '64'];
  const piped = cli('worker', ...options);
  const quoted = [piped.command, ...piped.args].map((word) => `'${word}'`).join(' ');
  const out = join(folder, 'piped.jsonl');
  const [worker, batch] = await alternate(
    [
      { name: 'hpsv3 worker', command: 'sh', args: ['-c', `${quoted} <'${file}' >'${out}'`] },
      {
        name: 'hpsv3 batch',
        ...cli('batch', ...options, '--input', file, '--output', join(folder, 'file.jsonl'), '--force', '--quiet'),
      },
    ],
    { rounds: rounds(3), warmup: 0 },
  );
  return benchCase(`a worker on ${count.toLocaleString('en')} tiny text pairs`, worker, [batch], {
    targets: [atMost('at most 1.05 times the time of batch', 1 / ratioOf(worker, batch), 1.05, 'x')],
  });
}

/** Smooth noise of three scales: compresses and decodes like a photograph. */
async function makePictures(folder, count) {
  for (let i = 0; i < count; i++) {
    const path = join(folder, `${String(i).padStart(4, '0')}.jpg`);
    if (existsSync(path) && statSync(path).size > 0) continue;
    const noise = { type: 'gaussian', mean: 128, sigma: 60 };
    const layer = (cells) =>
      sharp({ create: { width: 4 * cells, height: 3 * cells, channels: 3, background: '#888', noise } })
        .resize(640, 480, { kernel: 'cubic' })
        .png()
        .toBuffer();
    const layers = await Promise.all([5, 20, 80].map(layer));
    const top = layers.slice(1).map((input) => ({ input, blend: 'soft-light' }));
    await sharp(layers[0]).composite(top).jpeg({ quality: 90 }).toFile(path);
  }
}

/** Parts of one large picture, turned over: as hard to decode as photographs, and no two alike. */
async function makeLargePictures(folder, count) {
  const { width, height } = LARGE;
  const path = (i) => join(folder, `${String(i).padStart(4, '0')}.jpg`);
  const missing = Array.from({ length: count }, (_, i) => i).filter((i) => !existsSync(path(i)));
  if (missing.length === 0) return;
  mkdirSync(folder, { recursive: true });
  const room = 8 * count;
  const noise = { type: 'gaussian', mean: 128, sigma: 60 };
  const { data, info } = await sharp({ create: { width: 1000, height: 750, channels: 3, background: '#888', noise } })
    .resize(width + room, height + room, { kernel: 'cubic', fit: 'fill' })
    .raw()
    .toBuffer({ resolveWithObject: true });
  for (const i of missing) {
    await sharp(data, { raw: info })
      .extract({ left: 8 * i, top: 4 * i, width, height })
      .flop(i % 2 === 1)
      .jpeg({ quality: 90 })
      .toFile(path(i));
  }
}

function writePairs(file, rows) {
  const out = openSync(file, 'w');
  for (let i = 0; i < rows; i++) {
    const row = {
      id: `row_${i}`,
      type: 'pairwise_text',
      left: `Answer ${i} to a question.`,
      right: `Another one, ${7 * i}.`,
    };
    writeSync(out, `${JSON.stringify(row)}\n`);
  }
  closeSync(out);
}
