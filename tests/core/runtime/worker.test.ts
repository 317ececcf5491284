import { spawn } from 'node:child_process';
import { afterEach, describe, expect, it } from 'vitest';
import { type ModelLimits, ModelProcess } from '../../../src/core/runtime/child.js';
import { candidates, formatDevice, parseDevice } from '../../../src/core/runtime/device.js';
import { float32Value } from '../../../src/core/runtime/value.js';
import { goldenModel } from '../../helpers/models.js';
import { cpuSeconds, modelProcessesOf, until } from '../../helpers/processes.js';

const cpu = { device: { kind: 'cpu' }, threads: 1 } as const;
const mlp = goldenModel('runtime', 'mlp');
const feeds = () => new Map([['x', float32Value([1, 4], Float32Array.of(1, 2, 3, 4))]]);
const FILE_BYTES = 1000;

let host: ModelProcess;
afterEach(() => host.close());

const open = (path: string, limits?: ModelLimits) => {
  host = new ModelProcess({ background: true, limits });
  return host.openThread(path, cpu, FILE_BYTES);
};

describe('a session in a thread of a model process', () => {
  it('runs a model', async () => {
    const session = await open(mlp);
    expect(session.device).toEqual({ kind: 'cpu' });
    const y = (await session.run(feeds())).get('y')!;
    expect(y.data as Float32Array).toBeAllClose([-0.0819210410118103, -3.78373122215271], { atol: 1e-6 });
  });

  it('answers what is asked at once in its order, and lets it finish before a release', async () => {
    const session = await open(mlp);
    const inputs = [1, 2, 3].map((x) => new Map([['x', float32Value([1, 4], new Float32Array(4).fill(x))]]));
    const alone: number[] = [];
    for (const input of inputs) alone.push((await session.run(input)).get('y')!.data[0] as number);
    const runs = inputs.map((input) => session.run(input));
    const released = session.release();
    expect((await Promise.all(runs)).map((outputs) => outputs.get('y')!.data[0])).toEqual(alone);
    await released;
    await host.close();
    await expect(session.run(feeds())).rejects.toMatchObject({ code: 'INTERRUPTED' });
  });

  it('takes values of any size, several at a time, each to its own run', async () => {
    const session = await open(goldenModel('runtime', 'mlp'));
    const rows = 100_000; // 1.6 MB
    const batch = (x: number) => new Map([['x', float32Value([rows, 4], new Float32Array(4 * rows).fill(x))]]);
    const one = async (x: number) =>
      (await session.run(new Map([['x', float32Value([1, 4], new Float32Array(4).fill(x))]]))).get('y')!.data[0];
    const many = await Promise.all([1, 2, 3, 4, 5].map(async (x) => (await session.run(batch(x))).get('y')!));
    for (const [i, y] of many.entries()) {
      const alone = (await one(i + 1)) as number;
      expect([y.data[0], y.data[2 * rows - 2]]).toBeAllClose([alone, alone], { atol: 1e-5 });
    }
  });

  it('leaves the event loop free while a model runs', async () => {
    const session = await open(mlp);
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    const rows = 400_000;
    await session.run(new Map([['x', float32Value([rows, 4], new Float32Array(4 * rows))]]));
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(0);
  });

  it('reports what the model refuses as itself', async () => {
    const session = await open(mlp);
    await expect(session.run(new Map())).rejects.toMatchObject({ code: 'INPUTS_INVALID' });
    await expect(host.openThread(goldenModel('runtime', 'truncated'), cpu, FILE_BYTES)).rejects.toMatchObject({
      exitCode: 5,
    });
  });

  it('refuses a device that is not there, and says so under auto before it takes the next', async () => {
    host = new ModelProcess();
    const absent = { kind: 'cuda', index: 63 } as const;
    await expect(host.openThread(mlp, { device: absent }, FILE_BYTES)).rejects.toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      message: expect.stringContaining('cuda:63'),
    });
    const fallbacks: string[] = [];
    const onFallback = (...devices: Parameters<typeof formatDevice>[0][]) =>
      void fallbacks.push(devices.map(formatDevice).join(' > '));
    const session = await host.openThread(mlp, { device: { kind: 'auto' }, onFallback }, FILE_BYTES);
    expect(fallbacks).toEqual(session.device.kind === 'cuda' ? [] : ['cuda:0 > cpu']);
  });

  it.runIf(process.platform === 'linux')(
    'ends with its process where it takes processor time without an answer',
    async () => {
      const session = await open(goldenModel('runtime', 'endless-loop'), { processorMs: 300 });
      const one = new Map([['x', float32Value([1], Float32Array.of(1))]]);
      await expect(session.run(one)).rejects.toMatchObject({ code: 'MODEL_TIMEOUT', message: /of a processor/ });
      await until(() => modelProcessesOf(process.pid).length === 0);
    },
  );

  it.runIf(process.platform === 'linux')(
    'ends with the program, however that ends, in the middle of a run',
    async () => {
      host = new ModelProcess();
      const runtime = new URL('../../../dist/core/runtime/', import.meta.url);
      const script = `
      const { ModelProcess } = await import('${runtime}child.js');
      const session = await new ModelProcess().openThread('${goldenModel('runtime', 'endless-loop')}', ${JSON.stringify(cpu)}, ${FILE_BYTES});
      await session.run(new Map([['x', { dtype: 'F32', shape: [1], data: Float32Array.of(1) }]]));`;
      const program = spawn(process.execPath, ['--input-type=module', '--eval', script]);
      await until(() => modelProcessesOf(program.pid!).some((pid) => cpuSeconds(pid) > 0.5));
      program.kill('SIGKILL');
      await until(() => modelProcessesOf(program.pid!).length === 0, 2000);
    },
  );

  it.runIf(process.platform === 'linux')('may take as long as it likes between answers', async () => {
    const session = await open(mlp, { processorMs: 300 });
    const [pid] = modelProcessesOf(process.pid);
    const before = cpuSeconds(pid);
    while (cpuSeconds(pid) < before + 0.4) await session.run(feeds());
    await expect(session.run(feeds())).resolves.toBeInstanceOf(Map);
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
