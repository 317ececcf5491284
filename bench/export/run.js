// npm run bench -- export [--modality image] [--checkpoint base/checkpoint.pt]: a checkpoint of 1.2 GB to ONNX, against the exporters of
// torch and optimum and a plain copy of the same bytes. A given checkpoint needs its config.json beside it.
import { existsSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { atMost, benchCase, faster, ratioOf } from '../case.js';
import { alternate, must } from '../measure.js';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const REFERENCE = here('../../tests/reference');
const MEMORY_MIB = 400;

export default {
  title: 'Export: PyTorch checkpoint to ONNX',
  options: { modality: { type: 'string', default: 'image' }, checkpoint: { type: 'string' } },
  async *cases({ options, python, folder, cache, rounds, small, cli }) {
    const { modality } = options;
    const checkpoint = options.checkpoint ?? (await makeCheckpoint(join(cache, small ? 'nano' : 'base'), small, cli));
    const out = (name) => join(folder, name);
    const ours = (gate) => ({
      name: `hpsv3 export, gate ${gate}`,
      ...cli(
        'export',
        '--checkpoint',
        checkpoint,
        '--modality',
        modality,
        '--out',
        out('ours.onnx'),
        '--gate',
        gate,
        '--force',
        '--quiet',
      ),
    });
    const peer = (name, script, needs, { once = false, extra = [] } = {}) =>
      python.rival({
        name,
        needs,
        once,
        args: [
          here(script),
          REFERENCE,
          checkpoint,
          join(checkpoint, '..', 'config.json'),
          modality,
          out('peer.onnx'),
          ...extra,
        ],
        reset: () => removeModel(out('peer.onnx')),
      });
    const [own, copy, torch, dynamo, optimum, gated] = await alternate(
      [
        ours('off'),
        {
          name: 'cp of the checkpoint',
          command: 'cp',
          args: [checkpoint, out('copy.pt')],
          reset: () => rmSync(out('copy.pt'), { force: true }),
        },
        peer('torch.onnx.export', 'torch_export.py', ['torch', 'onnx']),
        peer('torch.onnx.export, dynamo', 'torch_export.py', ['torch', 'onnx', 'onnxscript'], {
          once: true,
          extra: ['dynamo'],
        }),
        peer('optimum-onnx', 'optimum_export.py', ['optimum-onnx', 'torch', 'transformers', 'onnx'], { once: true }),
        { ...ours('full'), once: true },
      ],
      { rounds: rounds(3) },
    );
    const { gate } = JSON.parse(readFileSync(out('ours.onnx.report.json'), 'utf8'));
    const size = (statSync(checkpoint).size / 2 ** 20).toFixed(0);
    yield benchCase(`${modality} of a checkpoint of ${size} MiB`, own, [copy, torch, dynamo, optimum, gated], {
      targets: [
        faster(own, torch, 8),
        atMost(`peak memory under ${MEMORY_MIB} MiB`, own.peakMiB, MEMORY_MIB, 'MiB'),
        atMost('within 4 times a plain copy of the bytes', 1 / ratioOf(own, copy), 4, 'x'),
      ],
      notes: [
        `The gate's own process: ${(gate.peakRssBytes / 2 ** 20).toFixed(0)} MiB, load ${gate.loadMs.toFixed(0)} ms, runs ${gate.runMs.toFixed(0)} ms.`,
      ],
    });
  },
};

/** Seeded random weights of the base configuration, made once. */
async function makeCheckpoint(folder, small, cli) {
  const file = join(folder, 'checkpoint.pt');
  if (existsSync(file) && existsSync(join(folder, 'config.json'))) return file;
  mkdirSync(folder, { recursive: true });
  const { command, args } = cli(
    'init',
    '--config',
    here(`../../configs/hpsv3_${small ? 'nano' : 'base'}.yaml`),
    '--out',
    file,
    '--force',
  );
  await must(command, args);
  return file;
}

function removeModel(file) {
  for (const each of [file, `${file}.data`]) rmSync(each, { force: true });
}
