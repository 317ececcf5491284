import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { sha256Hex } from '../../src/core/bytes/hash.js';
import { contradictions } from '../helpers/card-statements.js';
import { hpsv3 } from '../helpers/cli.js';
import { tempFolder } from '../helpers/temp.js';

it('walks from checkpoints to a model card that holds, keeps what is done, and shows commands that can be typed', async () => {
  const cwd = tempFolder();
  const demo = () => hpsv3(['demo', '--nano', '--pairs', '160', '--out', 'made', '--json'], { cwd });
  const { code, stdout, stderr } = await demo();
  expect(stderr).toContain('$ hpsv3 export');
  expect(code, stderr).toBe(0);
  const report = JSON.parse(stdout);
  expect(report).toMatchObject({ folder: 'made', random: true });
  expect(report.rows.map(({ state }: { state: string }) => state)).not.toContain('kept');
  const commands = stderr.split('\n').filter((line) => line.startsWith('$ hpsv3 '));
  expect(commands).toHaveLength(report.rows.length);
  for (const line of readFileSync(join(cwd, 'made', 'SHA256SUMS'), 'utf8')
    .trimEnd()
    .split('\n')) {
    const [sha256, name] = line.split('  ');
    expect(sha256Hex(readFileSync(join(cwd, 'made', name))), name).toBe(sha256);
  }

  // As typed: the evaluation again, to the same bytes, so that the card still holds.
  const evaluation = join(cwd, 'made', 'image-evaluation.json');
  const before = readFileSync(evaluation);
  rmSync(evaluation);
  const typed = (words: string) =>
    hpsv3(
      commands
        .find((line) => line.includes(words))!
        .split(' ')
        .slice(2),
      { cwd },
    );
  expect((await typed('made/image-evaluation.json --seed')).code).toBe(0);
  expect(readFileSync(evaluation).equals(before)).toBe(true);
  expect(await typed('modelcard verify')).toMatchObject({ code: 0 });

  expect(contradictions(join(cwd, 'made', 'card'))).toEqual([]);

  const again = JSON.parse((await demo()).stdout);
  expect(again.rows.every(({ state }: { state: string }) => state === 'kept')).toBe(true);
}, 600_000);
