// Measures what docs/drift.md states of `hpsv3 drift`: false alarms where nothing has changed, power where something has, and the
// monitors. Build first. The same seed gives the same figures.
//
//   node scripts/drift-study.js null DATA [--windows 1000] [--sizes 50,200,1000,5000] [--sets NAME/SCORER,…] [--whole] [--dump FOLDER]
//   node scripts/drift-study.js power DATA [--windows 200] [--sizes 200,1000]
//   node scripts/drift-study.js monitors [--streams 1000] [--labels 2000]
//
// DATA has a folder a set with labels.jsonl and scores/SCORER.jsonl. Windows and references are drawn from a file by cluster, with
// replacement. --dump writes what was drawn, for scripts/drift-peers.py.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Random } from '../dist/core/bytes/random.js';
import { CalibrationBet, cellOf, RankBet } from '../dist/core/drift/betting.js';
import { compareSamples } from '../dist/core/drift/compare.js';
import { monitorsOf } from '../dist/core/drift/monitors.js';
import { CHECK_SETTINGS } from '../dist/core/drift/options.js';

const { positionals, values: options } = parseArgs({
  allowPositionals: true,
  options: {
    windows: { type: 'string' },
    sizes: { type: 'string' },
    sets: { type: 'string' },
    dump: { type: 'string' },
    seed: { type: 'string', default: '0' },
    whole: { type: 'boolean', default: false },
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

/** Clusters drawn with replacement, until there are `rows` rows: the last one is cut, unless --whole is given. */
function drawRows(clusters, random, rows) {
  const values = [];
  const cluster = [];
  let count = 0;
  for (; values.length < rows; count++) {
    for (const value of clusters[random.integer(0, clusters.length)]) {
      if (values.length === rows && !options.whole) break;
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

const SHIFTS = [0.1, 0.3, 0.5];

/** How often a shift of all scores is found, by its size in standard deviations: as drift, and by p alone. */
function studyPower() {
  const windows = Number(options.windows ?? 200);
  const sizes = (options.sizes ?? '50,200,1000').split(',').map(Number);
  console.log(`| set | rows | ${SHIFTS.map((shift) => `${shift} sd: drift (p alone)`).join(' | ')} |`);
  console.log(`| --- | --- | ${SHIFTS.map(() => '---').join(' | ')} |`);
  for (const [set, scorer] of allSets()) {
    const clusters = clustersOf(set, scorer);
    const all = clusters.flat();
    const mean = all.reduce((sum, value) => sum + value, 0) / all.length;
    const sd = Math.sqrt(all.reduce((sum, value) => sum + (value - mean) ** 2, 0) / all.length);
    for (const size of sizes) {
      const cells = SHIFTS.map((shift) => {
        const random = new Random(`${options.seed}/power/${set}/${scorer}/${size}/${shift}`);
        let [found, byP] = [0, 0];
        for (let i = 0; i < windows; i++) {
          const [reference, window] = [drawClusters(clusters, random), drawRows(clusters, random, size)];
          const shifted = { ...window, values: window.values.map((value) => value + shift * sd) };
          const settings = { ...settingsFor(size), permutations: 199, seed: i };
          const { features } = compareSamples(sampleOf(reference), sampleOf(shifted), settings);
          if (features.some(({ moved }) => moved)) found++;
          if (features.some(({ holm }) => holm <= ALPHA)) byP++;
        }
        const rate = (count) => `${((100 * count) / windows).toFixed(0)} %`;
        return `${rate(found)} (${rate(byP)})`;
      });
      console.log(`| ${set}/${scorer} | ${size} | ${cells.join(' | ')} |`);
    }
  }
}

/** When evidence first reaches 1 / alpha, in rows; null where it never does. */
function firstAlarm(steps, take, logE) {
  for (let i = 0; i < steps; i++) {
    take(i);
    if (logE() >= Math.log(1 / ALPHA)) return i + 1;
  }
  return null;
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? null;
const told = (found, streams) =>
  `${found.length} of ${streams} (${((100 * found.length) / streams).toFixed(1)} %)${found.length > 0 ? `, median after ${median(found)}` : ''}`;

/** Monitors with a look after every label, and a z test repeated as often. */
function studyMonitors() {
  const streams = Number(options.streams);
  const labels = Number(options.labels);
  const bound = binomialBound(streams, ALPHA);
  console.log(`${streams} streams of ${labels}; at most ${bound} alarms are within the bound of ${ALPHA}`);
  for (const over of [0, 0.04, 0.08]) {
    const random = new Random(`${options.seed}/monitors/${over}`);
    const [ours, repeated] = [[], []];
    for (let stream = 0; stream < streams; stream++) {
      const rows = Array.from({ length: labels }, () => {
        const probability = random.uniform(0.05, 0.95);
        // Over-confident: the winner is right less often than said.
        const truth = probability - over * Math.sign(probability - 0.5);
        return { probability, label: random.uniform() < truth ? 1 : 0 };
      });
      const bet = new CalibrationBet();
      const at = firstAlarm(
        labels,
        (i) => bet.take([rows[i]]),
        () => bet.logE,
      );
      if (at !== null) ours.push(at);
      let [sum, variance] = [0, 0];
      const looked = rows.findIndex(({ probability, label }, i) => {
        sum += Math.sign(probability - 0.5) * (label - probability);
        variance += probability * (1 - probability);
        return i >= 9 && Math.abs(sum) > 1.96 * Math.sqrt(variance);
      });
      if (looked >= 0) repeated.push(looked + 1);
    }
    console.log(
      `over-confident by ${over}: monitor ${told(ours, streams)}; repeated z test ${told(repeated, streams)}`,
    );
  }
  for (const reference of [200, 2000]) {
    for (const [shift, from] of [
      [0, 0],
      [0.3, 0],
      [0.3, 1000],
      [0.5, 0],
    ]) {
      const random = new Random(`${options.seed}/monitors/scores/${reference}/${shift}/${from}`);
      const found = [];
      for (let stream = 0; stream < streams; stream++) {
        const values = Array.from({ length: reference }, () => random.normal());
        const sample = sampleOf({ values, cluster: values.map((_, i) => i), count: reference });
        const [monitor] = monitorsOf(sample, null);
        const bet = new RankBet(Float64Array.from(monitor.knots), monitor.counts, monitor);
        const take = (i) => bet.take(random.normal() + (i >= from ? shift : 0), random.uniform());
        const at = firstAlarm(labels, take, () => bet.logE);
        if (at !== null) found.push(at);
      }
      console.log(
        `scores, ${reference} in the reference, shifted by ${shift} sd from row ${from}: ${told(found, streams)}`,
      );
    }
  }
}

const STUDIES = { null: studyNull, power: studyPower, monitors: studyMonitors };
if (!STUDIES[study]) throw new Error(`node scripts/drift-study.js ${Object.keys(STUDIES).join('|')}`);
STUDIES[study]();
