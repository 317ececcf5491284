import { describe, expect, it } from 'vitest';
import { candidates, formatDevice, parseDevice } from '../../../src/core/runtime/device.js';
import { float32Value } from '../../../src/core/runtime/value.js';
import { openWorkerSession } from '../../../src/core/runtime/worker.js';
import { goldenModel } from '../../helpers/models.js';

const cpu = { device: { kind: 'cpu' }, threads: 1 } as const;
const mlp = goldenModel('runtime', 'mlp');
const feeds = () => new Map([['x', float32Value([1, 4], Float32Array.of(1, 2, 3, 4))]]);

describe('openWorkerSession', () => {
  it('runs a model in a thread, and moves its inputs there', async () => {
    const session = await openWorkerSession(mlp, cpu);
    expect(session.device).toEqual({ kind: 'cpu' });
    const given = feeds();
    const y = (await session.run(given)).get('y')!;
    expect(y.data as Float32Array).toBeAllClose([-0.0819210410118103, -3.78373122215271], { atol: 1e-6 });
    expect(given.get('x')!.data.byteLength).toBe(0);
    await session.release();
  });

  it('answers what is asked at once in its order, and lets it finish before a release', async () => {
    const session = await openWorkerSession(mlp, cpu);
    const inputs = [1, 2, 3].map((x) => new Map([['x', float32Value([1, 4], new Float32Array(4).fill(x))]]));
    const alone: number[] = [];
    for (const input of inputs) {
      const copy = new Map([['x', float32Value([1, 4], Float32Array.from(input.get('x')!.data as Float32Array))]]);
      alone.push((await session.run(copy)).get('y')!.data[0] as number);
    }
    const runs = inputs.map((input) => session.run(input));
    const released = session.release();
    expect((await Promise.all(runs)).map((outputs) => outputs.get('y')!.data[0])).toEqual(alone);
    await released;
    await expect(session.run(feeds())).rejects.toMatchObject({ code: 'INTERRUPTED' });
  });

  it('leaves the event loop free while a model runs', async () => {
    const session = await openWorkerSession(mlp, cpu);
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    const rows = 400_000;
    await session.run(new Map([['x', float32Value([rows, 4], new Float32Array(4 * rows))]]));
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(0);
    await session.release();
  });

  it('reports what the model refuses as itself', async () => {
    const session = await openWorkerSession(mlp, cpu);
    await expect(session.run(new Map())).rejects.toMatchObject({ code: 'INPUTS_INVALID' });
    await session.release();
    await expect(openWorkerSession(goldenModel('runtime', 'truncated'), cpu)).rejects.toMatchObject({ exitCode: 5 });
  });

  it('refuses a device that is not there, and says so under auto before it takes the next', async () => {
    const absent = { kind: 'cuda', index: 63 } as const;
    await expect(openWorkerSession(mlp, { device: absent })).rejects.toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      message: expect.stringContaining('cuda:63'),
    });
    const fallbacks: string[] = [];
    const session = await openWorkerSession(mlp, {
      device: { kind: 'auto' },
      onFallback: (missing, next) => fallbacks.push(`${formatDevice(missing)} > ${formatDevice(next)}`),
    });
    expect(fallbacks).toEqual(session.device.kind === 'cuda' ? [] : ['cuda:0 > cpu']);
    await session.release();
  });
});

describe('parseDevice', () => {
  it('reads devices as users spell them', () => {
    expect(['cpu', 'webgpu', 'cuda', 'cuda:1', 'auto'].map((text) => formatDevice(parseDevice(text)))).toEqual([
      'cpu',
      'webgpu',
      'cuda:0',
      'cuda:1',
      'auto',
    ]);
    for (const text of ['gpu', 'cuda:', 'cuda:-1', 'CPU', '', 'cuda:1000']) {
      expect(() => parseDevice(text)).toThrow(expect.objectContaining({ code: 'USAGE' }));
    }
  });

  it('tries the processor last', () => {
    expect(candidates({ kind: 'auto' }).map(formatDevice)).toEqual(['cuda:0', 'cpu']);
  });
});
