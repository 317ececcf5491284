// Measures what docs/drift.md states of `hpsv3 drift`: false alarms where nothing has changed, power where something has, and the
// monitors. Build first. The same seed gives the same figures.
//
//   node scripts/drift-study.js null DATA [--windows 1000] [--sizes 50,200,1000,5000] [--sets NAME/SCORER,…] [--dump FOLDER]
//   node scripts/drift-study.js power DATA [--windows 200] [--sizes 200,1000]
//   node scripts/drift-study.js monitors [--streams 1000] [--labels 2000]
//
// DATA has a folder a set with labels.jsonl and scores/SCORER.jsonl. Windows and references are drawn from a file by cluster, with
// replacement. --dump writes what was drawn, for scripts/drift-peers.py.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Random } from '../dist/core/bytes/random.js';
import { cellOf } from '../dist/core/drift/betting.js';
import { compareSamples } from '../dist/core/drift/compare.js';
import { CHECK_SETTINGS } from '../dist/core/drift/options.js';

const { positionals, values: options } = parseArgs({
  allowPositionals: true,
  options: {
    windows: { type: 'string' },
    sizes: { type: 'string' },
    sets: { type: 'string' },
    dump: { type: 'string' },
    seed: { type: 'string', default: '0' },
    streams: { type: 'string', default: '1000' },
    labels: { type: 'string', default: '2000' },
  },
});
const [study, data] = positionals;
const ALPHA = 0.05;

/** Lines of a JSONL file. */
const linesOf = (path) =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

/** Logits of each cluster of a score file. */
function clustersOf(set, scorer) {
  const prompts = new Map(linesOf(join(data, set, 'labels.jsonl')).map(({ id, prompt_id }) => [id, prompt_id ?? id]));
  const clusters = new Map();
  for (const { id, logit } of linesOf(join(data, set, 'scores', `${scorer}.jsonl`))) {
    const prompt = prompts.get(id) ?? id;
    clusters.set(prompt, [...(clusters.get(prompt) ?? []), logit]);
  }
  return [...clusters.values()];
}

function allSets() {
  const names = options.sets?.split(',') ?? [];
  if (names.length > 0) return names.map((name) => name.split('/'));
  return readdirSync(data, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) => {
      const folder = join(data, name, 'scores');
      try {
        return readdirSync(folder)
          .sort()
          .map((file) => [name, file.replace(/\.jsonl$/, '')]);
      } catch {
        return [];
      }
    });
}

/** Clusters drawn with replacement, until there are `rows` rows: the last one is cut. */
function drawRows(clusters, random, rows) {
  const values = [];
  const cluster = [];
  let count = 0;
  for (; values.length < rows; count++) {
    for (const value of clusters[random.integer(0, clusters.length)]) {
      if (values.length === rows) break;
      values.push(value);
      cluster.push(count);
    }
  }
  return { values, cluster, count };
}

/** As many clusters as the file has. */
function drawClusters(clusters, random) {
  const drawn = Array.from({ length: clusters.length }, () => clusters[random.integer(0, clusters.length)]);
  return { values: drawn.flat(), cluster: drawn.flatMap((rows, i) => rows.map(() => i)), count: clusters.length };
}

const sampleOf = ({ values, cluster, count }) => ({
  rows: values.length,
  clusters: count,
  cluster: Int32Array.from(cluster),
  features: new Map([['logit', { type: 'number', sides: 1, values: Float64Array.from(values) }]]),
});

/** 999 deals, and 199 for the largest windows, as for a check of that size. */
const settingsFor = (rows) => ({ ...CHECK_SETTINGS, permutations: rows > 1000 ? 199 : 999 });

/** PSI in ten bins of the reference's deciles, as it is usually computed. */
function psi(reference, window) {
  const sorted = Float64Array.from(reference).sort();
  const edges = Float64Array.from({ length: 9 }, (_, i) => sorted[Math.floor(((i + 1) * sorted.length) / 10)]);
  const shares = (values) => {
    const counts = new Array(10).fill(0);
    for (const value of values) counts[cellOf(edges, value)]++;
    return counts.map((count) => Math.max(count / values.length, 1e-4));
  };
  const [before, after] = [shares(reference), shares(window)];
  return before.reduce((sum, share, i) => sum + (after[i] - share) * Math.log(after[i] / share), 0);
}

/** Largest number of alarms in `trials` that a rate of alpha allows, at 99 %. */
function binomialBound(trials, alpha, level = 0.99) {
  let chance = (1 - alpha) ** trials;
  let sum = chance;
  let k = 0;
  while (sum < level) {
    k++;
    chance *= ((trials - k + 1) / k) * (alpha / (1 - alpha));
    sum += chance;
  }
  return k;
}

function studyNull() {
  const windows = Number(options.windows ?? 1000);
  const sizes = (options.sizes ?? '50,200,1000,5000').split(',').map(Number);
  const bound = binomialBound(windows, ALPHA);
  console.log(`${windows} windows; at most ${bound} alarms are within the bound of ${ALPHA}`);
  const totals = new Map(sizes.map((size) => [size, { alarms: 0, byP: 0, psi: 0, worst: 0, over: 0, files: 0 }]));
  for (const [set, scorer] of allSets()) {
    const clusters = clustersOf(set, scorer);
    const cells = [];
    for (const size of sizes) {
      const random = new Random(`${options.seed}/null/${set}/${scorer}/${size}`);
      const settings = settingsFor(size);
      const started = performance.now();
      let [alarms, byP, byPsi] = [0, 0, 0];
      const dumped = [];
      for (let i = 0; i < windows; i++) {
        const [reference, window] = [drawClusters(clusters, random), drawRows(clusters, random, size)];
        const { features } = compareSamples(sampleOf(reference), sampleOf(window), { ...settings, seed: i });
        if (features.some(({ moved }) => moved)) alarms++;
        if (features.some(({ holm }) => holm <= ALPHA)) byP++;
        if (psi(reference.values, window.values) > 0.1) byPsi++;
        if (options.dump) dumped.push(reference.values, window.values);
      }
      const seconds = (performance.now() - started) / 1000;
      if (options.dump) dump(`${set}.${scorer}.${size}`, dumped);
      cells.push(`${size}: ${alarms} (p alone ${byP}, PSI ${byPsi}) ${seconds.toFixed(0)} s`);
      const total = totals.get(size);
      total.alarms += alarms;
      total.byP += byP;
      total.psi += byPsi;
      total.worst = Math.max(total.worst, alarms);
      total.over += alarms > bound ? 1 : 0;
      total.files++;
    }
    console.log(`${set}/${scorer}  ${cells.join('  ')}`);
  }
  console.log(
    '\n| rows | alarms of ours | most in one file | by p alone | PSI > 0.1 |\n| --- | --- | --- | --- | --- |',
  );
  for (const [size, { alarms, byP, psi: byPsi, worst, files }] of totals) {
    const rate = (count) => `${((100 * count) / (files * windows)).toFixed(1)} %`;
    console.log(`| ${size} | ${rate(alarms)} | ${worst} of ${windows} | ${rate(byP)} | ${rate(byPsi)} |`);
  }
}

/** Columns of float64 after a line of JSON with their lengths. */
function dump(name, columns) {
  mkdirSync(options.dump, { recursive: true });
  writeFileSync(join(options.dump, `${name}.json`), JSON.stringify(columns.map(({ length }) => length)));
  writeFileSync(join(options.dump, `${name}.f64`), Float64Array.from(columns.flat()));
}

const STUDIES = { null: studyNull };
if (!STUDIES[study]) throw new Error(`node scripts/drift-study.js ${Object.keys(STUDIES).join('|')}`);
STUDIES[study]();
