import { expect, it } from 'vitest';
import { chooseArchitecture } from '../../../src/core/architectures/registry.js';
import type { Checkpoint } from '../../../src/core/checkpoint/checkpoint.js';

it('says that the weights are in other files before it says that it does not know them', () => {
  const names = ['layers.0.weight', 'layers.0.bias'];
  const tensors = new Map(names.map((name) => [name, { name, dtype: 'F32', shape: [0] }]));
  expect(() => chooseArchitecture({ tensors } as unknown as Checkpoint, undefined)).toThrow(
    expect.objectContaining({ code: 'CHECKPOINT_UNSUPPORTED', hint: expect.stringContaining('zero_to_fp32.py') }),
  );
});
