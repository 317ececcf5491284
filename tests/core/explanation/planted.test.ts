import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/core/bytes/random.js';
import { hitRate, PLANTED } from '../../helpers/planted.js';
import { tempFolder } from '../../helpers/temp.js';

// All of 100 cases are in planted.slow.test.ts.
describe.each(Object.entries(PLANTED))('a model that looks at one %s alone', (name, make) => {
  it.each(['ig', 'input-x-gradient', 'occlusion'] as const)('%s finds it', async (method) => {
    const random = new Random(`planted:${name}`);
    const planted = await make(join(tempFolder(), 'planted.onnx'), random);
    expect(await hitRate(planted, method, 1, random)).toBe(1);
  });
});
