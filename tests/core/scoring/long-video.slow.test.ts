import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { HPSv3Scorer } from '../../../src/core/scoring/scorer.js';
import { HPSV3, PROJECT } from '../../helpers/cli.js';
import { exportFile } from '../../helpers/pico.js';
import { tempFolder } from '../../helpers/temp.js';
import { hasFfmpeg, scoresOfCuts, writeLongClip } from './long-video.js';

const MINUTES = 20;
const DAMAGED_AT = 13 * 60;

/** Memory of a process and all it has started, shared pages once. */
function memoryOf(pid: number): number {
  const tree = new Set([pid]);
  const parents = readdirSync('/proc').flatMap((name) => {
    try {
      return /^\d+$/.test(name)
        ? [[Number(name), Number(readFileSync(`/proc/${name}/stat`, 'latin1').split(') ')[1].split(' ')[1])]]
        : [];
    } catch {
      return []; // gone meanwhile
    }
  });
  for (let grown = 0; grown !== tree.size; ) {
    grown = tree.size;
    for (const [child, parent] of parents) if (tree.has(parent)) tree.add(child);
  }
  return [...tree].reduce((sum, each) => {
    try {
      return sum + 1024 * Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${each}/smaps_rollup`, 'utf8'))?.[1] ?? 0);
    } catch {
      return sum;
    }
  }, 0);
}

it.skipIf(!hasFfmpeg || process.platform !== 'linux')(
  'a clip of 20 minutes is scored in under 400 MiB, as its parts would be, and the damage is its worst window',
  async () => {
    const folder = tempFolder();
    const [model, clip, out] = ['mini.onnx', 'long.mp4', 'result.json'].map((name) => join(folder, name));
    await exportFile(model, {
      checkpoint: `${PROJECT}checkpoints/hpsv3-mini-a/model.safetensors`,
      modality: 'video',
      mode: 'pair',
    });
    const [from, to] = await writeLongClip(clip, 60 * MINUTES, DAMAGED_AT);
    const windows = ['--window', '8s', '--stride', '4s'];
    const child = spawn(
      process.execPath,
      [HPSV3, 'score', '--model', model, '--item', clip, ...windows, '--out', out],
      { stdio: 'ignore' },
    );
    let peak = 0;
    const timer = setInterval(() => {
      peak = Math.max(peak, memoryOf(child.pid!));
    }, 100);
    const [code] = await once(child, 'close');
    clearInterval(timer);
    expect(code).toBe(0);
    const result = JSON.parse(readFileSync(out, 'utf8'));
    const { count, worst, curve } = result.windows;
    process.stderr.write(
      `${count} windows, peak ${(peak / 2 ** 20).toFixed(0)} MiB, worst ${worst.start} to ${worst.end} s\n`,
    );
    expect(peak).toBeLessThan(400 * 2 ** 20);
    expect(count).toBe(299);
    expect([worst.start, worst.end]).toEqual([from, to]);
    const plain = await HPSv3Scorer.load(model);
    try {
      const some = [0, 1, 150, 194, 195, 196, 298].map((i) => curve[i]);
      expect(await scoresOfCuts(plain, clip, folder, some)).toEqual(some.map(({ logit }) => logit));
    } finally {
      await plain.close();
    }
  },
  600_000,
);
