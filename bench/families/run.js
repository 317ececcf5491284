// npm run bench -- families [--threads 2] [--batch 16] [--pairs 200]: pairs to scores with a BERT-base-size classifier and a CLIP of
// ViT-B/32's size, preprocessing included, beside transformers eager: in fp32, there beside onnxruntime on a file that its optimiser for
// transformers fused, too, and by the quantized files that their gate lets pass.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { atMost, benchCase, faster, memoryShare } from '../case.js';
import { alternate, lastJson, must, runOnce } from '../measure.js';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const MODELS = [
  { name: 'BERT-base size, text pairs', folder: 'bert-base' },
  { name: 'CLIP ViT-B/32 size, image-text pairs', folder: 'vit-b-32' },
];
const SCHEMES = ['static', 'dynamic', 'weight-only'];
/** Share of pairs that a quantized file may decide otherwise. */
const FLIPS = 0.02;

export default {
  title: 'Published families',
  options: {
    threads: { type: 'string', default: '2' },
    batch: { type: 'string', default: '16' },
    pairs: { type: 'string', default: '200' },
  },
  async *cases(context) {
    const { options, python, cache, small } = context;
    const pairs = small ? 8 : Number(options.pairs);
    const made = join(cache, `made-${hashOf(here('models.py'))}-${options.pairs}`);
    if (!existsSync(made)) {
      if (!python.versions.torch || !python.versions.transformers) {
        console.log('\n  all models: absent (need what bench/setup.sh installs)');
        return;
      }
      await must(python.command, [here('models.py'), cache, options.pairs]);
      writeFileSync(made, '');
    }
    for (const model of MODELS) yield* modelCases(model, pairs, context);
  },
};

const hashOf = (path) => createHash('sha256').update(readFileSync(path)).digest('hex').slice(0, 12);

async function* modelCases({ name, folder }, pairs, context) {
  const { cache, cli, small } = context;
  const source = join(cache, folder);
  const float = join(cache, `${folder}.onnx`);
  const { command, args } = cli(
    'export',
    '--checkpoint',
    source,
    '--out',
    float,
    '--force',
    '--gate',
    'off',
    '--quiet',
  );
  await must(command, args);
  const fused = await fusedFile(source, context);
  yield await measured(`${name}, fp32`, float, 2, { source, pairs, fused }, context);
  const results = await quantize(float, source, small ? ['dynamic'] : SCHEMES, context);
  for (const { scheme, file, flips, reason } of results) {
    if (file) yield await measured(`${name}, ${scheme}`, file, 3, { source, pairs, flips }, context);
    else console.log(`\n  ${name}, ${scheme}: ${reason}`);
  }
}

const FUSED_NEEDS = ['onnxruntime', 'optimum-onnx', 'transformers', 'torch', 'pillow'];

/** A folder with the fused model, made once; null where that needs what is not installed. */
async function fusedFile(source, { python }) {
  const out = `${source}-fused`;
  if (existsSync(join(out, 'model.onnx'))) return out;
  if (FUSED_NEEDS.some((need) => !python.versions[need])) return null;
  await must(python.command, [here('fuse.py'), source, out]);
  return out;
}

/** Quantizes by each scheme, calibrated and judged on rows; what its gate refuses has no file. */
async function quantize(float, source, schemes, context) {
  const results = [];
  for (const scheme of schemes) {
    // Weights of 8 bits where sums are exact here; where those are refused, of 7.
    const best = await quantized(float, source, { scheme, processor: 'auto' }, context);
    results.push(best.file ? best : await quantized(float, source, { scheme, processor: 'any' }, context));
  }
  return results;
}

async function quantized(float, source, { scheme, processor }, { folder, cli }) {
  const file = join(folder, `${scheme}.onnx`);
  const rows = ['--calibration', join(source, 'calibration.jsonl'), '--media-root', source];
  const allowed = ['--allow-batch-dependence', '--budget', `flips=${FLIPS},kendall=0.9`];
  const { command, args } = cli(
    ...['quantize', float, '--out', file, '--scheme', scheme, '--processor', processor],
    ...[...rows, ...allowed, '--force', '--quiet'],
  );
  const { code, output } = await runOnce(command, args);
  if (code !== 0) return { scheme, reason: output.trim() };
  const { flipRate } = JSON.parse(readFileSync(`${file}.report.json`, 'utf8'));
  return { scheme, file, flips: flipRate };
}

/** @param fused - of `fusedFile`; undefined where it is no peer */
async function measured(name, model, times, { source, pairs, flips, fused }, { options, python, folder, rounds }) {
  const setting = [options.batch, options.threads, pairs].map(String);
  const [own, other] = [join(folder, 'ours.json'), join(folder, 'theirs.json')];
  const fusedRival = {
    name: 'onnxruntime (Python), fused by its optimiser for transformers',
    needs: FUSED_NEEDS,
    args: [here('fused.py'), fused, source, ...setting, join(folder, 'fused.json')],
    read: lastJson,
  };
  const [ours, theirs, ...others] = await alternate(
    [
      {
        name: 'hpsv3',
        command: process.execPath,
        args: [here('ours.js'), model, source, ...setting, own],
        read: lastJson,
      },
      python.rival({
        name: 'transformers eager',
        needs: ['transformers', 'torch', 'pillow'],
        args: [here('theirs.py'), source, ...setting, other],
        read: lastJson,
      }),
      ...(fused === undefined ? [] : [python.rival(fusedRival)]),
    ],
    { rounds: rounds(3), warmup: 0 },
  );
  const peers = [theirs, ...others];
  return benchCase(`${name}: ${pairs} pairs, batch ${options.batch}, ${options.threads} threads`, ours, peers, {
    targets: [
      faster(ours, theirs, times),
      atMost('peak memory at most theirs', memoryShare(ours, theirs), 1, 'x'),
      ...others.map((other) => faster(ours, other, 1)),
    ],
    notes: [
      ...(theirs.absent ? [] : [agreement(own, other)]),
      ...(flips === undefined
        ? []
        : [`Flips on held-out rows: ${(100 * flips).toFixed(2)} %, ${100 * FLIPS} % allowed.`]),
    ],
  });
}

function agreement(own, other) {
  const [a, b] = [own, other].map((file) => JSON.parse(readFileSync(file, 'utf8')));
  const difference = Math.max(...a.map((logit, i) => Math.abs(logit - b[i])));
  const spread = Math.sqrt(b.reduce((sum, logit) => sum + logit * logit, 0) / b.length);
  return `Largest difference of a pair logit from theirs: ${difference.toPrecision(3)}, of logits ${spread.toPrecision(3)} in size.`;
}
