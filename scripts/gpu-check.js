// What scripts/gpu-check.sh runs: every part is a process of its own, so that a driver that crashes or hangs ends that part alone.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { installedVersion, packageFolders } from '../dist/core/runtime/environment.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const DEVICES = ['webgpu', 'cuda'];
/** All of it; a part that would begin later is skipped. */
const MOST_SECONDS = 290;
/** Largest differences from the processor that pass: losses relative to 1, logits relative to their size. */
const BOUNDS = { loss: 1e-3, fp32: 1e-3, fp16: 5e-2 };

const { values } = parseArgs({
  options: {
    device: { type: 'string', default: DEVICES.join() },
    model: { type: 'string', default: join(root, 'checkpoints/hpsv3-mini-a') },
    rows: { type: 'string', default: '160' },
    pairs: { type: 'string', default: '16' },
    steps: { type: 'string', default: '50' },
    out: { type: 'string' },
  },
});
const devices = values.device.split(',');
const sizes = [values.rows, values.pairs, values.steps].map(Number);
const [rows, pairs, steps] = sizes;
if (!devices.every((device) => DEVICES.includes(device)) || !sizes.every((size) => size >= 1)) {
  console.error(`--device takes some of ${DEVICES.join()}; --rows, --pairs and --steps a number from 1 on`);
  process.exit(2);
}

const began = performance.now();
const secondsLeft = () => MOST_SECONDS - (performance.now() - began) / 1000;
const folder = mkdtempSync(join(tmpdir(), 'hpsv3-gpu-check-'));
const at = (...path) => join(folder, ...path);

/** Ends a part: it cannot run here, and why. */
class Skip extends Error {}

/** Runs a program until it ends or the time of the check does. @returns what it printed @throws Error with the end of its messages */
function run(program, args, env = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: folder,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const [out, errors] = [[], []];
    child.stdout.on('data', (data) => out.push(data));
    child.stderr.on('data', (data) => errors.push(data));
    const timer = setTimeout(() => child.kill('SIGKILL'), Math.max(1, secondsLeft()) * 1000);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (code === 0) return resolve(Buffer.concat(out).toString());
      const said = Buffer.concat(errors).toString().trim() || Buffer.concat(out).toString().trim();
      const why =
        secondsLeft() <= 0 ? `did not end within ${MOST_SECONDS} s of the check` : `ended with ${signal ?? code}`;
      reject(new Error(`${why}: ${errorIn(said)}`));
    });
  });
}

/** The message of a command's error document, or the line that names an error, or else the last. */
function errorIn(said) {
  try {
    return JSON.parse(said).error.message;
  } catch {
    const lines = said.split('\n');
    return lines.find((line) => /^(?:\w*Error|Fatal)\b/.test(line)) ?? lines.at(-1);
  }
}

const node = (args) => run(process.execPath, args);
const hpsv3 = async (...args) => JSON.parse(await node([join(root, 'bin/run.js'), ...args, '--json']));
const linesOf = (path) =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

// ---- the machine

function gpus() {
  const found = spawnSync('nvidia-smi', ['--query-gpu=name,driver_version', '--format=csv,noheader'], {
    encoding: 'utf8',
  });
  if (found.status !== 0) return [];
  return found.stdout
    .trim()
    .split('\n')
    .map((line) => line.split(', '))
    .map(([name, driver]) => ({ name, driver }));
}

/** Vulkan's drivers by the names of their files, or what the environment puts in their place. */
function vulkanDrivers() {
  const named = process.env.VK_DRIVER_FILES ?? process.env.VK_ICD_FILENAMES;
  if (named) return named.split(':').map((path) => path.split('/').at(-1));
  const folders = ['/usr/share/vulkan/icd.d', '/etc/vulkan/icd.d', '/usr/local/share/vulkan/icd.d'];
  return folders.flatMap((path) => (existsSync(path) ? readdirSync(path) : []));
}

// ---- parts

/** Opens and runs a model on a device; tells the driver that was loaded for it. */
const PROBE = `
import { readFileSync } from 'node:fs';
const { openSession } = await import(process.argv[1]);
const session = await openSession(process.argv[2], { device: JSON.parse(process.argv[3]) });
const feeds = new Map(session.inputs.map(({ name, dtype, shape }) => {
  const dims = shape.map((size) => (typeof size === 'number' ? size : 2));
  const count = dims.reduce((a, b) => a * b, 1);
  return [name, { dtype, shape: dims, data: dtype === 'I64' ? new BigInt64Array(count).fill(1n) : new Float32Array(count) }];
}));
await session.run(feeds);
const drivers = readFileSync('/proc/self/maps', 'utf8').matchAll(/lib(?:GLX_nvidia|cuda|cudart|vulkan_\\w+|vk_swiftshader)\\.so[.\\d]*/g);
console.log(JSON.stringify([...new Set(Array.from(drivers, ([name]) => name))]));
process.exit(0);
`;

const CUDA_FILES = ['libonnxruntime_providers_cuda.so', 'libonnxruntime_providers_shared.so'];

async function probe(device, dtype = 'fp32') {
  if (device === 'cuda') {
    const libraries = packageFolders('onnxruntime-node').map((path) => join(path, 'bin/napi-v6/linux/x64'));
    if (!libraries.some((path) => CUDA_FILES.every((name) => existsSync(join(path, name))))) {
      const where = libraries.find((path) => existsSync(path))?.replace(root, '');
      throw new Skip(`${CUDA_FILES.join(' and ')} of onnxruntime ${RUNTIME} are not in ${where}: docs/gpu.md`);
    }
  }
  const session = pathToFileURL(join(root, 'dist/core/runtime/ort.js')).href;
  const choice = JSON.stringify(device === 'cuda' ? { kind: 'cuda', index: 0 } : { kind: device });
  try {
    const printed = await node(['--input-type=module', '--eval', PROBE, session, at(`${dtype}.onnx`), choice]);
    return { drivers: JSON.parse(printed) };
  } catch (error) {
    throw new Skip(`no model in ${dtype} runs on ${device} here (${error.message})`);
  }
}

async function batch(device, dtype) {
  if (dtype === 'fp16') await probe(device, dtype);
  const out = at(`${device}-${dtype}.jsonl`);
  const started = performance.now();
  await hpsv3('batch', '--model', at(`${dtype}.onnx`), '--input', ROWS, '--out', out, '--device', device);
  const seconds = (performance.now() - started) / 1000;
  if (device === 'cpu') return { rows: linesOf(out).length, seconds };
  const reference = new Map(linesOf(at('cpu-fp32.jsonl')).map((row) => [row.id, row]));
  const compared = linesOf(out).map(({ id, logit, winner }) => {
    const expected = reference.get(id);
    return {
      difference: Math.abs(logit - expected.logit) / Math.max(1, Math.abs(expected.logit)),
      flipped: winner !== expected.winner,
    };
  });
  const largest = Math.max(...compared.map(({ difference }) => difference));
  return {
    rows: compared.length,
    seconds,
    largestDifference: largest,
    flips: compared.filter(({ flipped }) => flipped).length,
    passed: compared.length === reference.size && largest <= BOUNDS[dtype],
  };
}

/** Fine-tunes on a device; the mean losses of its passes over the labels beside those of the processor. */
async function finetune(device, train) {
  const runFolder = at(`${device}-${train}`);
  const started = performance.now();
  const report = await hpsv3(
    ...['finetune', '--model', at('fp32.onnx'), '--labels', ROWS, '--val', at('held-out/labels.jsonl')],
    ...[
      '--out',
      at(`${device}-${train}.onnx`),
      '--train',
      train,
      '--steps',
      String(steps),
      '--batch-size',
      String(pairs),
    ],
    ...[
      '--config',
      at('training.json'),
      '--run',
      runFolder,
      '--device',
      device,
      '--gate',
      'off',
      '--seed',
      '1',
      '--force',
    ],
  );
  const seconds = (performance.now() - started) / 1000;
  const losses = linesOf(join(runFolder, 'log.jsonl')).flatMap(({ loss }) => (loss === undefined ? [] : [loss]));
  const figures = { steps: report.steps, seconds, firstLoss: losses[0], lastLoss: losses.at(-1) };
  return { ...figures, ...besideProcessor(train, device, losses) };
}

/** Losses of the processor, by what was trained. */
const reference = new Map();

function besideProcessor(what, device, losses) {
  if (device === 'cpu') {
    reference.set(what, losses);
    return {};
  }
  const expected = reference.get(what);
  if (!expected) throw new Skip('the processor has no losses to compare with');
  const differences = losses.map((loss, i) => Math.abs(loss - expected[i]) / Math.max(1, Math.abs(expected[i])));
  const largest = Math.max(...differences);
  return { largestLossDifference: largest, passed: losses.length === expected.length && largest <= BOUNDS.loss };
}

const SIZES = [values.model, 'text', pairs, steps, availableParallelism()].map(String);

/** Steps on drawn texts of equal length, all weights trained: the loss of every one, and the median of their times. */
async function trainSteps(device) {
  const { seconds, losses } = JSON.parse(await node([join(root, 'bench/train/ours.js'), ...SIZES, device]));
  return { milliseconds: 1000 * seconds, steps: losses.length, ...besideProcessor('steps', device, losses) };
}

async function torchStepTime(device) {
  const [model, ...sizes] = SIZES;
  const files = [join(model, 'model.safetensors'), join(model, 'checkpoint.safetensors')];
  const args = [
    join(root, 'tests/reference'),
    files.find((path) => existsSync(path)),
    join(model, 'config.json'),
    ...sizes,
  ];
  const python = process.env.HPSV3_PYTHON ?? 'python3';
  const check =
    device === 'cuda' ? 'import torch, safetensors; assert torch.cuda.is_available()' : 'import torch, safetensors';
  try {
    await run(python, ['-c', check]);
  } catch {
    throw new Skip(`${python} has no PyTorch${device === 'cuda' ? ' with CUDA' : ''} and safetensors`);
  }
  const printed = await run(python, [join(root, 'bench/train/theirs.py'), ...args, device]);
  return { milliseconds: 1000 * JSON.parse(printed.trim().split('\n').at(-1)).seconds };
}

/** Labels, both models, and a recipe without chance. */
async function prepare() {
  for (const [name, seed, count] of [
    ['rows', 1, rows],
    ['held-out', 2, Math.min(rows, 16)],
  ])
    await hpsv3('synth', '--out', at(name), '--modality', 'text', '--pairs', String(count), '--seed', String(seed));
  for (const dtype of ['fp32', 'fp16'])
    await hpsv3(
      ...['export', '--checkpoint', values.model, '--modality', 'text', '--mode', 'pair', '--gate', 'off'],
      ...['--dtype', dtype, '--out', at(`${dtype}.onnx`)],
    );
  const training = { micro_batch_size: pairs, warmup_steps: 0, mixup: 0, patience: 0 };
  writeFileSync(at('training.json'), JSON.stringify({ training }));
  return {};
}

// ---- all of it

const RUNTIME = installedVersion('onnxruntime-node');
const ROWS = at('rows/labels.jsonl');
const checks = [];

async function part(check, device, body) {
  const started = performance.now();
  const done = (facts) =>
    checks.push({ check, device, ...facts, seconds: facts.seconds ?? (performance.now() - started) / 1000 });
  if (secondsLeft() <= 0) return done({ state: 'skipped', reason: 'no time was left' });
  try {
    const { passed = true, ...figures } = await body();
    done({ state: passed ? 'passed' : 'failed', ...figures });
    return passed;
  } catch (error) {
    const state = error instanceof Skip ? 'skipped' : 'failed';
    done({ state, reason: error.message.replaceAll(folder, '').replaceAll(root, '') });
    return false;
  }
}

try {
  await part('doctor', null, async () => ({ devices: (await hpsv3('doctor')).devices }));
  if (await part('prepare', null, prepare)) {
    const usable = [];
    for (const device of devices) if (await part('open', device, () => probe(device))) usable.push(device);
    if (usable.length > 0) {
      for (const device of ['cpu', ...usable]) {
        for (const dtype of device === 'cpu' ? ['fp32'] : ['fp32', 'fp16'])
          await part(`batch ${dtype}`, device, () => batch(device, dtype));
        for (const train of ['head', 'all']) await part(`finetune ${train}`, device, () => finetune(device, train));
        await part('steps', device, () => trainSteps(device));
      }
      for (const device of ['cpu', 'cuda']) await part('steps of PyTorch', device, () => torchStepTime(device));
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
const onDevices = checks.filter(({ device, state }) => DEVICES.includes(device) && state !== 'skipped');
const failed = checks.some(({ state }) => state === 'failed');
const result = {
  schema: 'hpsv3/gpu-check@1',
  hpsv3: JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version,
  onnxruntime: RUNTIME,
  node: process.versions.node,
  os: `${process.platform} ${release()}`,
  cpu: `${cpus()[0]?.model} (${availableParallelism()})`,
  gpus: gpus(),
  vulkanDrivers: vulkanDrivers(),
  model: values.model.split('/').at(-1),
  rows,
  pairs,
  steps,
  seconds: Math.round((performance.now() - began) / 1000),
  /** Null where nothing could run on a device. */
  passed: failed ? false : onDevices.length > 0 ? true : null,
  skipped: failed || onDevices.length > 0 ? null : 'no device that was asked for is there',
  checks,
};
const json = `${JSON.stringify(result, null, 2)}\n`;
process.stdout.write(json);
if (values.out) writeFileSync(values.out, json);
process.exitCode = failed ? 3 : 0;
