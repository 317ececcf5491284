// npm run bench -- startup: how long the program takes to answer, against a Node that does nothing.
import { atMost, benchCase, ratioOf } from '../case.js';
import { alternate } from '../measure.js';

/** What is asked most, by people and scripts, must not be felt. Commands are told, not held to it: they load the framework. */
const CASES = [
  { args: ['--version'], within: 2.5 },
  { args: ['--help'], within: 2.5 },
  { args: ['export', '--help'] },
  { args: ['doctor'] },
];

export default {
  title: 'Start-up',
  async *cases({ rounds, small, cli }) {
    for (const { args, within } of CASES) {
      const [ours, node] = await alternate(
        [
          { name: `hpsv3 ${args.join(' ')}`, ...cli(...args) },
          { name: 'node -e 0', command: process.execPath, args: ['-e', '0'] },
        ],
        { rounds: rounds(15), warmup: small ? 0 : 2 },
      );
      const times = 1 / ratioOf(ours, node);
      const targets = within ? [atMost('time of a bare node', times, within, 'x')] : [];
      yield benchCase(`hpsv3 ${args.join(' ')}`, ours, [node], { targets });
    }
  },
};
