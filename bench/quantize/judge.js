// node bench/quantize/judge.js FLOAT ROWS.safetensors FILE...: flips, signal to noise and latency of quantized files, as one JSON.
// The rows are none that ranges were calibrated on; files run in turn, so that a drift of the machine meets all.
import { basename } from 'node:path';
import { openCheckpoint } from '../../dist/core/checkpoint/open.js';
import { compareDecisions, scoresOf } from '../../dist/core/gate/decisions.js';
import { readProbes } from '../../dist/core/gate/golden.js';
import { readFacts } from '../../dist/core/gate/model.js';
import { batchFeeds, range, rowRunner } from '../../dist/core/gate/rows.js';
import { rowBatches } from '../../dist/core/quantization/rows.js';
import { openSession } from '../../dist/core/runtime/ort.js';
import { floatsOf } from '../../dist/core/runtime/value.js';

const [float, rows, ...files] = process.argv.slice(2);
const ROUNDS = 15;
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

const sessions = [];
for (const file of [float, ...files])
  sessions.push(await openSession(file, { config: (await readFacts(file)).manifest?.session }));
const given = await openCheckpoint(rows, {});
const heldOut = await readProbes(given.tensors, { file: basename(rows), manifest: null, inputs: sessions[0].inputs });
given.close();

const outputs = [];
for (const session of sessions) outputs.push(await rowRunner(session, heldOut)([...rowBatches(session, heldOut)]));
const one = batchFeeds(heldOut, range(1));
const times = sessions.map(() => []);
for (let round = -2; round < ROUNDS; round++) {
  for (const [i, session] of sessions.entries()) {
    const started = performance.now();
    await session.run(one);
    if (round >= 0) times[i].push(performance.now() - started);
  }
}

/** 20 log10(|x| / |x - y|) over the widest output, the embedding where there is one. */
function signalToNoise(expected, actual) {
  const [name] = [...expected].sort(([, a], [, b]) => b.data.length - a.data.length)[0];
  const [x, y] = [floatsOf(expected.get(name)), floatsOf(actual.get(name))];
  let [signal, noise] = [0, 0];
  for (let i = 0; i < x.length; i++) {
    signal += x[i] ** 2;
    noise += (x[i] - y[i]) ** 2;
  }
  return 10 * Math.log10(signal / noise);
}

const results = files.map((file, i) => {
  const diff = compareDecisions(scoresOf(outputs[0]), scoresOf(outputs[i + 1]));
  return {
    file: basename(file),
    flipRate: diff.flipRate,
    kendall: diff.kendall,
    maxLogitDiff: diff.maxScoreDiff,
    sqnr: signalToNoise(outputs[0], outputs[i + 1]),
    ms: median(times[i + 1]),
    speed: median(times[0]) / median(times[i + 1]),
  };
});
process.stdout.write(`${JSON.stringify({ floatMs: median(times[0]), results })}\n`);
