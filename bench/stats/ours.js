// One task on the rows of a folder, as a whole process: node bench/stats/ours.js TASK FOLDER. Prints the result.
import { readFileSync } from 'node:fs';
import { platt } from '../../dist/core/calibration/methods/platt.js';
import { prepareAuc } from '../../dist/core/stats/auc.js';
import { bootstrap } from '../../dist/core/stats/bootstrap.js';
import { prepareEce } from '../../dist/core/stats/calibration-error.js';
import { spearman } from '../../dist/core/stats/correlation.js';
import { fitIsotonic, knotIndices } from '../../dist/core/stats/isotonic.js';
import { sigmoid } from '../../dist/core/stats/logistic.js';

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
  isotonic: () => knotIndices(fitIsotonic(column('scores'), column('labels'))).length,
  auc: () => prepareAuc(column('scores'), outcomes())(),
  spearman: () => spearman(column('scores'), column('ratings')),
  ece: () => prepareEce(column('scores').map(sigmoid), outcomes())(),
  platt: () => platt.fit({ logits: column('scores'), outcomes: outcomes() }, { symmetric: false }),
  bootstrap: async () => {
    const clusters = column('clusters');
    const statistic = prepareAuc(column('scores'), outcomes());
    const of = Int32Array.from(clusters);
    const count = of.reduce((most, code) => Math.max(most, code + 1), 0);
    const [{ ci }] = await bootstrap([statistic], { of, count }, { resamples: 1000, seed: 'bench' });
    return ci;
  },
};

console.log(JSON.stringify(await TASKS[task]()));
