#!/usr/bin/env node
// run_hpsv3 --mode score|batch|serve|demo: the same program under the words of the original scripts.
import './floor.js';
import { parseArgs } from 'node:util';

const HELP = `Score with a released HPSv3 model.

USAGE
  run_hpsv3 --mode score --model MODEL.onnx --input sample.json --output result.json
  run_hpsv3 --mode batch --model MODEL.onnx --input data.jsonl --output results.jsonl --batch-size 64 --device cuda:0
  run_hpsv3 --mode serve --model MODEL.onnx --port 8080 --device cuda:0
  run_hpsv3 --mode demo

OPTIONS
  --mode        score: one pair or item; batch: all rows of a JSONL, CSV or Parquet file; serve: over HTTP; demo: try it on a model made up here
  --model       the .onnx file that \`hpsv3 export\` wrote (or HPSV3_MODEL in the environment)
  --input       what to score
  --output      file for the result
  --batch-size  samples computed at a time (batch and serve)
  --port        where to listen (serve only)
  --device      cpu, cuda, cuda:1, webgpu, or auto
  Everything after -- goes to \`hpsv3 score\`, \`batch\`, \`serve\` or \`demo\` as it is; see their --help.
`;
/** Which options each mode has, besides those of every mode. */
const MODES = {
  score: ['model', 'input', 'output', 'device'],
  batch: ['model', 'input', 'output', 'device', 'batch-size'],
  serve: ['model', 'port', 'device', 'batch-size'],
  demo: [],
};
const string = { type: 'string' };

function toArgv() {
  const { values, positionals } = parseArgs({
    options: {
      mode: string,
      model: string,
      input: string,
      output: string,
      'batch-size': string,
      device: string,
      port: string,
      help: { type: 'boolean', short: 'h' },
    },
    allowPositionals: true,
  });
  const { mode, help, ...given } = values;
  if (help || process.argv.length === 2) return null;
  const known = Object.keys(MODES);
  if (!known.includes(mode)) throw new Error(`--mode must be one of ${known.join(', ')}${mode ? `, not ${mode}` : ''}`);
  const stray = Object.keys(given).find((name) => !MODES[mode].includes(name));
  if (stray) throw new Error(`--mode ${mode} has no --${stray}`);
  return [mode, ...Object.entries(given).flatMap(([name, value]) => [`--${name}`, value]), ...positionals];
}

try {
  const argv = toArgv();
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
