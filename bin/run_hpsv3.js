#!/usr/bin/env node
// run_hpsv3 --mode score|batch|serve|demo: the same program under the words of the original scripts.
import './floor.js';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';

/** The configuration of a release, beside this program or in the folder it is called from: it names the model. */
const CONFIG = 'hpsv3_config.yaml';

const HELP = `Score with a released HPSv3 model.

USAGE
  run_hpsv3 --mode score --model MODEL.onnx --input sample.json --output result.json
  run_hpsv3 --mode batch --model MODEL.onnx --input data.jsonl --output results.jsonl --batch-size 64 --device cuda:0
  run_hpsv3 --mode serve --model MODEL.onnx --port 8080 --device cuda:0
  run_hpsv3 --mode demo --input sample_inputs.json

OPTIONS
  --mode        score: one pair or item; batch: all rows of a JSONL, CSV or Parquet file; serve: over HTTP; demo: score
                --input, with the bundled model if no other is named; without --input the whole way on bundled models
  --model       the .onnx file that \`hpsv3 export\` wrote (or HPSV3_MODEL in the environment, or model in
                ${CONFIG}); several for batch and serve
  --input       what to score
  --output      file for the result (--out is the same)
  --batch-size  samples computed at a time (batch and serve)
  --port        where to listen (serve only)
  --device      cpu, cuda, cuda:1, webgpu, or auto
  --version     which version this is
  Everything after -- goes to \`hpsv3 score\`, \`batch\`, \`serve\` or \`demo\` as it is; see their --help.
`;
/** Which options each mode has, besides those of every mode. */
const MODES = {
  score: ['model', 'input', 'output', 'device'],
  batch: ['model', 'input', 'output', 'device', 'batch-size'],
  serve: ['model', 'port', 'device', 'batch-size'],
  demo: ['model', 'input', 'output', 'device'],
};
const string = { type: 'string' };

/** What the configuration beside the program says: options by their names, and the path of the model. */
async function configured() {
  const folder = [dirname(process.argv[1]), '.'].find((one) => existsSync(join(one, CONFIG)));
  if (folder === undefined) return {};
  const { parse } = await import('yaml');
  const config = parse(readFileSync(join(folder, CONFIG), 'utf8')) ?? {};
  const { model, calibrator, device, batch_size: batchSize, port } = config;
  const paths = [typeof model === 'string' || Array.isArray(model) ? model : (model?.path ?? [])].flat();
  return {
    model: paths.map((path) => join(folder, path)),
    ...(calibrator === undefined ? {} : { calibrator: join(folder, String(calibrator)) }),
    ...(device === undefined ? {} : { device: String(device) }),
    ...(batchSize === undefined ? {} : { 'batch-size': String(batchSize) }),
    ...(port === undefined ? {} : { port: String(port) }),
  };
}

/** A mode and its options as the command of hpsv3 that does it; null where help is asked for. */
async function toArgv() {
  const { values, positionals } = parseArgs({
    options: {
      mode: string,
      model: { type: 'string', multiple: true },
      input: string,
      output: string,
      out: string,
      'batch-size': string,
      device: string,
      port: string,
      version: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
    allowPositionals: true,
  });
  const { mode, help, version, out, ...options } = values;
  if (version) return ['--version'];
  if (help || process.argv.length === 2) return null;
  const known = Object.keys(MODES);
  if (!known.includes(mode)) throw new Error(`--mode must be one of ${known.join(', ')}${mode ? `, not ${mode}` : ''}`);
  const given = { ...options, ...(out === undefined ? {} : { output: out }) };
  const stray = Object.keys(given).find((name) => !MODES[mode].includes(name));
  if (stray) throw new Error(`--mode ${mode} has no --${stray}`);
  if (mode === 'demo' && given.input === undefined) return ['demo', ...positionals];
  const config = await configured();
  const settable = [...MODES[mode], 'calibrator'];
  const fallback = Object.entries(config).filter(([name]) => settable.includes(name) && !isSet(name, given));
  const all = { ...Object.fromEntries(fallback), ...given };
  if (mode === 'demo' && !isSet('model', all)) all.model = ['demo'];
  const flags = Object.entries(all).flatMap(([name, value]) => [value].flat().flatMap((one) => [`--${name}`, one]));
  return [commandOf(mode, all.input), ...flags, ...positionals];
}

const isSet = (name, given) =>
  given[name] !== undefined || Boolean(process.env[`HPSV3_${name.toUpperCase().replaceAll('-', '_')}`]);

/** Samples of the demo: one, or several in a list or a file of rows. */
function commandOf(mode, input) {
  if (mode !== 'demo') return mode;
  try {
    const sample = JSON.parse(readFileSync(input, 'utf8'));
    return Array.isArray(sample) ? 'batch' : 'score';
  } catch {
    return 'batch'; // rows, or what the command says it is not
  }
}

try {
  const argv = await toArgv();
  if (argv === null) console.log(HELP);
  else {
    process.argv.splice(2, process.argv.length, ...argv);
    const { runCli } = await import('../dist/core/cli/run.js');
    await runCli(import.meta.url);
  }
} catch (error) {
  console.error(`run_hpsv3: ${error.message}\nSee run_hpsv3 --help.`);
  process.exitCode = 2;
}
