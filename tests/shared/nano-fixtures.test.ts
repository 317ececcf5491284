import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../src/core/checkpoint/open.js';
import { readTensor } from '../../src/core/tensor/tensor.js';
import { exportFile } from '../helpers/pico.js';
import { hasShared } from '../helpers/shared.js';
import { tempFolder } from '../helpers/temp.js';
import { failedKinds, NANO, NANO_FILES, NANO_KINDS } from './nano-cases.js';

const WHOLE = 'checkpoint.safetensors';
/** Between them they have every tower. The slow form of this test exports every file for every modality and mode. */
const SOME = NANO_KINDS.filter(([modality, mode]) => mode === 'pair' && modality?.includes('-'));

/** Names, types, shapes and bytes of all tensors. */
async function tensorsOf(name: string): Promise<Record<string, unknown>> {
  const checkpoint = await openCheckpoint(join(NANO, name));
  try {
    const all = [...checkpoint.tensors.values()].map(async (tensor) => {
      const { dtype, shape } = tensor;
      return [tensor.name, { dtype, shape, bytes: Buffer.from(await readTensor(tensor)).toString('base64') }] as const;
    });
    return Object.fromEntries(await Promise.all(all));
  } finally {
    checkpoint.close();
  }
}

describe.skipIf(!hasShared)('a nano checkpoint of PyTorch', () => {
  it('exports for every modality and mode within 1e-4 of the golden outputs', async () => {
    expect(await failedKinds(WHOLE, 1e-4, NANO_KINDS)).toEqual([]);
  });

  it.each(['checkpoint.pt', 'checkpoint-legacy.pth', 'checkpoint-wrapped.ckpt'])(
    '%s holds the same tensors to the byte',
    async (name) => {
      expect(await tensorsOf(name)).toEqual(await tensorsOf(WHOLE));
    },
  );

  it.each(NANO_FILES.filter(([, atol]) => atol > 1e-4))('%s exports within %d of them', async (name, atol) => {
    expect(await failedKinds(name, atol, SOME)).toEqual([]);
  });

  it('is not compared with a file that holds no golden outputs', async () => {
    const options = { checkpoint: join(NANO, 'checkpoint.pt'), golden: join(NANO, WHOLE) };
    await expect(exportFile(join(tempFolder(), 'x.onnx'), { ...options, gate: 'quick' })).rejects.toMatchObject({
      code: 'TENSOR_NOT_FOUND',
    });
  });
});
