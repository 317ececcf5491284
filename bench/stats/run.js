// npm run bench -- stats [--rows 10000000]: statistics against scikit-learn, scipy and netcal, each task a whole process on the same rows.
// Wall time counts starting up, imports and reading the rows.
import { fileURLToPath } from 'node:url';
import { atMost, benchCase, faster, memoryShare } from '../case.js';
import { alternate, lastJson, must } from '../measure.js';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const BOOTSTRAP_ROWS = 100_000;
/** theirs.py runs 10 of 1000 resamples; a resample costs the same each time. */
const BOOTSTRAP_SCALE = 100;
/** Their Platt fits need minutes for more. */
const PLATT_ROWS = 1_000_000;

const SKLEARN = { name: 'scikit-learn', needs: ['scikit-learn', 'numpy'] };
/** One round: most of its time is its imports. */
const NETCAL = { name: 'netcal', needs: ['netcal', 'numpy'], once: true };
const TASKS = [
  { task: 'isotonic', name: 'isotonic regression', peers: [SKLEARN], times: 2 },
  { task: 'auc', name: 'AUC', peers: [SKLEARN], times: 2 },
  { task: 'spearman', name: 'Spearman', peers: [{ name: 'scipy', needs: ['scipy', 'numpy'] }], times: 2 },
  { task: 'ece', name: 'ECE, 15 bins', peers: [NETCAL] },
  { task: 'platt', name: 'Platt', rows: PLATT_ROWS, peers: [SKLEARN, NETCAL] },
  {
    task: 'bootstrap',
    name: 'cluster bootstrap of AUC, 1000 resamples',
    rows: BOOTSTRAP_ROWS,
    peers: [{ ...SKLEARN, name: 'scikit-learn in a loop (10 resamples, scaled)' }],
    times: 20,
  },
];

export default {
  title: 'Statistics on millions of rows',
  options: { rows: { type: 'string', default: '10000000' } },
  async *cases({ options, python, folder, rounds, small }) {
    for (const { task, name, rows: fixed, peers, times } of TASKS) {
      const rows = Math.min(fixed ?? Infinity, small ? 200_000 : Number(options.rows));
      await must(process.execPath, [here('rows.js'), folder, String(rows)]);
      const [ours, ...theirs] = await alternate(
        [
          { name: 'hpsv3', command: process.execPath, args: [here('ours.js'), task, folder] },
          ...peers.map((peer) =>
            python.rival({ ...peer, args: [here('theirs.py'), task, peer.needs[0], folder], read: scaled(task) }),
          ),
        ],
        { rounds: rounds(3), warmup: 0 },
      );
      const targets = times
        ? theirs.flatMap((peer) => [
            faster(ours, peer, times),
            atMost(`peak memory below that of ${peer.name}`, memoryShare(ours, peer), 1, 'x'),
          ])
        : [];
      yield benchCase(`${name}, ${rows.toLocaleString('en')} rows`, ours, theirs, { targets });
    }
  },
};

/** What their loop takes for all resamples; other tasks count as they are, by wall time. */
const scaled = (task) => (output) => {
  if (task !== 'bootstrap') return {};
  const { totalSeconds, resampleSeconds } = lastJson(output);
  return { seconds: totalSeconds + (BOOTSTRAP_SCALE - 1) * resampleSeconds };
};
