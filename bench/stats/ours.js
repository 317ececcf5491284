// One task on the rows of a folder, as a whole process: node bench/stats/ours.js TASK FOLDER. Prints {seconds, peakMiB, result}.
import { readFileSync } from 'node:fs';
import { prepareAuc } from '../../dist/core/stats/auc.js';
import { bootstrap } from '../../dist/core/stats/bootstrap.js';
import { spearman } from '../../dist/core/stats/correlation.js';
import { fitIsotonic } from '../../dist/core/stats/isotonic.js';

const [task, folder] = process.argv.slice(2);

function column(name) {
  const bytes = readFileSync(`${folder}/${name}.f64`);
  return new Float64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8);
}

function outcomes() {
  const positive = column('labels');
  return { positive, negative: positive.map((label) => 1 - label) };
}

const TASKS = {
  isotonic: () => fitIsotonic(column('scores'), column('labels')).x.length,
  auc: () => prepareAuc(column('scores'), outcomes())(),
  spearman: () => spearman(column('scores'), column('ratings')),
  bootstrap: () => {
    const clusters = column('clusters');
    const statistic = prepareAuc(column('scores'), outcomes());
    const of = Int32Array.from(clusters);
    const count = of.reduce((most, code) => Math.max(most, code + 1), 0);
    return bootstrap([statistic], { of, count }, { resamples: 1000, seed: 'bench' })[0].ci;
  },
};

const start = performance.now();
const result = TASKS[task]();
const seconds = (performance.now() - start) / 1000;
console.log(JSON.stringify({ seconds, peakMiB: process.resourceUsage().maxRSS / 1024, result }));
