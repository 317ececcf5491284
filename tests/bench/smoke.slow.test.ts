import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { tempFolder } from '../helpers/temp.js';

const BENCHES = readdirSync('bench').filter((name) => existsSync(join('bench', name, 'run.js')));

describe('every bench', () => {
  it.for(BENCHES)(
    '%s runs at its small size, and measures ours whatever peers there are',
    { timeout: 600_000 },
    async (name, { skip }) => {
      const folder = tempFolder();
      const args = ['bench/run.js', name, '--small', '--cache', join(folder, 'cache'), '--reports', folder];
      await promisify(execFile)(process.execPath, args, { timeout: 600_000 });
      const result = JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8'));
      expect(result.error).toBeUndefined();
      expect(result.complete).toBe(true);
      // The models of some are made by a Python that has torch.
      skip(result.cases.length === 0 && !result.versions.torch, 'needs what bench/setup.sh installs');
      expect(result.cases.length).toBeGreaterThan(0);
      for (const { ours } of result.cases) expect(ours.seconds).toBeGreaterThan(0);
    },
  );
});
