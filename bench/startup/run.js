// npm run bench -- startup: how long the program takes to answer, against a Node that does nothing.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { atMost, benchCase, ratioOf } from '../case.js';
import { alternate } from '../measure.js';
import { makeModel } from '../rows.js';

/** What is asked most, by people and scripts, must not be felt. Commands are told, not held to it: they load the framework. */
const CASES = [
  { args: ['--version'], within: 2.5 },
  { args: ['--help'], within: 2.5 },
  { args: ['export', '--help'] },
  { args: ['doctor'] },
];

export default {
  title: 'Start-up',
  async *cases({ folder, cache, rounds, small, cli }) {
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
    const model = join(cache, 'text.onnx');
    if (!existsSync(model)) {
      const config = fileURLToPath(new URL('text.yaml', import.meta.url));
      await makeModel(model, { config, modality: 'text', mode: 'item', folder, cli });
    }
    const load = fileURLToPath(new URL('load.js', import.meta.url));
    const [ours, bare] = await alternate(
      [
        { name: 'hpsv3 score', ...cli('score', '--model', model, '--item', 'A vibrant sunrise.', '--quiet') },
        { name: 'node that loads the session alone', command: process.execPath, args: [load, model] },
      ],
      { rounds: rounds(15), warmup: small ? 0 : 2 },
    );
    yield benchCase('hpsv3 score of one text, a model of 5 MB', ours, [bare], {
      targets: [atMost("time of a bare node and the session's own load", 1 / ratioOf(ours, bare), 2.5, 'x')],
    });
  },
};
