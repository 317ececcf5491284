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

  it.each([
    [
      'All of the following must be provided when using --stride: --window\n  \u001b[2mAll of the following must be provided when using --aggregate: --window\u001b[22m',
      '--stride needs --window; --aggregate needs --window',
      'Give --window, or leave --stride out. Give --window, or leave --aggregate out.',
    ],
    [
      '--item=a.png cannot also be provided when using --left',
      '--left and --item exclude each other',
      'Leave one of them out.',
    ],
    ['Exactly one of the following must be provided: --model, --checkpoint', 'one of --model, --checkpoint is missing'],
    ['Missing required flag out', '--out is missing', 'See more with --help.'],
    ['Something else', 'Something else', 'See more with --help.'],
  ])(
    'says of flags beside each other what is wrong, in words of its own: %s',
    (rules, message, hint = 'Give one of them.') => {
      const text = `The following error occurred:\n  ${rules}\nSee more help with --help`;
      const error = Object.assign(new Error(text), { oclif: {} });
      expect(asHpsError(error)).toMatchObject({ code: 'USAGE', message, hint });
    },
  );

  it('takes no other error of the system for an expected one', () => {
    expect(asHpsError(Object.assign(new Error('x'), { code: 'EIO' }))).toBeNull();
  });
});
