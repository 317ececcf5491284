// Makes the files of tests/core/compatibility.test.ts with hpsv3 0.1.0, and what that version made of them:
//
//     node make.js FOLDER    # of a built checkout of 0.1.0 (commit bab83fa); writes files/*.br here
//
// Later versions read these files with the same scores. The set is made once: a later version gets a folder of its own.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { brotliCompressSync } from 'node:zlib';

const here = dirname(fileURLToPath(import.meta.url));
const release = resolve(process.argv[2]);
const work = mkdtempSync(join(tmpdir(), 'hpsv3-compat-'));
const at = (name) => join(work, name);
const hpsv3 = (command, flags, ...args) => {
  const given = Object.entries(flags).flatMap(([flag, values]) =>
    [values].flat().map((value) => (value === true ? `--${flag}` : `--${flag}=${value}`)),
  );
  execFileSync(process.execPath, [`${release}/bin/run.js`, ...command.split(' '), ...args, ...given], {
    cwd: work,
    env: { ...process.env, FONTCONFIG_FILE: at('fonts.conf') },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
};
/** What no test reads: checkpoints of which the models are kept, drawings, and what the card has a copy of. */
const UNWANTED = [
  /^(one|two)\.safetensors$/,
  /^(config|tokenizer)\.json$/,
  /^text-pair-two\.onnx/,
  /^(head|text-item|audio-item|image-text-item|video-item)\.onnx\.report/,
  /^fonts\.conf$/,
  /^profile\..*(png|svg|trace\.json)$/,
  /^finished\.onnx|^finished\/(step|state|curve)/,
  /^(evaluation|profile|text-pair(-int8)?\.onnx\.report)\.json$/, // the card has them
  /^(model|train)\.yaml$/,
];
const load = (path) => import(pathToFileURL(`${release}/dist/core/${path}`).href);

// Without fonts, so that the card has its pictures as SVG alone.
writeFileSync(at('fonts.conf'), '<fontconfig/>');

// Inputs: pairs of texts with votes, items of every other modality.
const WORDS = ['lamp', 'door', 'road', 'bird', 'cold', 'rain', 'hill', 'song'];
const rows = Array.from({ length: 80 }, (_, i) => ({
  id: `t${i}`,
  type: 'pair',
  left: `${WORDS[i % 8]} ${i % 3 === 0 ? 'no' : 'yes'}`,
  right: `${WORDS[(i + (i >> 3)) % 8]} ${i % 3 === 0 ? 'yes' : 'no'} ${i}`,
  labels: i % 3 === 0 ? [0, 0, 1] : i % 7 === 0 ? [0.5, 1, 0] : [1, 1, 0],
  modality: 'text',
  prompt_id: `p${i >> 1}`,
  groups: { kind: i % 2 === 0 ? 'a' : 'b' },
}));
const jsonLines = (list) => list.map((row) => `${JSON.stringify(row)}\n`).join('');
writeFileSync(at('text.jsonl'), jsonLines(rows));
writeFileSync(at('items.jsonl'), jsonLines(rows.slice(0, 8).map(({ id, left }) => ({ id, type: 'text', text: left }))));
for (const [i, name] of ['a', 'b'].entries()) {
  writeFileSync(
    at(`${name}.bmp`),
    bitmap(9, 7, (x, y, c) => (x * 29 + y * 53 + c * 71 + i * 101) & 255),
  );
  writeFileSync(
    at(`${name}.wav`),
    recording(1600, (t) => 128 + Math.round(100 * Math.sin(((i + 1) * t) / 7))),
  );
}
const item = (type, content, context) => ({ id: content, type: 'abs', item: type, content, context });
writeFileSync(at('audio.jsonl'), jsonLines(['a.wav', 'b.wav'].map((path) => item('audio', path))));
writeFileSync(
  at('image-text.jsonl'),
  jsonLines(['a.bmp', 'b.bmp'].map((path) => item('image-text', path, 'is it clean?'))),
);
for (const config of ['model.yaml', 'train.yaml']) copyFileSync(join(here, config), at(config));

// Models of every mode, and what was made of them.
hpsv3('init', { config: 'model.yaml', seed: 1, out: 'one.safetensors' });
hpsv3('init', { config: 'model.yaml', seed: 2, out: 'two.safetensors' });
const exported = (out, modality, mode, checkpoint = 'one.safetensors') =>
  hpsv3('export', { checkpoint, modality, mode, out });
exported('text-pair.onnx', 'text', 'pair');
exported('text-pair-two.onnx', 'text', 'pair', 'two.safetensors');
exported('text-item.onnx', 'text', 'item');
exported('audio-item.onnx', 'audio', 'item');
exported('image-text-item.onnx', 'image-text', 'item');
exported('video-item.onnx', 'video', 'item');
exported('head.onnx', 'text', 'head');
const scored = (model, input, output, more = {}) => hpsv3('batch', { model, input, output, threads: 1, ...more });
scored('text-pair.onnx', 'text.jsonl', 'text-pair.scores.jsonl');
scored('text-pair-two.onnx', 'text.jsonl', 'text-pair-two.scores.jsonl');
const judged = { scores: 'text-pair.scores.jsonl', labels: 'text.jsonl' };
const few = { resamples: 200 };
hpsv3('calibrate', { ...judged, method: 'platt', out: 'calibrator.json', ...few });
hpsv3('calibrate', {
  ...judged,
  method: 'isotonic',
  'per-group': 'groups.kind',
  out: 'calibrator-by-kind.json',
  ...few,
});
hpsv3('calibrate', {
  ...judged,
  method: 'platt',
  embed: 'text-pair.onnx',
  'model-out': 'text-pair-calibrated.onnx',
  ...few,
});
hpsv3(
  'quantize',
  { scheme: 'weight-only', out: 'text-pair-int8.onnx', budget: 'flips=0.5,kendall=0' },
  'text-pair.onnx',
);
hpsv3('ensemble', { member: ['text-pair.onnx:0.7', 'text-pair-two.onnx:0.3'], out: 'text-pair-merged.onnx' });
const members = ['one=text-pair.scores.jsonl', 'two=text-pair-two.scores.jsonl'];
hpsv3('ensemble', { scores: members, labels: 'text.jsonl', fit: true, out: 'ensemble.json', ...few });
hpsv3('ensemble', { scores: members, apply: 'ensemble.json', out: 'ensemble.scores.jsonl' });
for (const name of ['text-pair-calibrated', 'text-pair-int8', 'text-pair-merged'])
  scored(`${name}.onnx`, 'text.jsonl', `${name}.scores.jsonl`);
scored('text-pair.onnx', 'text.jsonl', 'calibrator.scores.jsonl', { calibrator: 'calibrator.json' });
scored('text-pair.onnx', 'text.jsonl', 'calibrator-by-kind.scores.jsonl', { calibrator: 'calibrator-by-kind.json' });
scored('text-item.onnx', 'items.jsonl', 'text-item.scores.jsonl');
for (const name of ['audio', 'image-text']) scored(`${name}-item.onnx`, `${name}.jsonl`, `${name}-item.scores.jsonl`);
hpsv3('embed', { model: 'text-item.onnx', input: 'items.jsonl', output: 'embeddings.npy', threads: 1 });
await recordOutputs('head.onnx', { left: [3, 4], right: [3, 4] });
await recordOutputs('video-item.onnx', { frames: [1, 3, 2, 32, 32] });

// Reports, and a card made from them.
hpsv3('evaluate', {
  ...judged,
  calibrator: 'calibrator.json',
  baseline: 'text-pair-two.scores.jsonl',
  by: 'groups.kind',
  out: 'evaluation.json',
  ...few,
});
hpsv3('profile', { out: 'profile.json', seconds: 1, batch: 1, threads: 1, optimization: 'all' }, 'text-pair.onnx');
hpsv3('modelcard', {
  model: 'text-pair.onnx',
  evaluation: 'evaluation.json',
  calibration: 'calibrator.json',
  quantization: 'text-pair-int8.onnx.report.json',
  export: 'text-pair.onnx.report.json',
  profile: 'profile.json',
  'copy-data': true,
  out: 'card',
});

// A batch that was stopped after 20 rows, and a training run that was stopped after 4 of 6 steps.
const { runBatch } = await load('lifecycle/batch.js');
const stop = (when) => (progress) => {
  if (when(progress)) throw new Error('stopped');
};
await stopped(
  runBatch({
    models: [at('text-pair.onnx')],
    input: at('text.jsonl'),
    out: at('resumed.jsonl'),
    batchSize: 4,
    threads: 1,
    resume: false,
    force: false,
    streams: process,
    onProgress: stop(({ done }) => done === 20),
  }),
);
scored('text-pair.onnx', 'text.jsonl', 'batch-of-4.scores.jsonl', { 'batch-size': 4 });
const train = { config: 'train.yaml', data: 'text.jsonl', seed: 3, threads: 1, device: 'cpu' };
hpsv3('train', { ...train, out: 'finished' });
const { trainModel } = await load('lifecycle/train.js');
const { readConfigFile } = await load('cli/config.js');
await stopped(
  trainModel({
    config: await readConfigFile(at('train.yaml')),
    data: [at('text.jsonl')],
    validation: [],
    out: at('run'),
    seed: 3,
    device: 'cpu',
    threads: 1,
    resume: false,
    force: false,
    onProgress: stop(({ step }) => step === 4),
  }),
);
hpsv3('export', {
  checkpoint: 'finished/checkpoint.safetensors',
  modality: 'text',
  mode: 'pair',
  out: 'finished.onnx',
});
scored('finished.onnx', 'text.jsonl', 'finished.scores.jsonl');
rmSync(join(here, 'files'), { recursive: true, force: true });
for (const entry of readdirSync(work, { recursive: true, withFileTypes: true })) {
  const name = join(entry.parentPath, entry.name).slice(work.length + 1);
  if (!entry.isFile() || UNWANTED.some((pattern) => pattern.test(name))) continue;
  const packed = brotliCompressSync(readFileSync(at(name)));
  mkdirSync(join(here, 'files', dirname(name)), { recursive: true });
  writeFileSync(join(here, 'files', `${name}.br`), packed);
}
rmSync(work, { recursive: true });

async function stopped(promise) {
  try {
    await promise;
  } catch (error) {
    if (error.message === 'stopped') return;
    throw error;
  }
  throw new Error('it was not stopped');
}

/** Seeded inputs of a model and its outputs, as a golden file. */
async function recordOutputs(model, shapes) {
  const { InferenceSession, Tensor } = createRequire(`${release}/package.json`)('onnxruntime-node');
  const { writeSafetensors } = await load('checkpoint/write-safetensors.js');
  const { withAtomicOutput } = await load('bytes/output.js');
  const { tensorFromBytes } = await load('tensor/tensor.js');
  const inputs = Object.entries(shapes).map(([name, shape], which) => {
    const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => Math.sin((i % 7) + which));
    return [name, new Tensor('float32', values, shape)];
  });
  const session = await InferenceSession.create(at(model), { intraOpNumThreads: 1 });
  const outputs = await session.run(Object.fromEntries(inputs));
  const tensors = [
    ...inputs.map(([name, tensor]) => [`in/${name}`, tensor]),
    ...Object.entries(outputs).map(([name, tensor]) => [`out/${name}`, tensor]),
  ].map(([name, { data, dims }]) =>
    tensorFromBytes(
      { name, dtype: 'F32', shape: [...dims] },
      new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    ),
  );
  await withAtomicOutput(at(model.replace('.onnx', '.golden.safetensors')), {}, async (output) => {
    const sink = await output.create();
    await writeSafetensors(sink, tensors);
    await sink.finish();
  });
}

/** A picture as a BMP of 24 bits. */
function bitmap(width, height, value) {
  const stride = Math.ceil((3 * width) / 4) * 4;
  const bytes = Buffer.alloc(54 + stride * height);
  bytes.write('BM');
  bytes.writeUInt32LE(bytes.byteLength, 2);
  bytes.writeUInt32LE(54, 10);
  bytes.writeUInt32LE(40, 14);
  bytes.writeInt32LE(width, 18);
  bytes.writeInt32LE(height, 22);
  bytes.writeUInt16LE(1, 26);
  bytes.writeUInt16LE(24, 28);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) for (let c = 0; c < 3; c++) bytes[54 + y * stride + 3 * x + c] = value(x, y, c);
  return bytes;
}

/** Audio as a WAV of 8 bits and 16 kHz. */
function recording(samples, value) {
  const bytes = Buffer.alloc(44 + samples);
  bytes.write('RIFF');
  bytes.writeUInt32LE(36 + samples, 4);
  bytes.write('WAVEfmt ', 8);
  bytes.writeUInt32LE(16, 16);
  bytes.writeUInt16LE(1, 20);
  bytes.writeUInt16LE(1, 22);
  bytes.writeUInt32LE(16_000, 24);
  bytes.writeUInt32LE(16_000, 28);
  bytes.writeUInt16LE(1, 32);
  bytes.writeUInt16LE(8, 34);
  bytes.write('data', 36);
  bytes.writeUInt32LE(samples, 40);
  for (let i = 0; i < samples; i++) bytes[44 + i] = value(i);
  return bytes;
}
