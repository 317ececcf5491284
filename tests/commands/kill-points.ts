import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { sha256Hex } from '../../src/core/bytes/hash.js';
import { StagedOutput } from '../../src/core/bytes/output.js';
import { Random } from '../../src/core/bytes/random.js';
import { collect, HPSV3 } from '../helpers/cli.js';
import { exportFile, PICO } from '../helpers/pico.js';
import { modelProcessesOf, until } from '../helpers/processes.js';
import { tempFolder } from '../helpers/temp.js';

const NAME = 'model.onnx';
const REPORT = `${NAME}.report.json`;

/** Kills exports over an older file at seeded moments, and checks each time what is left: how often it was the old or the new file. */
export async function killAtPoints(points: number): Promise<{ old: number; new: number }> {
  const folder = tempFolder();
  const out = join(folder, NAME);
  const [oldFile, newFile] = await Promise.all(
    [14, 15].map(async (opset) => {
      const path = join(tempFolder(), NAME);
      await exportFile(path, { modality: 'text', opset });
      return readFileSync(path);
    }),
  );
  const args = ['export', '--checkpoint', PICO.checkpoint, '--out', out, '--modality', 'text'];
  const updating = () => spawn(process.execPath, [HPSV3, ...args, '--gate', 'quick', '--opset', '15', '--force']);
  const startedAt = performance.now();
  await collect(updating());
  const durationMs = performance.now() - startedAt;
  expect(readFileSync(out).equals(newFile)).toBe(true);

  const random = new Random('kill points');
  const seen = { old: 0, new: 0 };
  for (let point = 0; point < points; point++) {
    await exportFile(out, { modality: 'text', opset: 14, force: true });
    const child = updating();
    const ended = collect(child);
    await Promise.race([ended, sleep(random.uniform(0.1, 1.1) * durationMs)]);
    child.kill('SIGKILL');
    await ended;
    const visible = readdirSync(folder).filter((name) => !name.startsWith('.tmp-'));
    expect([NAME, REPORT]).toEqual(expect.arrayContaining(visible));
    await until(() => modelProcessesOf(child.pid!).length === 0);
    // The next output in the folder cleans up, whatever it is.
    await (await StagedOutput.open(join(folder, 'next'))).discard();
    expect(readdirSync(folder).sort()).toEqual([NAME, REPORT]);
    const isNew = readFileSync(out).equals(newFile);
    expect(readFileSync(out).equals(isNew ? newFile : oldFile)).toBe(true);
    expect(JSON.parse(readFileSync(join(folder, REPORT), 'utf8')).sha256).toBe(sha256Hex(readFileSync(out)));
    seen[isNew ? 'new' : 'old']++;
  }
  return seen;
}
