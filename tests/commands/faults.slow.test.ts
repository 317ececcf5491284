import { expect, it } from 'vitest';
import { killAtPoints } from './kill-points.js';

it.runIf(process.platform !== 'win32')(
  'an export that is killed at any of a hundred points leaves the old or the new file',
  async () => {
    const { old, new: renewed } = await killAtPoints(100);
    expect(old).toBeGreaterThan(0);
    expect(renewed).toBeGreaterThan(0);
  },
);
