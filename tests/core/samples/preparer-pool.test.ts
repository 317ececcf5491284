import { beforeAll, describe, expect, it } from 'vitest';
import { openPreparer, type Preparer, type PreparerOptions } from '../../../src/core/media/preparer.js';
import { parseDevice } from '../../../src/core/runtime/device.js';
import { openPreparerPool } from '../../../src/core/samples/preparer-pool.js';
import { openScoringModel } from '../../../src/core/scoring/model.js';
import { tinyModel } from '../../helpers/scoring.js';
import { sharedFolder } from '../../helpers/temp.js';

const folder = sharedFolder();
const WINDOWING = { window: 60, stride: 60, unit: 'tokens' } as const;
let options: PreparerOptions;
beforeAll(async () => {
  const model = await openScoringModel(await tinyModel(folder, 'text', 'item'), { device: parseDevice('cpu') });
  options = { inputs: model.contract.inputs, tokenizer: model.tokenizer };
  await model.close();
}, 60_000);

async function windowsOf(preparer: Preparer, text: string) {
  const windows = [];
  try {
    for await (const { span, inputs } of preparer.windows({ text }, WINDOWING)) {
      windows.push([span, Array.from(inputs.values(), ({ data }) => Array.from(data as BigInt64Array, Number))]);
    }
  } finally {
    await preparer.close();
  }
  return windows;
}

describe('openPreparerPool', () => {
  it('cuts a long text in another thread, to the same windows', async () => {
    const text = Array.from({ length: 4000 }, (_, i) => `Sentence ${i} of a long text.`).join(' ');
    let turns = 0;
    const turning = setInterval(() => turns++);
    const cut = await windowsOf(await openPreparerPool(options), text);
    clearInterval(turning);
    expect(turns).toBeGreaterThan(0);
    expect(cut.length).toBeGreaterThan(1000);
    expect(cut).toEqual(await windowsOf(await openPreparer(options), text));
  });

  it('tells of a text with too many windows as this thread does', async () => {
    const text = 'A sentence of some words that fill a window nearly. '.repeat(25_000);
    await expect(windowsOf(await openPreparerPool(options), text)).rejects.toMatchObject({
      code: 'MEDIA_INVALID',
      message: expect.stringContaining('windows'),
    });
  });

  it('leaves a text within its cutting, which is one step, and cuts others after it', async () => {
    const text = 'A sentence of some words. '.repeat(15_000);
    const pool = await openPreparerPool(options);
    const leaves = new AbortController();
    const first = pool.windows({ text }, WINDOWING, leaves.signal).next();
    leaves.abort(new Error('enough'));
    await expect(first).rejects.toThrow('enough');
    expect((await windowsOf(pool, text.slice(0, 200_000))).length).toBeGreaterThan(100);
  });
});
