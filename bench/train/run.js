// npm run bench -- train [--threads 2] [--pairs 4] [--steps 20]: time of a training step (forward, backward, clipping, AdamW) against PyTorch,
// the same model, losses and batch.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { atMost, benchCase, memoryShare, ratioOf } from '../case.js';
import { alternate, lastJson, must } from '../measure.js';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const REFERENCE = here('../../tests/reference');
const configs = (name) => here(`../../configs/hpsv3_${name}.yaml`);

/** `most`: how many times PyTorch's step a step of ours may take. */
const MODELS = [
  { name: 'nano text', config: configs('nano'), modality: 'text', most: 1 },
  { name: 'nano image', config: configs('nano'), modality: 'image', most: 1.5 },
  { name: 'mini text', config: configs('mini'), modality: 'text', most: 1 },
  { name: 'mini image', config: configs('mini'), modality: 'image', most: 1.5 },
  { name: 'transformer, 4 layers of 256', config: here('transformer.yaml'), modality: 'text', most: 1 },
  { name: 'ResNet-18 size', config: here('resnet18.yaml'), modality: 'image', most: 1.5 },
];

export default {
  title: 'Training steps',
  options: {
    threads: { type: 'string', default: '2' },
    pairs: { type: 'string', default: '4' },
    steps: { type: 'string', default: '20' },
  },
  async *cases({ options, python, folder, rounds, small, cli }) {
    const [pairs, steps] = small ? [2, 3] : [options.pairs, options.steps];
    for (const { name, config, modality, most } of MODELS.filter(({ config }) => existsSync(config))) {
      const checkpoint = join(folder, 'checkpoint.safetensors');
      const init = cli('init', '--config', config, '--out', checkpoint, '--force');
      await must(init.command, init.args);
      const read = (output) => ({ seconds: lastJson(output).seconds });
      const sizes = [modality, pairs, steps, options.threads].map(String);
      const [ours, torch] = await alternate(
        [
          { name: 'hpsv3', command: process.execPath, args: [here('ours.js'), checkpoint, ...sizes], read },
          python.rival({
            name: 'PyTorch',
            needs: ['torch', 'safetensors'],
            args: [here('theirs.py'), REFERENCE, checkpoint, join(folder, 'config.json'), ...sizes],
            read,
          }),
        ],
        { rounds: rounds(3), warmup: 0 },
      );
      const times = torch.absent ? null : 1 / ratioOf(ours, torch);
      yield benchCase(`${name}, ${2 * pairs} items, ${options.threads} threads`, ours, [torch], {
        targets: [
          atMost(`a step takes at most ${most} times PyTorch's`, times, most, 'x'),
          atMost("peak memory at most PyTorch's", memoryShare(ours, torch), 1, 'x'),
        ],
      });
    }
  },
};
