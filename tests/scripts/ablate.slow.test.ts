import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { hpsv3Process, PROJECT } from '../helpers/cli.js';
import { sharedFolder } from '../helpers/temp.js';

const folder = sharedFolder();

it('trains with and without either part, and writes every figure with its interval', async () => {
  const out = join(folder, 'ablate');
  const sizes = ['--pairs', '24', '--steps', '2', '--text-pairs', '24', '--text-steps', '2', '--held-out', '40'];
  const { code, stdout, stderr } = await hpsv3Process(['--folder', out, ...sizes], {
    program: `${PROJECT}scripts/ablate.js`,
  });
  expect(code, stderr).toBe(0);
  const { schema, ablations } = JSON.parse(readFileSync(join(out, 'ablation.json'), 'utf8'));
  expect(schema).toBe('hpsv3/ablation@1');
  expect(Object.keys(ablations)).toEqual(['attention', 'fluency']);
  for (const figure of [ablations.attention.auc, ablations.fluency['false positives on noisy text']]) {
    expect(figure.byModel).toHaveLength(2);
    expect(figure.difference).toBeCloseTo(figure.without - figure.whole, 12);
    expect(figure.ci).toHaveLength(2);
  }
  expect(stdout).toContain('without attention, auc');
});
