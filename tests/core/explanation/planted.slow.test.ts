import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/core/bytes/random.js';
import { hitRate, PLANTED } from '../../helpers/planted.js';
import { tempFolder } from '../../helpers/temp.js';

const MODELS = 10;
const CASES = 10;
/** Methods that claim to say where; the first three must. */
const METHODS = ['ig', 'input-x-gradient', 'occlusion', 'gradient', 'smoothgrad'] as const;
const MUST = 3;

describe.each(Object.entries(PLANTED))('100 random cases of models that look at one %s alone', (name, make) => {
  it.each(METHODS.map((method, i) => [method, i < MUST] as const))(
    '%s finds it',
    async (method, must) => {
      const folder = tempFolder();
      let rate = 0;
      for (let model = 0; model < MODELS; model++) {
        const random = new Random(`planted:${name}:${model}`);
        const planted = await make(join(folder, `${model}.onnx`), random);
        rate += (await hitRate(planted, method, CASES, random)) / MODELS;
      }
      process.stderr.write(`${name} ${method}: ${(100 * rate).toFixed(0)} %\n`);
      if (must) expect(rate).toBeGreaterThanOrEqual(0.95);
    },
    900_000,
  );
});
