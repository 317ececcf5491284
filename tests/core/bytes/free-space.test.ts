import { describe, expect, it } from 'vitest';
import { assertSpace } from '../../../src/core/bytes/free-space.js';
import { tempFolder } from '../../helpers/temp.js';

describe('assertSpace', () => {
  it('tells what a file takes and what is free, before it is written', async () => {
    await expect(assertSpace(tempFolder(), 'm.onnx', 2 ** 60)).rejects.toMatchObject({
      code: 'OUTPUT_WRITE_FAILED',
      exitCode: 74,
      message: /^m\.onnx: takes 1152921504606846976 bytes, and its disk has \d+ free$/,
    });
    await assertSpace(tempFolder(), 'm.onnx', 1);
    await assertSpace('/no/such/folder', 'm.onnx', 2 ** 60); // nothing tells
  });
});
