import { describe, expect, it } from 'vitest';
import { hasShared } from '../helpers/shared.js';
import { failedKinds, NANO_FILES, NANO_KINDS } from './nano-cases.js';

describe.skipIf(!hasShared)('a nano checkpoint of PyTorch', () => {
  it.each(NANO_FILES)('%s exports for every modality and mode within %d of the golden outputs', async (name, atol) => {
    expect(await failedKinds(name, atol, NANO_KINDS)).toEqual([]);
  });
});
