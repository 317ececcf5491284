import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { KeptProcess, type ModelLimits, ModelProcess, withModelProcess } from '../../../src/core/runtime/child.js';
import { startAhead } from '../../../src/core/runtime/child-start.js';
import { float32Value } from '../../../src/core/runtime/value.js';
import { goldenModel } from '../../helpers/models.js';

const model = (name: string) => goldenModel('runtime', name);
const MiB = 2 ** 20;
const ONE = new Map([['x', float32Value([1], Float32Array.of(1))]]);
const LIMITS: ModelLimits = { memoryBytes: 600 * MiB, runMs: 20_000 };

/** Processes of this one that are model processes and not yet gone. */
function modelProcesses(): number[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid))
    .filter((pid) => {
      try {
        const parent = Number(readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1].split(' ')[1]);
        return parent === process.pid && readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('child-main');
      } catch {
        return false; // it ended meanwhile
      }
    })
    .map(Number);
}

const ROW = new Map([['x', float32Value([1, 4], Float32Array.of(1, 2, 3, 4))]]);

const runIn = (name: string, limits = LIMITS, feeds = ONE) =>
  withModelProcess({ limits }, async (child) => (await child.load(model(name))).run(feeds));

describe('ModelProcess', () => {
  it('runs a model as the session in this process does', async () => {
    await withModelProcess({ limits: LIMITS }, async (child) => {
      const session = await child.load(model('mlp'), { threads: 1 });
      expect(session.inputs).toEqual([{ name: 'x', dtype: 'F32', shape: ['batch', 4] }]);
      const feeds = new Map([['x', float32Value([2, 4], Float32Array.of(1, 2, 3, 4, -1, 0.5, 0, 2))]]);
      const y = (await session.run(feeds)).get('y')!;
      expect(y.shape).toEqual([2, 2]);
      expect(y.data as Float32Array).toBeAllClose(
        [-0.0819210410118103, -3.78373122215271, -0.7361756563186646, 2.6458568572998047],
        { atol: 1e-6 },
      );
      expect(session.loadMs).toBeGreaterThan(0);
      expect(session.runMs).toBeGreaterThan(0);
      expect(child.peakRssBytes).toBeGreaterThan(20 * MiB);
      await session.release();
    });
    expect(modelProcesses()).toEqual([]);
  });

  it('reports its own peak of memory, not that of the process that started it', async () => {
    const ballast = Buffer.alloc(400 * MiB, 1);
    await withModelProcess({ limits: LIMITS }, async (child) => {
      await child.load(model('mlp'));
      expect(child.peakRssBytes).toBeLessThan(300 * MiB);
    });
    expect(ballast.byteLength).toBe(400 * MiB);
  });

  it('holds several sessions and answers requests made at once', async () => {
    await withModelProcess({ limits: LIMITS }, async (child) => {
      const [a, b] = await Promise.all([
        child.load(model('mlp')),
        child.load(model('mlp'), { optimization: 'disabled' }),
      ]);
      const feeds = new Map([['x', float32Value([1, 4], Float32Array.of(1, 0, 0, 0))]]);
      const [fromA, fromB] = await Promise.all([a.run(feeds), b.run(feeds)]);
      expect(fromA.get('y')!.data as Float32Array).toBeAllClose(fromB.get('y')!.data as Float32Array, { atol: 1e-6 });
    });
  });

  it('reports what onnxruntime refuses as itself, and goes on', async () => {
    await withModelProcess({ limits: LIMITS }, async (child) => {
      await expect(child.load(model('custom-operator'))).rejects.toMatchObject({
        code: 'ONNX_UNSUPPORTED',
        message: /acme:Foo/,
      });
      const session = await child.load(model('mlp'));
      await expect(session.run(ONE)).rejects.toMatchObject({ code: 'INPUTS_INVALID' });
      expect((await session.run(new Map([['x', float32Value([1, 4], new Float32Array(4))]]))).size).toBe(1);
    });
  });

  it.each([
    'bomb-expand',
    'bomb-tile',
    'bomb-tile-refused',
    'bomb-constant-of-shape',
    'bomb-range',
    'bomb-impossible',
    'bomb-loop',
  ])('stops %s before it takes the memory of the machine', async (name) => {
    await expect(runIn(name)).rejects.toMatchObject({ code: 'MODEL_OUT_OF_MEMORY', exitCode: 5 });
    expect(modelProcesses()).toEqual([]);
  });

  it('stops a loop without end, and the event loop goes on meanwhile', async () => {
    let ticks = 0;
    const timer = setInterval(() => ticks++, 10);
    await expect(runIn('endless-loop', { ...LIMITS, runMs: 1500 })).rejects.toMatchObject({
      code: 'MODEL_TIMEOUT',
      exitCode: 5,
    });
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(20);
    expect(modelProcesses()).toEqual([]);
  });

  it('takes over no more output than the limit', async () => {
    await expect(runIn('large-output', { ...LIMITS, outputBytes: 1 * MiB })).rejects.toMatchObject({
      code: 'MODEL_OUT_OF_MEMORY',
    });
  });

  it.skipIf(process.platform !== 'linux')('reports a crash as MODEL_CRASHED', async () => {
    const child = new ModelProcess({ limits: LIMITS });
    const session = await child.load(model('endless-loop'));
    const failed = expect(session.run(ONE)).rejects.toMatchObject({
      code: 'MODEL_CRASHED',
      exitCode: 5,
      message: /SIGSEGV/,
    });
    process.kill(modelProcesses()[0], 'SIGSEGV');
    await failed;
    await expect(session.run(ONE)).rejects.toMatchObject({ code: 'MODEL_CRASHED' });
    await child.close();
  });

  it('stops at once when it is interrupted', async () => {
    const controller = new AbortController();
    const child = new ModelProcess({ limits: LIMITS, signal: controller.signal });
    const session = await child.load(model('endless-loop'));
    setTimeout(() => controller.abort(), 50);
    await expect(session.run(ONE)).rejects.toMatchObject({ code: 'INTERRUPTED' });
    await child.close();
    expect(modelProcesses()).toEqual([]);
  });

  it('does not run under a signal that was aborted before', async () => {
    const child = new ModelProcess({ signal: AbortSignal.abort() });
    await expect(child.load(model('mlp'))).rejects.toMatchObject({ code: 'INTERRUPTED' });
    await child.close();
  });

  it('can be closed before it has started', async () => {
    await new ModelProcess().close();
    expect(modelProcesses()).toEqual([]);
  });

  it.skipIf(process.platform !== 'linux')('takes over the process that was started ahead, once', async () => {
    const endUnused = startAhead('main');
    const [ahead] = modelProcesses();
    const [first, second] = [new ModelProcess({ limits: LIMITS }), new ModelProcess({ limits: LIMITS })];
    expect(modelProcesses()).toHaveLength(2);
    endUnused(); // it is used
    expect((await (await first.load(model('mlp'))).run(ROW)).get('y')!.shape).toEqual([1, 2]);
    expect(modelProcesses()).toContain(ahead);
    await first.close();
    expect(modelProcesses()).not.toContain(ahead);
    await second.close();
  });

  it('does not take over a process that has ended', async () => {
    const endUnused = startAhead('main');
    for (const pid of modelProcesses()) process.kill(pid, 'SIGKILL');
    await sleep(200);
    await expect(runIn('mlp', LIMITS, ROW)).resolves.toBeInstanceOf(Map);
    endUnused();
  });

  it.skipIf(process.platform !== 'linux')('leaves no process that was started ahead for nothing', async () => {
    const endUnused = startAhead('main');
    expect(modelProcesses()).toHaveLength(1);
    endUnused();
    await sleep(200);
    expect(modelProcesses()).toEqual([]);
  });
});

describe('KeptProcess', () => {
  it('hands the process of one step to the next, and none that has ended', async () => {
    const kept = new KeptProcess();
    const step = (work: (child: ModelProcess) => Promise<unknown> = () => Promise.resolve()) =>
      withModelProcess({ limits: LIMITS, kept }, async (child) => {
        await work(child);
        return child;
      });
    try {
      const first = await step((child) => child.load(model('mlp')));
      expect(await step((child) => child.load(model('mlp')))).toBe(first);
      await first.close();
      expect(await step()).not.toBe(first);
      // One within another ends with its step; that of the outer one is left.
      const outer = await step(async (child) => expect((await step()) === child).toBe(false));
      expect(modelProcesses().length).toBeLessThanOrEqual(1);
      expect(await step()).toBe(outer);
    } finally {
      await kept.close();
    }
    expect(modelProcesses()).toEqual([]);
  });
});
