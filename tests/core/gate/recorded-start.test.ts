import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { assertRecorded } from '../../../src/core/gate/recorded-start.js';
import { exportModel } from '../../../src/core/lifecycle/export/export.js';
import { serve } from '../../../src/core/lifecycle/serve/serve.js';
import { verifyModels } from '../../../src/core/lifecycle/verify/verify.js';
import { tinyCheckpoint } from '../../helpers/scoring.js';
import { sharedFolder, tempFolder } from '../../helpers/temp.js';

let model: string;
let samples: string;
const folder = sharedFolder();
beforeAll(async () => {
  [model, samples] = [join(folder, 'model.onnx'), join(folder, 'samples.json')];
  const checkpoint = await tinyCheckpoint(folder);
  const { record } = await exportModel({
    checkpoint,
    out: model,
    modality: 'text',
    mode: 'pair',
    gate: 'off',
    record: samples,
  });
  expect(record).toBe('samples.json');
});

interface Changeable {
  readonly scores: number[];
  readonly model: { sha256: string };
}

const changed = (change: (document: Changeable) => void) => (): string => {
  const document = JSON.parse(readFileSync(samples, 'utf8'));
  change(document);
  const path = join(tempFolder(), 'changed.json');
  writeFileSync(path, JSON.stringify(document));
  return path;
};

describe('scores recorded at export', () => {
  it('hold where nothing changed, for verify and for a server', async () => {
    expect(await verifyModels({ model, recorded: samples })).toMatchObject({ passed: true, reference: 'recorded' });
    await expect(assertRecorded([model], [samples], { threads: 1 })).resolves.toBeUndefined();
  });

  it('are not replaced unless told to', async () => {
    const again = exportModel({ checkpoint: 'none', out: `${model}.2`, record: samples });
    await expect(again).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' });
  });

  it.each([
    [
      'a score moved',
      changed(({ scores }) => scores.splice(0, 1, scores[0] + 0.01)),
      'GATE_FAILED',
      /difference is 0\.0/,
    ],
    ['a winner changed', changed(({ scores }) => scores.splice(0, 1, -scores[0])), 'GATE_FAILED', /flip/],
    [
      'they are of another model',
      changed(({ model }) => Object.assign(model, { sha256: '0'.repeat(64) })),
      'MODELS_INCOMPARABLE',
      /none of these/,
    ],
    ['the file is none', changed(({ scores }) => scores.pop()), 'CONFIG_INVALID', /must be one a row/],
  ])('nothing is served where %s', async (_, recorded, code, message) => {
    const served = serve({
      ...{ models: [{ name: 'm', file: model }], recorded: [recorded()], host: '127.0.0.1', port: 0 },
      ...{ logLevel: 'error' as const, drainDelay: 0, mediaRoot: null, workers: 1 },
    });
    await expect(served).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it('need a device that is named', async () => {
    const served = serve({
      ...{ models: [{ name: 'm', file: model }], recorded: [samples], device: 'auto', host: '127.0.0.1', port: 0 },
      ...{ logLevel: 'error' as const, drainDelay: 0, mediaRoot: null, workers: 1 },
    });
    await expect(served).rejects.toMatchObject({ code: 'USAGE' });
  });
});
