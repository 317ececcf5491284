import { expect, it } from 'vitest';
import { hpsv3Process, PROJECT } from '../helpers/cli.js';

it('reads or reports every record of 2,000 damaged files once, without a crash or a hang', async () => {
  const { code, stdout, stderr } = await hpsv3Process(['--files', '2000'], { program: `${PROJECT}scripts/damage.js` });
  expect(stderr).toBe('');
  expect(stdout).toContain('2000 files damaged, 0 promises broken (seed 1).');
  expect(code).toBe(0);
});
