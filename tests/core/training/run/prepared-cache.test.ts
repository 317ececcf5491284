import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ContractInput } from '../../../../src/core/onnx/manifest.js';
import type { TrainingItem } from '../../../../src/core/training/run/dataset.js';
import { labelSources, readTrainingData } from '../../../../src/core/training/run/labelled-data.js';
import { cacheFile, readPrepared, writePrepared } from '../../../../src/core/training/run/prepared-cache.js';
import { writeRows, writeTone } from '../../../helpers/scoring.js';
import { tempFolder } from '../../../helpers/temp.js';

const items = new Map<string, TrainingItem>([
  ['image:1', { packed: new Map([['pixels', new Uint8Array([1, 2, 255])]]), tokens: 0, samples: 0 }],
  [
    'audio:2|text:x',
    {
      packed: new Map<string, Int16Array | Uint32Array | Float32Array>([
        ['audio', new Int16Array([-5, 7])],
        ['ids', new Uint32Array([2, 70000, 3])],
        ['embedding', new Float32Array([0.5])],
      ]),
      tokens: 3,
      samples: 2,
    },
  ],
]);

describe('a file of prepared items', () => {
  it('gives back what was put in', async () => {
    const path = join(tempFolder(), 'made/on/the/way.safetensors');
    await writePrepared(path, items);
    expect(await readPrepared(path)).toEqual(items);
  });

  it('is as good as none where it is damaged or another file', async () => {
    const folder = tempFolder();
    const path = join(folder, 'cache.safetensors');
    expect(await readPrepared(path)).toEqual(new Map());
    await writePrepared(path, items);
    writeFileSync(path, readFileSync(path).subarray(0, 200));
    expect(await readPrepared(path)).toEqual(new Map());
    writeFileSync(path, 'no tensors');
    expect(await readPrepared(path)).toEqual(new Map());
  });

  it('has another name for other labels and for another contract', () => {
    const one = cacheFile({ folder: 'f', contractSha256: 'a', labels: ['x'] });
    expect(cacheFile({ folder: 'f', contractSha256: 'b', labels: ['x'] })).not.toBe(one);
    expect(cacheFile({ folder: 'f', contractSha256: 'a', labels: ['y'] })).not.toBe(one);
  });
});

const AUDIO: ContractInput = {
  name: 'audio',
  dtype: 'float32',
  shape: [1, 'samples'],
  preprocess: { kind: 'audio', sampleRate: 16_000, mono: true, minSamples: 400, maxSamples: 4000, range: [-1, 1] },
};

describe('training data with a cache', () => {
  it('take what is in it, and prepare anew what has changed since', async () => {
    const folder = tempFolder();
    for (const [i, name] of ['a.wav', 'b.wav'].entries())
      writeTone(folder, name, { hertz: 300 + 100 * i, samples: 1600 });
    const row = { id: '1', type: 'pair', left: 'a.wav', right: 'b.wav', labels: [1], modality: 'audio' };
    const labels = writeRows(folder, 'labels.jsonl', [row]);
    const cache = join(folder, 'cache');
    const read = async () => {
      const { modalities } = await readTrainingData({
        sources: labelSources(labels),
        contracts: new Map([['audio', { inputs: [AUDIO], tokenizer: null }]]),
        balance: 'none',
        scoreRange: [-1, 1],
        classes: { quality: 2 },
        cache,
      });
      return modalities[0].items.map(({ packed }) => packed.get('audio')!);
    };
    const first = await read();
    const [file] = readdirSync(cache);
    const kept = await readPrepared(join(cache, file));
    expect(kept.size).toBe(2);
    expect([...kept.values()].map(({ packed }) => packed.get('audio'))).toEqual(expect.arrayContaining(first));
    // What is kept is made another, so that it can be told from what is prepared.
    for (const { packed } of kept.values()) packed.get('audio')!.fill(7);
    await writePrepared(join(cache, file), kept);
    writeTone(folder, 'b.wav', { hertz: 500, samples: 1200 });
    const [left, right] = await read();
    expect(new Set(left)).toEqual(new Set([7]));
    expect(right).toHaveLength(1200);
    expect((await readPrepared(join(cache, file))).size).toBe(2);
  });
});
