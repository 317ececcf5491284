// npm run bench -- explain [--nodes 64]: integrated gradients of one picture, ours from the ONNX file and captum's from the PyTorch
// model, the same nodes and two threads.
import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { atMost, benchCase, faster, memoryShare } from '../case.js';
import { alternate, lastJson, must } from '../measure.js';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const MODELS = [
  { name: 'ResNet-50 size', make: 'resnet50', seconds: 15 },
  { name: 'ViT-B/32 size', make: 'vit-b-32', seconds: 10 },
];
/** Resident memory that a run may take, in MiB. */
const MOST_MIB = 4096;
/** Largest difference of the sum of attributions from captum's, relative to it. */
const SAME_SUM = 1e-3;

export default {
  title: 'Explaining by integrated gradients',
  options: { nodes: { type: 'string', default: '64' } },
  async *cases({ options, python, cache, rounds, small }) {
    const nodes = small ? '8' : options.nodes;
    for (const { name, make, seconds } of MODELS) {
      const file = join(cache, `explain-${make}-seed0.onnx`);
      if (!existsSync(file)) {
        if (!python.versions.torchvision) {
          console.log(`\n  ${name}: absent (needs what bench/setup.sh installs)`);
          continue;
        }
        await must(python.command, [here('models.py'), make, `${file}.part`]);
        renameSync(`${file}.part`, file);
      }
      const [ours, theirs] = await alternate(
        [
          { name: 'hpsv3 explain', command: process.execPath, args: [here('ours.js'), file, nodes], read: lastJson },
          python.rival({
            name: 'captum',
            needs: ['captum', 'torchvision'],
            args: [here('theirs.py'), make, nodes],
            read: lastJson,
          }),
        ],
        { rounds: rounds(3), warmup: 0 },
      );
      yield benchCase(`${name}, ${nodes} nodes`, ours, [theirs], {
        targets: [
          atMost(`at most ${seconds} s on two cores`, small ? null : ours.seconds, seconds, 's'),
          atMost(`at most ${MOST_MIB} MiB`, ours.peakMiB, MOST_MIB, 'MiB'),
          faster(ours, theirs, 1),
          atMost('memory of captum, as a share', memoryShare(ours, theirs), 1),
          atMost('difference of sums, relative', theirs.absent ? null : differenceOf(ours.last, theirs.last), SAME_SUM),
        ],
      });
    }
  },
};

const differenceOf = (ours, theirs) => Math.abs(ours.sum - theirs.sum) / Math.abs(theirs.sum);
