import { expect, it } from 'vitest';
import { hpsv3Process, PROJECT } from '../helpers/cli.js';

it('reads or reports every record of damaged files once, without a crash or a hang (npm run test:slow has 2,000)', async () => {
  const { code, stdout, stderr } = await hpsv3Process(['--files', '50', '--seed', '2'], {
    program: `${PROJECT}scripts/damage.js`,
  });
  expect(stderr).toBe('');
  expect(stdout).toContain('50 files damaged, 0 promises broken (seed 2).');
  expect(code).toBe(0);
});
