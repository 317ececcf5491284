// node bench/quantize/rows.js MODEL ROWS SEED OUT.safetensors: seeded rows for a model, the same for all rivals.
import { basename } from 'node:path';
import { withAtomicOutput } from '../../dist/core/bytes/output.js';
import { writeSafetensors } from '../../dist/core/checkpoint/write-safetensors.js';
import { readFacts } from '../../dist/core/gate/model.js';
import { makeProbes } from '../../dist/core/gate/probes.js';
import { asTensors } from '../../dist/core/quantization/rows.js';
import { openSession } from '../../dist/core/runtime/ort.js';

const [model, rows, seed, out] = process.argv.slice(2);
const { manifest } = await readFacts(model);
const session = await openSession(model, { optimization: 'disabled' });
const probes = makeProbes(session.inputs, manifest, { rows: Number(rows), seed, file: basename(model) });
await withAtomicOutput(out, { force: true }, async (output) => {
  const sink = await output.create();
  await writeSafetensors(sink, [...asTensors(probes).values()]);
  return sink.finish();
});
