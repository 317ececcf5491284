// npm run bench -- figures [--rows 1000000]: calibrating and evaluating very many rows, and weighing ten scorers, as whole commands.
import { join } from 'node:path';
import { atMost, benchCase } from '../case.js';
import { alternate } from '../measure.js';
import { judgedRows } from '../rows.js';

const SCORERS = 10;

export default {
  title: 'Calibrating, evaluating and combining',
  options: { rows: { type: 'string', default: '1000000' }, 'ensemble-rows': { type: 'string', default: '100000' } },
  async *cases({ options, folder, cache, rounds, small, cli }) {
    const rows = small ? 2000 : Number(options.rows);
    const { labels, scores } = await judgedRows(cache, { rows });
    const given = ['--labels', labels, '--scores', scores[0], '--force', '--quiet'];
    const measure = async (name, args) => {
      const [ours] = await alternate([{ name, ...cli(...args) }], { rounds: rounds(3), warmup: 0 });
      return ours;
    };
    const shown = rows.toLocaleString('en');
    const calibrated = await measure('hpsv3 calibrate --method auto', [
      ...['calibrate', '--method', 'auto', '--out', join(folder, 'calibrator.json')],
      ...given,
    ]);
    yield benchCase(
      `a calibrator with its band, ${shown} pairs of 5 votes`,
      calibrated,
      [],
      within(calibrated, 20, 400),
    );
    const evaluated = await measure('hpsv3 evaluate --by source', [
      ...['evaluate', '--by', 'source', '--out', join(folder, 'report.json')],
      ...given,
    ]);
    yield benchCase(`figures of all rows and of 7 groups, ${shown} pairs`, evaluated, [], within(evaluated, 30, 500));
    const fewer = small ? 2000 : Number(options['ensemble-rows']);
    const members = await judgedRows(cache, { rows: fewer, votes: 3, scorers: SCORERS });
    const combined = await measure('hpsv3 ensemble --fit', [
      ...[
        'ensemble',
        '--fit',
        '--labels',
        members.labels,
        '--out',
        join(folder, 'ensemble.json'),
        '--force',
        '--quiet',
      ],
      ...members.scores.flatMap((file, k) => ['--scores', `m${k}=${file}`]),
    ]);
    yield benchCase(
      `weights of ${SCORERS} scorers, ${fewer.toLocaleString('en')} pairs`,
      combined,
      [],
      within(combined, 10),
    );
  },
};

const within = (ours, seconds, mebibytes) => ({
  targets: [
    atMost(`at most ${seconds} s`, ours.seconds, seconds, 's'),
    ...(mebibytes ? [atMost(`at most ${mebibytes} MiB`, ours.peakMiB, mebibytes, 'MiB')] : []),
  ],
});
