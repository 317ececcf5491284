// Speed and peak memory of statistics against scikit-learn and scipy, each task a whole process on the same rows:
//   PYTHON=python3 npm run bench -- stats [ROWS]       (a Python with numpy, scipy and scikit-learn; reported as absent without)
// 10 million rows for isotonic regression, AUC and Spearman; 1000 resamples of 100,000 rows in clusters of 4 for the bootstrap, of
// which the Python loop runs 10 and is scaled. Wall time counts starting up, imports and reading the rows.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROWS = Number(process.argv[2] ?? 10_000_000);
const BOOTSTRAP_ROWS = 100_000;
/** theirs.py runs 10 of 1000 resamples. */
const BOOTSTRAP_SCALE = 100;

function timed(command, args) {
  const start = performance.now();
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args[0]} failed: ${stderr}`);
  return { wallSeconds: (performance.now() - start) / 1000, ...JSON.parse(stdout) };
}

const PYTHON = process.env.PYTHON ?? 'python3';
const hasPeer = spawnSync(PYTHON, ['-c', 'import numpy, scipy, sklearn']).status === 0;

const here = (name) => fileURLToPath(new URL(name, import.meta.url));

const writeRows = (folder, rows) => spawnSync(process.execPath, [here('rows.js'), folder, rows], { stdio: 'inherit' });

function compare(task, folder, scale = 1) {
  const ours = timed(process.execPath, [here('ours.js'), task, folder]);
  const own = { task, 'ours s': ours.wallSeconds.toFixed(2), 'ours MiB': Math.round(ours.peakMiB) };
  if (!hasPeer) return { ...own, 'theirs s': 'absent', ours: JSON.stringify(ours.result) };
  const theirs = timed(PYTHON, [here('theirs.py'), task, folder]);
  const theirWall = theirs.wallSeconds + (scale - 1) * theirs.seconds;
  return {
    ...own,
    'theirs s': theirWall.toFixed(2) + (scale > 1 ? ' (scaled)' : ''),
    ratio: (theirWall / ours.wallSeconds).toFixed(1),
    'theirs MiB': Math.round(theirs.peakMiB),
    ours: JSON.stringify(ours.result),
    theirs: JSON.stringify(theirs.result),
  };
}

const folder = mkdtempSync(join(tmpdir(), 'bench-stats-'));
try {
  writeRows(folder, ROWS);
  const table = ['isotonic', 'auc', 'spearman'].map((task) => compare(task, folder));
  writeRows(folder, BOOTSTRAP_ROWS);
  table.push(compare('bootstrap', folder, BOOTSTRAP_SCALE));
  console.table(table);
} finally {
  rmSync(folder, { recursive: true });
}
