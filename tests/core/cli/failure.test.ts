import { describe, expect, it } from 'vitest';
import { asHpsError } from '../../../src/core/cli/failure.js';

describe('asHpsError', () => {
  it.each(['EMFILE', 'ENFILE'])('says of %s how to raise the limit, with exit code 2', (code) => {
    const error = Object.assign(new Error(`${code}: too many open files`), { code });
    expect(asHpsError(error)).toMatchObject({
      code: 'FILE_UNREADABLE',
      exitCode: 2,
      hint: expect.stringMatching(/ulimit -n/),
    });
  });

  it('takes no other error of the system for an expected one', () => {
    expect(asHpsError(Object.assign(new Error('x'), { code: 'EIO' }))).toBeNull();
  });
});
