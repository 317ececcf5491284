import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Architecture } from '../../../src/core/architectures/architecture.js';
import { type FamilySource, loadFamily } from '../../../src/core/architectures/family-file.js';
import { ARCHITECTURES } from '../../../src/core/architectures/registry.js';
import { HpsError } from '../../../src/core/errors.js';
import { exportFile } from '../../helpers/pico.js';
import { tempFolder } from '../../helpers/temp.js';

const scoreHead = ARCHITECTURES.find(({ id }) => id === 'score-head')!;
const mine: Architecture = { ...scoreHead, id: 'mine' };

const written = (text: string) => (): string => {
  const path = join(tempFolder(), 'my family.mjs');
  writeFileSync(path, text);
  return path;
};

describe('loadFamily', () => {
  it('takes an architecture, or several', async () => {
    expect((await loadFamily([mine, { ...mine, id: 'other' }])).map(({ id }) => id)).toEqual(['mine', 'other']);
  });

  it.each<[string, FamilySource | (() => string), string]>([
    ['that is not there', '/nowhere/my-family.js', 'FILE_NOT_FOUND'],
    ['at an address', 'https://example.org/my-family.js', 'FILE_NOT_FOUND'],
    ['that is a folder', () => tempFolder(), 'FILE_NOT_FOUND'],
    ['that does not parse', written('export default {'), 'FAMILY_INVALID'],
    ['that throws', written('throw new Error("no")'), 'FAMILY_INVALID'],
    ['that throws what is no error', written('throw null'), 'FAMILY_INVALID'],
    ['that imports a package that is not there', written('import "hpsv4"'), 'FAMILY_INVALID'],
    ['that imports a file that is not there', written('import "./parts.js"'), 'FAMILY_INVALID'],
    ['without a default export', written('export const family = {}'), 'FAMILY_INVALID'],
    ['that exports nothing', written('export default []'), 'FAMILY_INVALID'],
    ['that exports null', written('export default null'), 'FAMILY_INVALID'],
    ['that exports a part', written('export default {id: "mine", label: "mine"}'), 'FAMILY_INVALID'],
    ['with an odd id', { ...mine, id: '../mine' }, 'FAMILY_INVALID'],
    ['with the id of one of ours', { ...mine, id: 'clip' }, 'FAMILY_INVALID'],
  ])('refuses one %s', async (_, family, code) => {
    const error = await loadFamily(typeof family === 'function' ? family() : family).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(HpsError);
    expect((error as HpsError).code).toBe(code);
    expect((error as HpsError).message).not.toContain('/tmp');
  });

  it('tells what its code throws as its own failure, and what ours refuses as it is', async () => {
    const throwing = (error: Error): Architecture => ({
      ...mine,
      load: async () => ({
        ...(await scoreHead.load()),
        buildGraph() {
          throw error;
        },
      }),
    });
    const build = async (error: Error) =>
      (await (await loadFamily(throwing(error)))[0].load()).buildGraph(null as never, null as never, null as never);
    await expect(build(new TypeError('x is not a function'))).rejects.toMatchObject({
      code: 'FAMILY_INVALID',
      message: expect.stringContaining('its graph failed: TypeError: x is not a function'),
    });
    const refusal = new HpsError('TENSORS_MISMATCH', 'a tensor is missing');
    await expect(build(refusal)).rejects.toBe(refusal);
    const foreign = Object.assign(new Error('a tensor is missing'), { name: 'HpsError', code: 'TENSORS_MISMATCH' });
    await expect(build(foreign)).rejects.toMatchObject({ code: 'TENSORS_MISMATCH' });
  });

  it('is the only one that is asked, and named among what is known', async () => {
    const out = join(tempFolder(), 'model.onnx');
    const checkpoint = new URL('../../golden/encoders/bert', import.meta.url).pathname;
    await expect(exportFile(out, { checkpoint, family: mine })).rejects.toMatchObject({
      code: 'ARCHITECTURE_UNKNOWN',
      details: { known: ['mine'] },
    });
  });
});
