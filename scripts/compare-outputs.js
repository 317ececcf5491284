// Proves that a change changed nothing: runs the same commands in two checkouts that are built, and compares what they wrote.
//   node scripts/compare-outputs.js BASE [CHECKOUT]
// Every artifact by its sha256; where that differs, what it says: numbers, keys and codes must be equal (exit 1 otherwise), prose
// may change, the `producer_version` of a model and a `schema` field may be added, and each of these is listed.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [base, checkout = '.'] = process.argv.slice(2);
if (base === undefined) {
  console.error('usage: node scripts/compare-outputs.js BASE [CHECKOUT]');
  process.exit(2);
}

/** What is made once, by BASE, for both to start from. */
const INPUTS = [
  'init --config $REPO/configs/hpsv3_nano.yaml --seed 1 --out a/model.safetensors',
  'init --config $REPO/configs/hpsv3_nano.yaml --seed 2 --out b/model.safetensors',
  'synth --modality text --pairs 48 --pairs-per-source 2 --seed 1 --out text',
  'synth --modality image --pairs 16 --pairs-per-source 2 --image-size 48 --seed 2 --out image',
];

/** The commands compared, each by the name of its report. */
const COMMANDS = {
  init: 'init --config $REPO/configs/hpsv3_nano.yaml --seed 1 --out again.safetensors',
  synth: 'synth --modality text --pairs 6 --pairs-per-source 2 --seed 1 --out synth',
  export: 'export --checkpoint a/model.safetensors --modality text --mode pair --out text.onnx',
  'export-b': 'export --checkpoint b/model.safetensors --modality text --mode pair --gate quick --out text-b.onnx',
  'export-image': 'export --checkpoint a/model.safetensors --modality image --optimize --gate quick --out image.onnx',
  'export-fp16': 'export --checkpoint a/model.safetensors --modality text --dtype fp16 --gate off --out half.onnx',
  'export-data': 'export --checkpoint a/model.safetensors --modality image --external-data --gate off --out data.onnx',
  verify: 'verify text-b.onnx text-b.onnx',
  merge: 'ensemble --member text.onnx:0.6 --member text-b.onnx:0.4 --gate quick --out merged.onnx',
  'quantize-weights':
    'quantize text.onnx --scheme weight-only --gate quick --budget flips=1,kendall=-1 --out weights.onnx',
  'quantize-static': 'quantize image.onnx --scheme static --gate quick --budget flips=1,kendall=-1 --out static.onnx',
  batch: 'batch --model text.onnx --input text/labels.jsonl --output scores.jsonl',
  calibrate:
    'calibrate --scores scores.jsonl --labels text/labels.jsonl --method temperature --resamples 100 --out calibrator.json',
  embed:
    'calibrate --scores scores.jsonl --labels text/labels.jsonl --method temperature --resamples 100 --embed text.onnx --model-out calibrated.onnx',
  evaluate:
    'evaluate --scores scores.jsonl --labels text/labels.jsonl --resamples 100 --by groups.perturbation --min-group 2 --out evaluation.json --out-scores rows.jsonl',
  finetune:
    'finetune --model text.onnx --labels text/labels.jsonl --steps 4 --threads 1 --gate quick --out tuned.onnx --checkpoint-out tuned.pt',
  card: 'modelcard --model text.onnx --evaluation evaluation.json --out card',
};

/** Times and memory, which no two runs share. */
const MEASURED = /^(latency|seconds|milliseconds|elapsed.*|rowsPerSecond|.*Ms|peak.*|.*PerSecond|rss.*|memory.*)$/;

/** The report of a command; it may end with 3 (a gate that fails is a result too), but not with a bug. */
function hpsv3(repo, line, cwd) {
  const args = line.replaceAll('$REPO', resolve(base)).split(' ');
  return new Promise((done, fail) => {
    const child = spawn(process.execPath, [resolve(repo, 'bin/run.js'), ...args, '--json'], {
      cwd,
      env: { ...process.env, SOURCE_DATE_EPOCH: '0' },
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk) => (stdout += chunk));
    child.stderr.on('data', (chunk) => (stderr += chunk));
    child.on('close', (code) => {
      if (code === 0 || code === 3) done(stdout);
      else fail(new Error(`${repo}: hpsv3 ${line}: exit ${code}\n${stderr}\n${stdout}`));
    });
  });
}

/** Sets what was measured in a report to one value. */
function eraseMeasured(path) {
  const erase = (key, value) => (MEASURED.test(key) && typeof value === 'number' ? 1 : value);
  writeFileSync(path, JSON.stringify(JSON.parse(readFileSync(path, 'utf8'), erase)));
}

async function compareFolders(before, after) {
  const hashes = [new Map(), new Map()];
  const names = [before, after].map((folder, side) => {
    const files = filesOf(folder);
    for (const name of files) hashes[side].set(sha256(readFileSync(join(folder, name))), name);
    return files;
  });
  const all = [...new Set(names.flat())].sort();
  let [same, wrong] = [0, 0];
  for (const name of all) {
    const paths = [join(before, name), join(after, name)];
    const missing = paths.findIndex((path) => !existsSync(path));
    if (missing >= 0) {
      console.log(`${missing === 0 ? 'added   ' : 'MISSING '} ${name}`);
      if (missing === 1) wrong += 1;
      continue;
    }
    const [old, fresh] = paths.map((path) => readFileSync(path));
    if (old.equals(fresh)) same += 1;
    else {
      const differences = await differencesOf(name, paths, [old, fresh], hashes);
      const bad = differences.some(({ kind }) => kind === 'DIFFERENT');
      if (bad) wrong += 1;
      if (differences.length === 0) same += 1;
      else console.log(`${bad ? 'DIFFERENT' : 'allowed  '} ${name}`);
      for (const { kind, text } of differences) console.log(`            ${kind}: ${text}`);
    }
  }
  console.log(`${all.length} artifacts: ${same} equal, ${wrong} differ in what may not`);
  return wrong === 0;
}

const filesOf = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** Times in a sentence, which no two runs share. */
const withoutTimes = (text) => text.replace(/\d[\d.]* m?s\b/g, 'N ms');

/** Hashes of artifacts by the artifacts' names, and what is made of them: a hash of a file that differs says nothing that the file does not. */
const named = (bytes, known) =>
  withoutTimes(bytes.toString())
    .replace(/\b[0-9a-f]{64}\b/g, (hash) => known.get(hash) ?? hash)
    .replace(/urn:uuid:[0-9a-f-]{36}/g, 'urn:uuid');

async function differencesOf(name, paths, contents, hashes) {
  if (name.endsWith('.onnx')) return modelDifferences(paths, hashes);
  const texts = contents.map((bytes, side) => named(bytes, hashes[side]));
  if (name.endsWith('.json')) return jsonDifferences(...texts.map((text) => JSON.parse(text)));
  if (name.endsWith('.jsonl')) return jsonDifferences(...texts.map((text) => text.trim().split('\n').map(JSON.parse)));
  if (/\.(md|html|svg|txt)$|SHA256SUMS$/.test(name)) return textDifferences(...texts);
  return [{ kind: 'DIFFERENT', text: 'bytes' }];
}

/** Models are equal but for `producer_version` where they give the same bytes once it is gone, and their manifests are equal. */
async function modelDifferences(paths, hashes) {
  const load = (path) => import(pathToFileURL(resolve(checkout, `dist/core/onnx/${path}.js`)));
  const [{ openOnnx }, { modelBytes }] = [await load('read'), await load('write')];
  const models = [];
  const found = [];
  const versions = [];
  for (const path of paths) {
    const file = openOnnx(path);
    const { producerVersion, metadataProps, ...model } = file.model;
    versions.push(producerVersion);
    models.push({
      bytes: Buffer.from(await modelBytes({ ...model, metadataProps: [] })),
      metadata: Object.fromEntries(metadataProps.map(({ key, value }) => [key, value])),
    });
    file.close();
  }
  const [before, after] = models;
  if (!before.bytes.equals(after.bytes)) found.push({ kind: 'DIFFERENT', text: 'graph or weights' });
  if (versions[0] !== versions[1]) {
    found.push({ kind: 'producer_version', text: versions.map((version) => version ?? 'none').join(' -> ') });
  }
  const parsed = models.map(({ metadata }, side) =>
    JSON.parse(named(Buffer.from(JSON.stringify(metadata)), hashes[side])),
  );
  found.push(...jsonDifferences(...parsed));
  if (found.length === 0) found.push({ kind: 'DIFFERENT', text: 'bytes' });
  return found;
}

/** A list of sentences without those that state a time: whether one is said at all is measured, too. */
const withoutMeasured = (value) =>
  Array.isArray(value) ? value.filter((text) => typeof text !== 'string' || !/\bN ms\b/.test(text)) : value;

/** Numbers, keys, codes and names; prose (a string with a space) is told apart. */
function jsonDifferences(given, changed, path = '') {
  if (Object.is(given, changed)) return [];
  const [before, after] = [given, changed].map(withoutMeasured);
  const objects = [before, after].every((value) => typeof value === 'object' && value !== null);
  if (objects && Array.isArray(before) === Array.isArray(after)) {
    const found = [];
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
      const at = path === '' ? key : `${path}.${key}`;
      if (MEASURED.test(key) || (key === 'bytes' && 'sha256' in before)) continue; // nor does the size
      if (!(key in before) && key === 'schema') found.push({ kind: 'schema', text: `${at}: ${after[key]}` });
      else found.push(...jsonDifferences(before[key], after[key], at));
    }
    return found;
  }
  const strings = [before, after].every((value) => typeof value === 'string');
  if (strings && [before, after].every((text) => text.includes(' ')) && numbersOf(before) === numbersOf(after)) {
    return [{ kind: 'prose', text: `${path}: ${shorten(before)} -> ${shorten(after)}` }];
  }
  return [{ kind: 'DIFFERENT', text: `${path}: ${shorten(before)} -> ${shorten(after)}` }];
}

function textDifferences(before, after) {
  if (before === after) return [];
  const kind = numbersOf(before) === numbersOf(after) ? 'prose' : 'DIFFERENT';
  const lines = [before, after].map((text) => text.split('\n'));
  const first = lines[0].findIndex((line, i) => line !== lines[1][i]);
  return [{ kind, text: `line ${first + 1}: ${shorten(lines[0][first])} -> ${shorten(lines[1][first])}` }];
}

const numbersOf = (text) => (text.match(/\d[\d.,]*/g) ?? []).join(' ');
const shorten = (value) => {
  const text = JSON.stringify(value) ?? 'absent';
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
};

const work = mkdtempSync(join(tmpdir(), 'hpsv3-compare-'));
try {
  const inputs = join(work, 'inputs');
  for (const folder of ['a', 'b']) mkdirSync(join(inputs, folder), { recursive: true });
  for (const line of INPUTS) await hpsv3(base, line, inputs);
  const sides = { before: base, after: checkout };
  for (const [side, repo] of Object.entries(sides)) {
    const folder = join(work, side);
    cpSync(inputs, folder, { recursive: true });
    for (const [name, line] of Object.entries(COMMANDS)) {
      if (name === 'card') eraseMeasured(join(folder, 'text.onnx.report.json')); // else the card would state them
      writeFileSync(join(folder, `${name}.stdout.json`), await hpsv3(repo, line, folder));
    }
  }
  process.exitCode = (await compareFolders(join(work, 'before'), join(work, 'after'))) ? 0 : 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}
