import { join } from 'node:path';
import { expect, it } from 'vitest';
import { PROJECT } from '../../../helpers/cli.js';
import { sharedFolder } from '../../../helpers/temp.js';
import { DTYPES, modelsOf, oneProcessor, scored, writeSamples } from './thread-cases.js';

const folder = sharedFolder();
const processor = oneProcessor();
const checkpoint = `${PROJECT}checkpoints/hpsv3-mini-a/model.safetensors`;

it.each(DTYPES)(
  'gives trained %s models the bytes of one thread at 2, 3 and 8, and on one processor',
  async (dtype) => {
    const input = await writeSamples(folder, 40);
    const models = await modelsOf(folder, checkpoint, dtype);
    const out = join(folder, `${dtype}.jsonl`);
    const one = await scored(models, input, { out, threads: 1 });
    const others = [2, 3, 8, ...(processor === null ? [] : [{ tiedTo: processor }])];
    for (const threads of others) expect(await scored(models, input, { out, threads }), `${threads}`).toBe(one);
  },
);
