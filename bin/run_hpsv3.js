#!/usr/bin/env node
// run_hpsv3 --mode score|batch|serve|demo: the same program under the words of the original scripts.
import './floor.js';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
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
  --mode        score: one pair or item; batch: all rows of a JSONL, CSV or Parquet file; serve: over HTTP; demo: of a
                release, its samples, held to their recorded scores; else score --input, with the bundled model if no other
                is named; without --input the whole way on bundled models
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

const PROGRAM = fileURLToPath(import.meta.url);

/** What the configuration of a release, beside the program or here says: arguments by the name of their option. */
async function configured(command, release, configuredArguments) {
  const folder = [release ?? dirname(process.argv[1]), '.'].find((one) => existsSync(join(one, CONFIG)));
  if (folder === undefined) return new Map();
  const manifest = fileURLToPath(new URL('../oclif.manifest.json', import.meta.url));
  return configuredArguments(join(folder, CONFIG), command, manifest);
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
  const { configuredArguments, isRelease, releaseFolder } = await import('../dist/core/cli/release-arguments.js');
  const release = releaseFolder(PROGRAM);
  if (release !== null) process.env.HPSV3_DATA_DIR ??= join(release, 'lib'); // where plugins of the user would be: it has none
  if (mode === 'demo' && given.model === undefined && given.output === undefined) {
    const samples = release ?? (given.input === undefined ? undefined : dirname(given.input));
    if (samples !== undefined && isRelease(samples))
      return ['release', 'demo', samples, ...toFlags(given), ...positionals];
  }
  if (mode === 'demo' && given.input === undefined) return ['demo', ...positionals];
  const command = commandOf(mode, given.input);
  const config = await configured(command, release, configuredArguments);
  const replaced = (name) => isSet(name, given) || (name === 'calibrator' && isSet('model', given)); // it is of the model there
  const fallback = [...config].filter(([name]) => !replaced(name)).flatMap(([, args]) => args);
  const bundled = mode === 'demo' && !isSet('model', given) && !config.has('model') ? ['--model', 'demo'] : [];
  return [command, ...fallback, ...bundled, ...toFlags(given), ...positionals];
}

const toFlags = (given) =>
  Object.entries(given).flatMap(([name, value]) => [value].flat().flatMap((one) => [`--${name}`, one]));

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
  console.error(`run_hpsv3: ${error.message}\n${error.hint ?? 'See run_hpsv3 --help.'}`);
  process.exitCode = 2;
}
