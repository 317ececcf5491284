import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { calibrate as apply, calibratorDocument } from '../../src/core/calibration/calibrator.js';
import { makeProbes } from '../../src/core/gate/probes.js';
import { manifestOf } from '../../src/core/onnx/manifest.js';
import { openOnnx } from '../../src/core/onnx/read.js';
import { openSession } from '../../src/core/runtime/ort.js';
import { hpsv3 } from '../helpers/cli.js';
import { floats } from '../helpers/graphs.js';
import { drawItems, drawPairs, writeJudged } from '../helpers/judged.js';
import { exportFile } from '../helpers/pico.js';

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hpsv3-embed-'));
  for (const mode of ['pair', 'item'] as const) {
    await exportFile(join(folder, `${mode}.onnx`), { mode, modality: 'image' });
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const embed = (model: string, method: string, ...args: string[]) =>
  hpsv3(
    [
      ...['calibrate', '--scores', 'scores.jsonl', '--labels', 'labels.jsonl', '--resamples', '100', '--quiet'],
      ...['--method', method, '--out', `${model}.json`, '--embed', `${model}.onnx`, '--model-out', `${model}.cal.onnx`],
      ...['--gate', 'quick', '--json', ...args],
    ],
    { cwd: folder },
  );

const calibrator = (mode: string) =>
  calibratorDocument.schema.parse(JSON.parse(readFileSync(join(folder, `${mode}.json`), 'utf8')));

function readManifest(path: string) {
  const file = openOnnx(path);
  try {
    return manifestOf(file.model, path)!;
  } finally {
    file.close();
  }
}

/** What a file gives for six probes. */
async function run(name: string) {
  const path = join(folder, name);
  const session = await openSession(path, { optimization: 'all', threads: 1 });
  try {
    const { feeds } = makeProbes(session.inputs, readManifest(path), { rows: 6, seed: 'calibrated', file: name });
    return await session.run(feeds);
  } finally {
    await session.release();
  }
}

describe('hpsv3 calibrate --embed', () => {
  it.each([
    ['pair', 'isotonic', 'pair_logit', 'probability'],
    ['item', 'linear', 'utility_logit', 'human_score'],
  ] as const)(
    'adds the fitted map to a %s model by %s, and changes nothing else',
    async (mode, method, logit, added) => {
      writeJudged(
        folder,
        mode === 'pair' ? drawPairs({ prompts: 40, truth: 0.4 }) : drawItems({ prompts: 40, truth: 1 }),
      );
      const { code, stdout } = await embed(mode, method);
      const report = JSON.parse(stdout);
      expect([code, report.error]).toEqual([0, undefined]);
      expect(report).toMatchObject({ out: `${mode}.json`, model: { out: `${mode}.cal.onnx` }, gate: { passed: true } });
      expect(JSON.parse(readFileSync(join(folder, `${mode}.cal.onnx.report.json`), 'utf8'))).toEqual({
        schema: 'hpsv3/calibration@1',
        ...report,
      });
      const [before, after] = [await run(`${mode}.onnx`), await run(`${mode}.cal.onnx`)];
      expect(floats(after, logit)).toEqual(floats(before, logit));
      const fitted = calibrator(mode);
      const expected = Array.from(floats(after, logit), (x) => apply(fitted, x).value);
      expect(floats(after, added)).toBeAllClose(expected, { atol: 1e-5 });
      const manifest = readManifest(join(folder, `${mode}.cal.onnx`));
      expect(manifest.calibrator).toMatchObject({ method, n: report.n, clusters: 40, dataSha256: fitted.dataSha256 });
      expect(manifest.lineage.at(-1)).toMatchObject({ step: 'calibrate' });
      expect(fitted.modelSha256).toMatch(/^[0-9a-f]{64}$/);
    },
  );

  it('refuses a calibrator of items for a pair model, and leaves no calibrator file behind', async () => {
    writeJudged(folder, drawItems({ prompts: 40, truth: 1 }));
    const text = readFileSync(join(folder, 'pair.json'), 'utf8');
    const { code, stdout } = await embed('pair', 'linear', '--force');
    expect([code, JSON.parse(stdout).error.code]).toEqual([2, 'MODELS_INCOMPARABLE']);
    expect(readFileSync(join(folder, 'pair.json'), 'utf8')).toBe(text);
  });

  it('refuses a model that is calibrated already', async () => {
    writeJudged(folder, drawPairs({ prompts: 40, truth: 0.4 }));
    const { code, stdout } = await embed('pair.cal', 'platt');
    expect([code, JSON.parse(stdout).error.code]).toEqual([2, 'MODELS_INCOMPARABLE']);
  });
});
