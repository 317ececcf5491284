import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { Mode } from '../../../../src/core/onnx/manifest.js';
import { manifestOf } from '../../../../src/core/onnx/manifest.js';
import { openOnnx } from '../../../../src/core/onnx/read.js';
import { headKeys } from '../../../../src/core/training/graph/forward.js';
import { openForward } from '../../../../src/core/training/graph/onnx-forward.js';
import { exportFile, PICO } from '../../../helpers/pico.js';
import { tempFolder } from '../../../helpers/temp.js';

const golden = (name: string): string => fileURLToPath(new URL(`../../../golden/${name}`, import.meta.url));

async function opened(checkpoint: string, mode: Mode) {
  const path = join(tempFolder(), 'model.onnx');
  await exportFile(path, { checkpoint, mode });
  const { model, close } = openOnnx(path);
  try {
    return openForward(model, manifestOf(model, path)!, path).forward;
  } finally {
    close();
  }
}

describe('a released model taken apart for training', () => {
  it.each(['item', 'pair'] as const)('has as its head what lies after the embedding, in mode %s', async (mode) => {
    const bert = await opened(golden('encoders/bert'), mode);
    expect(bert.head).toBeNull();
    expect([...headKeys(bert)].sort()).toEqual([
      'bert.pooler.dense.bias',
      'bert.pooler.dense.weight',
      'classifier.bias',
      'classifier.weight',
    ]);
    const speech = await opened(golden('families/utmos22'), mode);
    expect([...headKeys(speech)].sort()).toEqual(['projection.2.bias', 'projection.2.weight']);
    const pico = [...headKeys(await opened(PICO.checkpoint, mode))];
    expect(pico.length).toBeGreaterThan(0);
    expect(pico.every((key) => key.startsWith('head.'))).toBe(true);
  });

  it('decides pairs by a head of two where it has one', async () => {
    expect((await opened(PICO.checkpoint, 'pair')).head).not.toBeNull();
  });
});
