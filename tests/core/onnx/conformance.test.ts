import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkModel } from '../../../src/core/onnx/check.js';
import { opsetOf } from '../../../src/core/onnx/model.js';
import { checkOpset } from '../../../src/core/onnx/opset.js';
import { readModelBytes } from '../../../src/core/onnx/read.js';
import { modelBytes } from '../../../src/core/onnx/write.js';
import { hasShared, SHARED } from '../../helpers/shared.js';
import { temporaryFolder } from './tiny.js';

/** ONNX's own node tests, real small models and PyTorch exports, opset 1 to 15: the test data of libonnx (MIT). */
describe.skipIf(!hasShared)('the models of libonnx', () => {
  it('come back byte for byte, pass the checks, and are valid at their own opset', async () => {
    const folder = temporaryFolder();
    execFileSync('tar', ['xzf', join(SHARED, 'onnx-conformance/libonnx-testdata.tgz'), '-C', folder]);
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.onnx'));
    expect(files.length).toBeGreaterThan(1000);
    const changed: string[] = [];
    const refused = new Map<string, string>();
    for (const file of files) {
      const original = readFileSync(join(folder, file));
      const model = readModelBytes(original, file);
      if (!original.equals(await modelBytes(model))) changed.push(file);
      const [violation] = checkOpset(model, opsetOf(model) ?? 1);
      if (violation) refused.set(file, violation.reason);
      try {
        checkModel(model, file);
      } catch (error) {
        refused.set(file, (error as Error).message);
      }
    }
    expect(changed).toEqual([]);
    // The only ones refused are those with training operators.
    expect([...refused.values()].filter((reason) => !reason.includes('ai.onnx.preview.training.'))).toEqual([]);
    expect(refused.size).toBe(9);
  });
});
