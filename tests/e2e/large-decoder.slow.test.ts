import { execFileSync, spawn } from 'node:child_process';
import { readFileSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { HPSV3, PROJECT } from '../helpers/cli.js';
import { sharedFolder } from '../helpers/temp.js';

// A decoder of the size of 7B, larger than the memory that many machines have: random bfloat16 shards, stored as fp16, and verified by
// the gate in parts. Its folder is removed afterwards; TMPDIR says on which disk it is.

const GIB = 2 ** 30;
/** 14.7 GiB of shards, as many of what is written, and something to spare. */
const NEEDED = 31 * GIB;
const MEMORY_MIB = 512;
const POLL_MS = 20;
const MINUTES = 60_000;

const { bavail, bsize } = statfsSync(tmpdir());
const free = bavail * bsize;
const reason = free < NEEDED ? `: ${tmpdir()} has ${(free / GIB).toFixed(1)} GiB free, it needs ${NEEDED / GIB}` : '';

describe.skipIf(free < NEEDED || process.platform !== 'linux')(`a decoder of 7B${reason}`, () => {
  const folder = sharedFolder();
  const checkpoint = join(folder, 'decoder');
  const model = join(folder, 'model.onnx');

  it('is exported in under 512 MiB, and verified in parts', { timeout: 120 * MINUTES }, async ({ annotate }) => {
    execFileSync(process.execPath, [
      ...[`${PROJECT}bench/decoder.js`, checkpoint],
      ...['--layers', '32', '--width', '4096'],
    ]);
    const plain = await exported('--gate', 'off');
    await annotate(`gate off: ${plain.seconds.toFixed(0)} s, ${plain.peakMiB.toFixed(0)} MiB`);
    expect(plain.peakMiB).toBeLessThan(MEMORY_MIB);

    for (const suffix of ['', '.data', '.report.json']) rmSync(model + suffix);
    const gated = await exported('--gate', 'full');
    const { gate } = JSON.parse(readFileSync(`${model}.report.json`, 'utf8'));
    await annotate(
      `gate full: ${gated.seconds.toFixed(0)} s, ${gated.peakMiB.toFixed(0)} MiB; the parts ` +
        `${(gate.peakRssBytes / 2 ** 20).toFixed(0)} MiB`,
    );
    expect(gate.passed).toBe(true);
    expect(gate.checks).toContainEqual(expect.objectContaining({ name: 'in-segments', passed: true }));
    expect(gated.peakMiB).toBeLessThan(MEMORY_MIB);
  });

  /** @returns wall seconds, and the peak of resident memory of the command without the process that runs the model */
  async function exported(...flags: readonly string[]): Promise<{ seconds: number; peakMiB: number }> {
    const started = performance.now();
    const child = spawn(
      process.execPath,
      [HPSV3, 'export', '--checkpoint', checkpoint, '--dtype', 'fp16', '--out', model, '--quiet', ...flags],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    );
    let peakMiB = 0;
    const timer = setInterval(() => {
      peakMiB = Math.max(peakMiB, peakOf(child.pid));
    }, POLL_MS);
    const code = await new Promise((resolve) => child.once('close', resolve));
    clearInterval(timer);
    expect(code).toBe(0);
    return { seconds: (performance.now() - started) / 1000, peakMiB };
  }
});

/** In MiB, by the kernel's own high-water mark; 0 once the process is gone. */
function peakOf(pid: number | undefined): number {
  try {
    return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}
