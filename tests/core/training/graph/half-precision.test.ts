import { describe, expect, it } from 'vitest';
import { tfjsEngine } from '../../../../src/core/training/engines/tfjs.js';
import { LossScale } from '../../../../src/core/training/graph/half-precision.js';
import type { StepReport } from '../../../../src/core/training/run/trainer.js';
import { webgpuEnvironment } from '../../../helpers/webgpu.js';
import { tinyTrainer, trainTiny } from '../run/tiny-trainer.js';

const webgpu = webgpuEnvironment();

const lossOf = ({ losses }: StepReport): number => losses.get('loss')!;

describe('training with products in float16', () => {
  it.each([
    ['text', 'host', {}],
    ['text', 'device', {}],
    ['text', 'loop', { steps_per_run: 4 }],
    ['image', 'host', {}],
  ] as const)('loses within 1 % of what float32 loses: %s, updated by the %s', async (modality, update, settings) => {
    const training = { modalities: [modality], trainer: { update } } as const;
    const single = await trainTiny({ ...training, settings }, 20);
    const half = await trainTiny({ ...training, settings: { ...settings, precision: 'float16' } }, 20);
    const differences = single.reports.map((report, i) => Math.abs(lossOf(half.reports[i]) / lossOf(report) - 1));
    expect(Math.max(...differences)).toBeLessThan(0.01);
    // Casts that onnxruntime had taken away would leave no difference.
    expect(Math.max(...differences)).toBeGreaterThan(1e-6);
  });

  it.each([
    ['host', {}],
    ['device', {}],
    ['loop', { steps_per_run: 2 }],
  ] as const)(
    'leaves out a step whose gradients overflow, and halves the scale: updated by the %s',
    async (update, settings) => {
      const training = { modalities: ['text'], settings: { ...settings, precision: 'float16' } } as const;
      const { trainer, parameters } = await tinyTrainer({ ...training, trainer: { update } });
      const before = parameters.states.map(({ parameters: values }) => values.slice());
      await trainer.resume(0, trainer.pairsPerRun, { scale: 2 ** 40, good: 7 });
      const [report] = await trainer.runSteps(1);
      await trainer.settle();
      expect(report).toMatchObject({ step: 1, overflowed: true });
      expect(lossOf(report)).toBeLessThan(10);
      expect(trainer.lossScale!.state).toEqual({ scale: 2 ** 39, good: 0 });
      for (const [i, { parameters: values, updates }] of parameters.states.entries()) {
        expect(updates).toBe(0);
        expect(values).toEqual(before[i]);
      }
      await trainer.resume(1, trainer.pairsPerRun, { scale: 2 ** 10, good: 7 });
      expect((await trainer.runSteps(1))[0]).toMatchObject({ step: 2, overflowed: false });
      expect(trainer.lossScale!.state).toEqual({ scale: 2 ** 10, good: 8 });
      await trainer.release();
    },
  );

  it('is left alone by auto on the processor, and refused by TensorFlow.js', async () => {
    const automatic = await tinyTrainer({ modalities: ['text'], settings: { precision: 'auto' } });
    await automatic.trainer.runSteps(1);
    expect(automatic.trainer.lossScale).toBeNull();
    await automatic.trainer.release();
    const refused = {
      modalities: ['text'],
      settings: { precision: 'float16' },
      trainer: { engine: tfjsEngine },
    } as const;
    await expect(trainTiny(refused, 1)).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE', exitCode: 2 });
  });

  it.skipIf(webgpu === null)('is refused where a GPU has none (skipped where no adapter answers)', async () => {
    Object.assign(process.env, webgpu);
    const training = { modalities: ['text'], trainer: { device: { kind: 'webgpu' } } } as const;
    await expect(trainTiny({ ...training, settings: { precision: 'float16' } }, 1)).rejects.toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      message: 'device webgpu computes nothing in float16',
    });
  });
});

describe('LossScale', () => {
  it('halves where gradients overflow, and doubles after 2,000 steps without', () => {
    const scale = new LossScale({ scale: 1024, good: 1998 });
    expect(scale.update(true)).toBe(true);
    expect(scale.state).toEqual({ scale: 1024, good: 1999 });
    scale.update(true);
    expect(scale.state).toEqual({ scale: 2048, good: 0 });
    scale.update(false);
    expect(scale.state).toEqual({ scale: 1024, good: 0 });
  });

  it('gives up below 1, where the scale is not the reason', () => {
    const scale = new LossScale({ scale: 2, good: 5 });
    expect([scale.update(false), scale.update(false)]).toEqual([true, false]);
  });
});
