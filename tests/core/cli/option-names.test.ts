import { describe, expect, it } from 'vitest';
import { asHpsError } from '../../../src/core/cli/failure.js';
import { flagOf, withFlags } from '../../../src/core/cli/option-names.js';
import { HpsError } from '../../../src/core/errors.js';

describe('withFlags', () => {
  const flags = ['dry-run', 'calibration', 'output'];

  it('spells an option of core as the flag of the command', () => {
    expect(withFlags('Leave `dryRun` out, or give `samples` FILE.', flags)).toBe(
      'Leave --dry-run out, or give --calibration FILE.',
    );
    expect(flagOf('out', flags)).toBe('output');
  });

  it('leaves what the command has no flag for, and commands', () => {
    const text = 'Give `resume`; see `hpsv3 export`, or `out.x`.';
    expect(withFlags(text, flags)).toBe(text);
  });

  it('is applied to failures', () => {
    const error = new HpsError('USAGE', '`samples`: is empty', { hint: 'Give `samples`.', details: { a: 1 } });
    expect(asHpsError(error, { flags: ['--calibration'] })).toMatchObject({
      code: 'USAGE',
      message: '--calibration: is empty',
      hint: 'Give --calibration.',
      details: { a: 1 },
    });
  });
});
