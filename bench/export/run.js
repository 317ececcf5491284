// npm run bench -- export [--modality image] [--checkpoint base/checkpoint.pt] [--layers 16]: a checkpoint of 1.2 GB to ONNX, against the
// exporters of torch and optimum and a plain copy of the same bytes; and a decoder in bfloat16 to float32 and float16,
// against a copy of what is written. A given checkpoint needs its config.json beside it.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { atMost, benchCase, faster, ratioOf } from '../case.js';
import { makeDecoder } from '../decoder.js';
import { alternate, must } from '../measure.js';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const REFERENCE = here('../../tests/reference');
const MEMORY_MIB = 400;
const DECODER_MEMORY_MIB = 512;
const NANO_DECODER = { layers: 2, width: 256 };

export default {
  title: 'Export: PyTorch checkpoint to ONNX',
  options: {
    modality: { type: 'string', default: 'image' },
    checkpoint: { type: 'string' },
    layers: { type: 'string', default: '16' },
  },
  async *cases(context) {
    yield* peerCases(context);
    yield* decoderCases(context);
  },
};

async function* peerCases({ options, python, folder, cache, rounds, small, cli }) {
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
      '--quiet',
    ),
    reset: () => removeModel(out('ours.onnx')), // as the others: to take an old file's place is work of its own
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
  const [own, copy, floor, torch, dynamo, optimum, gated] = await alternate(
    [
      ours('off'),
      copyOf('cp of the checkpoint', () => checkpoint, out('copy.pt')),
      floorOf(out('floor.bin'), () => statSync(out('ours.onnx')).size, [checkpoint]),
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
  yield benchCase(`${modality} of a checkpoint of ${size} MiB`, own, [copy, floor, torch, dynamo, optimum, gated], {
    targets: [
      faster(own, torch, 8),
      atMost(`peak memory under ${MEMORY_MIB} MiB`, own.peakMiB, MEMORY_MIB, 'MiB'),
      atMost('within 2.5 times a plain copy of the bytes', 1 / ratioOf(own, copy), 2.5, 'x'),
    ],
    notes: [
      floorNote(floor, copy),
      `The gate's own process: ${(gate.peakRssBytes / 2 ** 20).toFixed(0)} MiB, load ${gate.loadMs.toFixed(0)} ms, runs ${gate.runMs.toFixed(0)} ms.`,
    ],
  });
}

/** bfloat16 in shards, twice the bytes in float32 and as many in float16, both as external data. */
async function* decoderCases({ options, folder, cache, rounds, small, cli }) {
  const size = small ? NANO_DECODER : { layers: Number(options.layers) };
  const checkpoint = join(cache, small ? 'nano-decoder' : `decoder-${options.layers}`);
  if (!existsSync(join(checkpoint, 'config.json'))) makeDecoder(checkpoint, size);
  const shards = readdirSync(checkpoint).filter((name) => name.endsWith('.safetensors'));
  const out = (name) => join(folder, name);
  for (const dtype of ['fp32', 'fp16']) {
    const [own, copy, floor] = await alternate(
      [
        {
          name: `hpsv3 export --dtype ${dtype}, gate off`,
          ...cli(
            ...['export', '--checkpoint', checkpoint, '--dtype', dtype, '--external-data', '--gate', 'off'],
            ...['--out', out('decoder.onnx'), '--quiet'],
          ),
          reset: () => removeModel(out('decoder.onnx')),
        },
        copyOf('cp of what is written', () => out('decoder.onnx.data'), out('copy.data')),
        floorOf(
          out('floor.bin'),
          () => statSync(out('decoder.onnx.data')).size,
          shards.map((name) => join(checkpoint, name)),
        ),
      ],
      { rounds: rounds(3) },
    );
    const mebibytes = (statSync(out('decoder.onnx.data')).size / 2 ** 20).toFixed(0);
    yield benchCase(`decoder in bfloat16 to ${mebibytes} MiB of ${dtype}`, own, [copy, floor], {
      targets: [
        atMost('within 2 times a copy of what is written', 1 / ratioOf(own, copy), 2, 'x'),
        atMost(`peak memory under ${DECODER_MEMORY_MIB} MiB`, own.peakMiB, DECODER_MEMORY_MIB, 'MiB'),
      ],
      notes: [floorNote(floor, copy)],
    });
  }
}

/** @param from - asked for when it is run: ours comes first, and may have written it */
const copyOf = (name, from, to) => ({
  name,
  command: 'cp',
  args: () => [from(), to],
  reset: () => rmSync(to, { force: true }),
});

const floorOf = (to, bytes, files) => ({
  name: 'the floor: reading, SHA-256 of both sides, writing',
  command: process.execPath,
  args: () => [here('floor.js'), to, String(bytes()), ...files],
  reset: () => rmSync(to, { force: true }),
});

const floorNote = (floor, copy) =>
  `What no export can leave out takes ${(1 / ratioOf(floor, copy)).toFixed(2)} times the copy: every byte read and every byte written is hashed.`;

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
  for (const each of [file, `${file}.data`, `${file}.report.json`]) rmSync(each, { force: true });
}
