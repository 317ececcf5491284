import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { withAtomicOutput } from '../../../../src/core/bytes/output.js';
import { openCheckpoint } from '../../../../src/core/checkpoint/open.js';
import { writeSafetensors } from '../../../../src/core/checkpoint/write-safetensors.js';
import { trainModel } from '../../../../src/core/lifecycle/train/train.js';
import { readTensor, tensorFromBytes } from '../../../../src/core/tensor/tensor.js';
import { breaches } from '../../../helpers/schema.js';
import { tempFolder } from '../../../helpers/temp.js';
import { tinyRun } from '../../../helpers/training.js';

type Progress = Record<string, unknown>;

/** Replaces the progress in a saved state. @returns what it was */
async function changeProgress(folder: string, change: (progress: Progress) => Progress): Promise<Progress> {
  const path = join(folder, 'state.safetensors');
  copyFileSync(path, `${path}.old`);
  const checkpoint = await openCheckpoint(`${path}.old`);
  try {
    const progress = JSON.parse(Buffer.from(await readTensor(checkpoint.tensors.get('progress')!)).toString());
    const bytes = Buffer.from(JSON.stringify(change(progress)));
    const changed = tensorFromBytes({ name: 'progress', dtype: 'U8', shape: [bytes.byteLength] }, bytes);
    await withAtomicOutput(path, { force: true }, async (output) => {
      const sink = await output.create();
      await writeSafetensors(
        sink,
        [...checkpoint.tensors.values()].map((t) => (t.name === 'progress' ? changed : t)),
      );
      await sink.finish();
    });
    return progress;
  } finally {
    checkpoint.close();
  }
}

describe('the state of a training run', () => {
  it('says what its published schema says, and bounds what it is read from', async () => {
    const options = tinyRun(tempFolder(), { steps: 4 });
    await trainModel(options);
    const progress = await changeProgress(options.out, (was) => ({ ...was, pairsPerRun: -1 }));
    expect(breaches('hpsv3/training-state@1', progress)).toEqual([]);
    await expect(trainModel({ ...options, resume: true })).rejects.toMatchObject({
      code: 'CHECKPOINT_CORRUPT',
      message: expect.stringMatching(/^state\.safetensors: not the state of a training run: pairsPerRun: /),
    });
    await changeProgress(options.out, () => ({ ...progress, schema: 'hpsv3/training-state@9' }));
    await expect(trainModel({ ...options, resume: true })).rejects.toMatchObject({ code: 'MADE_BY_NEWER' });
  });
});
