// Writes rows to measure on, as columns of float64: node bench/stats/rows.js FOLDER ROWS. A process of its own: on Linux a child's peak
// memory starts at that of its parent.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Random } from '../../dist/core/bytes/random.js';

const CLUSTER_ROWS = 4;

/** Normal scores, labels that follow them, and ratings of one decimal, so that one side of the correlation has ties. */
function writeRows(folder, rows) {
  const random = new Random('bench/stats');
  const columns = { scores: 0, labels: 0, ratings: 0, clusters: 0 };
  for (const name of Object.keys(columns)) columns[name] = new Float64Array(rows);
  for (let i = 0; i < rows; i++) {
    const score = random.normal();
    columns.scores[i] = score;
    columns.labels[i] = random.uniform() < 1 / (1 + Math.exp(-score)) ? 1 : 0;
    columns.ratings[i] = Math.round(10 * (score + random.normal())) / 10;
    columns.clusters[i] = Math.floor(i / CLUSTER_ROWS);
  }
  for (const [name, values] of Object.entries(columns)) writeFileSync(join(folder, `${name}.f64`), values);
}

writeRows(process.argv[2], Number(process.argv[3]));
