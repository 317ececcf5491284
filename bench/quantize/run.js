// hpsv3 quantize against onnxruntime.quantization (PyPI): the same float model and rows, whole processes in turn, then both
// results judged on held-out rows in one process.
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { compare, printTable, runOnce } from '../measure.js';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const USAGE = `npm run bench -- quantize --model float.onnx [--python python3] [--rows 32] [--rounds 3] [--cases static:minmax,static:entropy,dynamic:minmax]

Needs a Python with onnx and onnxruntime. The gate is off in what is timed: the peer has none.`;

const { values } = parseArgs({
  args: process.argv.slice(2),
  options: {
    model: { type: 'string' },
    python: { type: 'string', default: 'python3' },
    rows: { type: 'string', default: '32' },
    rounds: { type: 'string', default: '3' },
    cases: { type: 'string', default: 'static:minmax,static:entropy,dynamic:minmax' },
  },
});
if (!values.model || !existsSync(values.model)) {
  console.error(USAGE);
  process.exit(2);
}

const folder = mkdtempSync(join(tmpdir(), 'hpsv3-bench-'));
const out = (name) => join(folder, name);

async function must(command, args) {
  const result = await runOnce(command, args);
  if (result.code !== 0) throw new Error(`${args[0]} ended with ${result.code}:\n${result.output.slice(-2000)}`);
  return result.output;
}

try {
  const rows = out('rows.safetensors');
  await must(process.execPath, [here('rows.js'), values.model, values.rows, rows]);
  for (const each of values.cases.split(',')) {
    const [scheme, calibrator] = each.split(':');
    const [ours, theirs] = [out(`ours-${scheme}-${calibrator}.onnx`), out(`theirs-${scheme}-${calibrator}.onnx`)];
    const quantize = [here('../../bin/run.js'), 'quantize', values.model, '--out', ours, '--scheme', scheme];
    const measured = await compare(
      [
        {
          name: 'hpsv3 quantize',
          command: process.execPath,
          args: [...quantize, '--calibrator', calibrator, '--inputs', rows, '--gate', 'off', '--force', '--quiet'],
        },
        {
          name: 'onnxruntime.quantization',
          command: values.python,
          args: [here('theirs.py'), values.model, rows, scheme, calibrator, theirs],
        },
      ],
      { rounds: Number(values.rounds), warmup: 0 },
    );
    printTable(`${scheme} ${calibrator} of ${(statSync(values.model).size / 2 ** 20).toFixed(0)} MiB`, measured);
    const judged = await must(process.execPath, [here('judge.js'), values.model, rows, ours, theirs]);
    const { floatMs, results } = JSON.parse(judged.trim().split('\n').at(-1));
    console.log(`  float ${floatMs.toFixed(2)} ms a run`);
    for (const { file, flipRate, kendall, maxLogitDiff, sqnr, ms, speed } of results) {
      const figures = [
        `flips ${(100 * flipRate).toFixed(2)} %`,
        `Kendall ${kendall?.toFixed(4)}`,
        `logit ${maxLogitDiff.toPrecision(3)}`,
        `SQNR ${sqnr.toFixed(1)} dB`,
        `${ms.toFixed(2)} ms (${speed.toFixed(2)} x float)`,
      ];
      console.log(`  ${file.padEnd(28)} ${figures.join(', ')}, ${(statSync(out(file)).size / 2 ** 20).toFixed(1)} MiB`);
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
