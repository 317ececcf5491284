// npm run bench -- growth [--max-rows 10000000] [--max-mib 1024]: how time and memory grow with the rows, and with the size of a model,
// and the exponent that fits. Every size is one whole process.
import { existsSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { atMost, benchCase } from '../case.js';
import { alternate, must } from '../measure.js';
import { judgedRows, makeModel } from '../rows.js';

/** What is linear, n log n where rows are sorted, and what a start-up that was taken off too low leaves. */
const LINEAR = 1.15;
const FEWEST_ROWS = 1000;
const FEWEST_MIB = 10;
/** Of each commands' largest size: a model makes a row of batch cost a thousand times what a row of others does. */
const BATCH_SHARE = 0.1;

export default {
  title: 'Growth with rows and with sizes',
  options: { 'max-rows': { type: 'string', default: '10000000' }, 'max-mib': { type: 'string', default: '1024' } },
  async *cases(context) {
    const { options, small } = context;
    yield* rowCases({ ...context, most: small ? 10 * FEWEST_ROWS : Number(options['max-rows']) });
    yield* sizeCases({ ...context, most: small ? 2 * FEWEST_MIB : Number(options['max-mib']) });
  },
};

async function* rowCases({ folder, cache, rounds, cli, most }) {
  const model = join(folder, 'text.onnx');
  const config = fileURLToPath(new URL('../batch/tiny.yaml', import.meta.url));
  await makeModel(model, { config, modality: 'text', mode: 'pair', folder, cli });
  const out = (name) => join(folder, name);
  const reference = out('reference.json');
  const verbs = {
    'calibrate --method auto': ({ labels, scores: [scores] }) =>
      cli('calibrate', '--labels', labels, '--scores', scores, '--out', out('calibrator.json'), '--force', '--quiet'),
    evaluate: ({ labels, scores: [scores] }) =>
      cli('evaluate', '--labels', labels, '--scores', scores, '--out', out('report.json'), '--force', '--quiet'),
    'data convert': ({ labels }) => cli('data', 'convert', labels, '--out', out('rows.csv'), '--force', '--quiet'),
    'drift check': ({ scores: [scores] }) =>
      cli('drift', 'check', '--reference', reference, '--scores', scores, '--out', out('drift'), '--force', '--quiet'),
    batch: ({ labels }) =>
      cli(
        ...['batch', '--model', model, '--input', labels, '--output', out('scored.jsonl')],
        ...['--batch-size', '64', '--force', '--quiet'],
      ),
  };
  const first = await judgedRows(cache, { rows: FEWEST_ROWS });
  const fit = cli('drift', 'fit', '--scores', first.scores[0], '--out', reference, '--force', '--quiet');
  await must(fit.command, fit.args);
  for (const [verb, command] of Object.entries(verbs)) {
    const sizes = timesTen(FEWEST_ROWS, verb === 'batch' ? Math.max(10 * FEWEST_ROWS, BATCH_SHARE * most) : most);
    const runs = [];
    for (const rows of sizes) {
      const files = await judgedRows(cache, { rows });
      const name = `${rows.toLocaleString('en')} rows`;
      const [run] = await alternate([{ name, ...command(files) }], { rounds: rounds(1), warmup: 0 });
      runs.push({ ...run, size: rows });
    }
    yield growthCase(`${verb}, rows`, runs);
  }
}

/** A text model whose layers make up its size; exported from a checkpoint, and quantized. */
async function* sizeCases({ folder, cache, rounds, cli, most }) {
  const exported = [];
  const quantized = [];
  for (const mebibytes of sizesTo(FEWEST_MIB, most)) {
    const source = await checkpointOf(mebibytes, join(cache, `${mebibytes}`), cli);
    const at = (name) => join(folder, `${mebibytes}`, name);
    mkdirSync(join(folder, `${mebibytes}`), { recursive: true });
    const size = Math.round(statSync(join(source, 'model.safetensors')).size / 2 ** 20);
    const [exporting] = await alternate(
      [
        {
          name: `${size} MiB`,
          ...cli(
            ...['export', '--checkpoint', join(source, 'model.safetensors'), '--modality', 'text', '--gate', 'off'],
            ...['--tokenizer', join(source, 'tokenizer.json'), '--out', at('model.onnx'), '--force', '--quiet'],
          ),
        },
      ],
      { rounds: rounds(1), warmup: 0 },
    );
    exported.push({ ...exporting, size });
    const [quantizing] = await alternate(
      [
        {
          name: `${size} MiB`,
          ...cli(
            ...['quantize', at('model.onnx'), '--scheme', 'weight-only', '--gate', 'off'],
            ...['--out', at('int8.onnx'), '--force', '--quiet'],
          ),
        },
      ],
      { rounds: rounds(1), warmup: 0 },
    );
    quantized.push({ ...quantizing, size });
    rmSync(join(folder, `${mebibytes}`), { recursive: true, force: true });
  }
  yield growthCase('export, gate off, size of the checkpoint', exported);
  yield growthCase('quantize weight-only, gate off, size of the model', quantized);
}

/** A folder with a checkpoint of some size, made once. */
async function checkpointOf(mebibytes, folder, cli) {
  const complete = join(folder, 'complete');
  if (existsSync(complete)) return folder;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'config.yaml'), modelOf(mebibytes));
  const { command, args } = cli(
    ...['init', '--config', join(folder, 'config.yaml'), '--out', join(folder, 'model.safetensors'), '--force'],
  );
  await must(command, args, { timeout: 0 });
  writeFileSync(complete, '');
  return folder;
}

/** Larger models are wider, not only deeper: of some hundred layers at most, with 12 width² weights each. */
function modelOf(mebibytes) {
  const width = mebibytes > 2048 ? 2048 : 512;
  const layers = Math.max(1, Math.round((mebibytes * 2 ** 20) / 4 / (12 * width ** 2)));
  return `model:
  name: text-growing
  hidden_dim: ${width}
  vocab_size: 512
  text_layers: ${layers}
  text_hidden: ${width}
  text_heads: 8
  text_intermediate: ${4 * width}
  text_positions: 32
  fusion_latents: 2
  fusion_layers: 1
  fusion_heads: 2
  quality_classes: 2
  dropout: 0.1
  modalities: [text]
`;
}

const timesTen = (from, to) => (from > to ? [] : [from, ...timesTen(10 * from, to)]);
const sizesTo = (from, to) => (from >= to ? [to] : [from, ...sizesTo(10 * from, to)]);

/** The largest size as ours, the smaller ones beside it. */
function growthCase(name, runs) {
  const last = runs.at(-1);
  const time = exponentOf(runs, ({ seconds }) => seconds);
  const memory = exponentOf(runs, ({ peakMiB }) => peakMiB);
  return benchCase(name, last, runs.slice(0, -1), {
    targets: [
      atMost('time grows with this power of the size', time, LINEAR),
      atMost('memory grows with this power of the size', memory, LINEAR),
    ],
    notes: runs.map(
      ({ name: size, seconds, peakMiB }) => `${size}: ${seconds.toFixed(2)} s, ${Math.round(peakMiB ?? 0)} MiB`,
    ),
  });
}

/** Slope of the logarithms beyond the smallest size, whose figure is what a process takes that does next to nothing; null for two sizes. */
export function exponentOf(runs, figure) {
  const points = runs
    .slice(1)
    .map((run) => [Math.log(run.size), Math.log(Math.max(figure(run) - figure(runs[0]), Number.MIN_VALUE))])
    .filter(([, y]) => y > Math.log(Number.MIN_VALUE) + 1);
  if (points.length < 2) return null;
  const mean = (place) => points.reduce((sum, point) => sum + point[place], 0) / points.length;
  const [meanX, meanY] = [mean(0), mean(1)];
  const above = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  return above / points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
}
