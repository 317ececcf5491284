import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { MODALITIES } from '../../src/core/onnx/manifest.js';
import { hpsv3 } from '../helpers/cli.js';
import { tempFolder } from '../helpers/temp.js';

describe('hpsv3 demo', () => {
  it('exports and verifies every modality, and shows the commands that do the same', async () => {
    const folder = tempFolder();
    const { code, stdout, stderr } = await hpsv3(['demo', '--out', 'made', '--json'], { cwd: folder });
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ passed: true, folder: 'made', checkpoint: 'hpsv3-nano.safetensors' });
    expect(report.rows.map(({ modality }: { modality: string }) => modality)).toEqual([...MODALITIES]);
    for (const row of report.rows) {
      expect(row).toMatchObject({ flips: 0 });
      expect(row.pairs).toBeGreaterThan(0);
      expect(row.maxScoreDiff).toBeLessThan(1e-4);
      expect(row.optimizedNodes).toBeLessThanOrEqual(row.nodes);
      expect(existsSync(join(folder, 'made', row.file))).toBe(true);
    }
    const commands = stderr.split('\n').filter((line) => line.startsWith('$ '));
    expect(commands.length).toBe(2 + 3 * MODALITIES.length);
    // What it shows can be typed: the last verify, as it stands.
    const [, , ...args] = commands.at(-1)!.split(' ');
    expect((await hpsv3([...args, '--quick'], { cwd: folder })).code).toBe(0);
  });
});
