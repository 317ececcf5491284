// hpsv3 export against torch.onnx.export of the same modality and a plain copy of the same bytes, whole processes in turn.
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { compare, printTable, runOnce } from '../measure.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const USAGE = `npm run bench -- export --checkpoint base/checkpoint.pt [--modality image] [--python python3] [--rounds 5]

The checkpoint needs its config.json beside it (hpsv3 init --config configs/hpsv3_base.yaml --out base/checkpoint.pt makes one).
The peer needs a Python with torch; without one it is reported as absent.`;

const { values } = parseArgs({
  args: process.argv.slice(2),
  options: {
    checkpoint: { type: 'string' },
    modality: { type: 'string', default: 'image' },
    python: { type: 'string', default: process.env.PYTHON ?? 'python3' },
    rounds: { type: 'string', default: '5' },
  },
});
if (!values.checkpoint || !existsSync(values.checkpoint)) {
  console.error(USAGE);
  process.exit(2);
}

const folder = mkdtempSync(join(tmpdir(), 'hpsv3-bench-'));
const out = (name) => join(folder, name);
const fresh = (name) => () => rmSync(out(name), { force: true });
const config = join(values.checkpoint, '..', 'config.json');
const hpsv3 = (gate) => [
  join(root, 'bin/run.js'),
  'export',
  '--checkpoint',
  values.checkpoint,
  '--modality',
  values.modality,
  '--out',
  out('ours.onnx'),
  '--gate',
  gate,
  '--force',
  '--quiet',
];

try {
  const hasTorch = (await runOnce(values.python, ['-c', 'import torch']).catch(() => ({ code: 1 }))).code === 0;
  const rivals = [
    { name: 'hpsv3 export, gate off', command: process.execPath, args: hpsv3('off') },
    { name: 'cp of the checkpoint', command: 'cp', args: [values.checkpoint, out('copy.pt')], reset: fresh('copy.pt') },
    ...(hasTorch
      ? [
          {
            name: 'torch.onnx.export',
            command: values.python,
            args: [
              fileURLToPath(new URL('torch_export.py', import.meta.url)),
              join(root, 'tests/reference'),
              values.checkpoint,
              config,
              values.modality,
              out('torch.onnx'),
            ],
            reset: fresh('torch.onnx'),
          },
        ]
      : []),
  ];
  const rows = await compare(rivals, { rounds: Number(values.rounds) });
  if (!hasTorch) console.log(`torch.onnx.export: absent (${values.python} has no torch)`);
  const size = (statSync(values.checkpoint).size / 2 ** 20).toFixed(0);
  printTable(`export ${values.modality} of a ${size} MiB checkpoint (median wall time, largest peak)`, rows);
  const [ours, copy, torch] = rows;
  console.log(
    `\n  ours / copy ${(ours.seconds / copy.seconds).toFixed(2)}${torch ? `, torch / ours ${(torch.seconds / ours.seconds).toFixed(1)}` : ''}`,
  );

  const gated = await compare([{ name: 'hpsv3 export, gate full', command: process.execPath, args: hpsv3('full') }], {
    rounds: 1,
    warmup: 0,
  });
  const { gate } = JSON.parse(readFileSync(out('ours.onnx.report.json'), 'utf8'));
  printTable('with the gate (its process is weighed apart)', gated);
  console.log(
    `  the gate's own process: ${(gate.peakRssBytes / 2 ** 20).toFixed(0)} MiB, load ${gate.loadMs.toFixed(0)} ms, runs ${gate.runMs.toFixed(0)} ms`,
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
