// npm run bench -- quantize [--model float.onnx] [--samples 32] [--schemes static:minmax,…]: hpsv3 quantize against onnxruntime.quantization, the
// same float model and samples, whole processes in turn; then both results judged on held-out samples in one process.
// The gate is off in what is timed: the peer has none.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { atLeast, atMost, benchCase, faster, memoryShare } from '../case.js';
import { alternate, lastJson, must } from '../measure.js';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
/** What signal-to-noise may be below theirs, in dB: as much as another order of the same sums moves it. */
const SAME_SQNR_DB = 0.1;
/** Rows that results are judged by: a signal-to-noise ratio of a few scores would be mostly chance. */
const JUDGED_ROWS = 48;
/** What a latency may be above theirs: as much as two runs of one file differ. */
const SAME_LATENCY = 1.05;

/** `speed`: how many times as fast as its float original a static file is to be on this size of model. */
const MODELS = [
  { name: 'ResNet-50 size', make: 'resnet50', schemes: 'static:minmax,static:entropy', speed: 2.5 },
  { name: 'BERT-base size', make: 'bert-base', schemes: 'static:minmax,dynamic:minmax', speed: 2 },
  {
    name: 'PP-OCRv4 recognition, trained',
    packaged: 'models/ch_PP-OCRv4_rec_infer.onnx',
    schemes: 'static:minmax,dynamic:minmax',
  },
];

export default {
  title: 'Quantizing to int8',
  options: {
    model: { type: 'string' },
    samples: { type: 'string', default: '16' },
    schemes: { type: 'string' },
  },
  async *cases(context) {
    const { options, small } = context;
    const models = options.model
      ? [{ name: basename(options.model), file: options.model }]
      : small
        ? MODELS.slice(2)
        : MODELS;
    for (const model of models) {
      const file = model.file ?? (await findModel(model, context));
      if (!file) {
        console.log(`\n  ${model.name}: absent (needs what bench/setup.sh installs)`);
        continue;
      }
      yield* modelCases({ ...model, file }, context);
    }
  },
};

/** A model of random seeded weights made once with torch, or a trained one that a package brings; null where neither is there. */
async function findModel({ make, packaged }, { python, cache }) {
  if (packaged) return findPackaged(python, packaged);
  // A changed script makes other models.
  const recipe = createHash('sha256')
    .update(readFileSync(here('models.py')))
    .digest('hex')
    .slice(0, 8);
  const file = join(cache, `${make}-${recipe}.onnx`);
  if (existsSync(file)) return file;
  if (!python.versions.torchvision || !python.versions.transformers) return null;
  await must(python.command, [here('models.py'), make, `${file}.part`]);
  execFileSync('mv', [`${file}.part`, file]);
  return file;
}

function findPackaged(python, path) {
  const script =
    'import importlib.util; print(importlib.util.find_spec("rapidocr_onnxruntime").submodule_search_locations[0])';
  try {
    const folder = execFileSync(python.command, ['-c', script], { encoding: 'utf8', stdio: 'pipe' }).trim();
    return join(folder, path);
  } catch {
    return null;
  }
}

async function* modelCases({ name, file, schemes, speed }, { options, python, folder, rounds, small, cli }) {
  const samples = join(folder, 'samples.safetensors');
  const judgedRows = join(folder, 'judged.safetensors');
  await must(process.execPath, [here('rows.js'), file, options.samples, 'calibration', samples]);
  await must(process.execPath, [here('rows.js'), file, JUDGED_ROWS, 'judged', judgedRows].map(String));
  const size = statSync(file).size / 2 ** 20;
  for (const each of (options.schemes ?? schemes ?? 'static:minmax,static:entropy,dynamic:minmax').split(',')) {
    const [scheme, calibrator] = each.split(':');
    const [own, other] = [join(folder, 'ours.onnx'), join(folder, 'theirs.onnx')];
    const [ours, theirs] = await alternate(
      [
        {
          name: 'hpsv3 quantize',
          ...cli(
            ...['quantize', file, '--out', own, '--scheme', scheme, '--calibrator', calibrator],
            ...['--processor', 'auto', '--inputs', samples, '--gate', 'off', '--force', '--quiet'],
          ),
        },
        python.rival({
          name: 'onnxruntime.quantization',
          needs: ['onnxruntime', 'onnx', 'numpy'],
          args: [here('theirs.py'), file, samples, scheme, calibrator, other],
          reset: () => rmSync(other, { force: true }),
        }),
      ],
      { rounds: rounds(1), warmup: 0 },
    );
    const judged = await judge(file, judgedRows, { own, other: theirs.absent ? null : other });
    const roof = (model) => rooflineOf(model, judgedRows, { folder, cli, seconds: small ? '0.2' : '2' });
    yield benchCase(`${name} (${size.toFixed(0)} MiB), ${scheme} ${calibrator}`, ours, [theirs], {
      targets: targetsOf({ ours, theirs, judged, speed: scheme === 'static' ? speed : undefined }),
      notes: [
        `Float: ${judged.floatMs.toFixed(2)} ms a run.`,
        ...(judged.refused ? [`Theirs is not loaded: ${judged.refused.slice(0, 160)}…`] : []),
        ...judged.results.map((result, i) => figures(['Ours', 'Theirs'][i], result, [own, other][i])),
        `Roofline, one thread, measured on this machine: float ${await roof(file)}; ours ${await roof(own)}.`,
      ],
    });
  }
}

/** Both files on held-out samples; ours alone where there is no other or the runtime refuses it, which `refused` then tells. */
async function judge(float, rows, { own, other }) {
  const run = async (files) => lastJson(await must(process.execPath, [here('judge.js'), float, rows, ...files]));
  if (!other) return run([own]);
  try {
    return await run([own, other]);
  } catch (error) {
    const refused = /^HpsError: (.*onnxruntime cannot.*)$/m.exec(error.message)?.[1];
    if (!refused) throw error;
    return { ...(await run([own])), refused };
  }
}

/** The multiply-accumulates a second that a model reaches, of what products of its kind reach here at most. */
async function rooflineOf(model, rows, { folder, cli, seconds }) {
  const out = join(folder, 'profile.json');
  const { command, args } = cli(
    ...['profile', model, '--inputs', rows, '--batch-size', '1', '--threads', '1', '--seconds', seconds],
    ...['--out', out, '--force', '--quiet'],
  );
  await must(command, args);
  const { counts, latency, peaks } = JSON.parse(readFileSync(out, 'utf8'));
  const reached = counts.macs / (latency.p50Ms.value / 1e3);
  const peak = peaks.integerMacsPerSecond ?? peaks.macsPerSecond;
  return `${(reached / 1e9).toFixed(1)} of ${(peak / 1e9).toFixed(1)} GMAC/s`;
}

function targetsOf({ ours, theirs, judged, speed }) {
  const [own, other] = judged.results;
  const against = (value) => (other ? value() : null);
  return [
    faster(ours, theirs, 5),
    atMost('peak memory at most half of theirs', memoryShare(ours, theirs), 0.5, 'x'),
    atMost(
      'flips no more than theirs: difference',
      against(() => 100 * (own.flipRate - other.flipRate)),
      0,
      'points',
    ),
    atLeast(
      'SQNR no worse than theirs: difference',
      against(() => own.sqnr - other.sqnr),
      -SAME_SQNR_DB,
      'dB',
    ),
    atMost(
      'latency no worse than theirs',
      against(() => own.ms / other.ms),
      SAME_LATENCY,
      'x',
    ),
    ...(speed ? [atLeast(`at least ${speed} times the float speed`, own.speed, speed, 'x')] : []),
  ];
}

function figures(whose, { flipRate, kendall, maxLogitDiff, sqnr, ms, speed }, file) {
  const list = [
    `flips ${(100 * flipRate).toFixed(2)} %`,
    `Kendall ${kendall?.toFixed(4)}`,
    `largest score difference ${maxLogitDiff.toPrecision(3)}`,
    `SQNR ${sqnr.toFixed(1)} dB`,
    `${ms.toFixed(2)} ms a run (${speed.toFixed(2)} times the float speed)`,
    `${(statSync(file).size / 2 ** 20).toFixed(1)} MiB`,
  ];
  return `${whose}: ${list.join(', ')}.`;
}
