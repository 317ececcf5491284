import { describe, expect, it } from 'vitest';
import { SLAB_PARTS } from '../../../../src/core/training/graph/optimizer-graph.js';
import type { StepReport } from '../../../../src/core/training/run/trainer.js';
import type { Parameters } from '../../../../src/core/training/update/parameters.js';
import { webgpuEnvironment } from '../../../helpers/webgpu.js';
import { tinyTrainer, trainTiny } from './tiny-trainer.js';

const STEPS = 20;
/** Float32 on one side, float64 between rounded vectors on the other. */
const LOSS_ATOL = 1e-5;

function expectSameSteps(found: readonly StepReport[], expected: readonly StepReport[], atol: number): void {
  expect(found).toHaveLength(expected.length);
  for (const [i, report] of expected.entries()) {
    expect(found[i]).toMatchObject({ step: i + 1, learningRate: report.learningRate, modalities: report.modalities });
    expect([...found[i].losses.keys()]).toEqual([...report.losses.keys()]);
    expect(Math.abs(lossOf(found[i]) - lossOf(report)), `loss of step ${i + 1}`).toBeLessThan(atol);
    expect(Math.abs(found[i].gradientNorm / report.gradientNorm - 1), `norm of step ${i + 1}`).toBeLessThan(100 * atol);
  }
}

const lossOf = ({ losses }: StepReport): number => losses.get('loss')!;

/** Distance of the parameters over the distance they have moved: single ones whose gradient is rounding alone go either way. */
function expectSameParameters(found: Parameters, expected: Parameters, start: Parameters): void {
  for (const part of ['parameters', 'average'] as const) {
    let [apart, moved] = [0, 0];
    for (const [i, state] of expected.states.entries()) {
      expect(found.states[i].updates).toBe(state.updates);
      apart += distance(found.states[i][part]!, state[part]!) ** 2;
      moved += distance(state[part]!, start.states[i][part]!) ** 2;
    }
    expect(Math.sqrt(apart / moved), part).toBeLessThan(1e-2);
  }
}

const distance = (a: Float32Array, b: Float32Array): number =>
  Math.sqrt(a.reduce((sum, value, i) => sum + (value - b[i]) ** 2, 0));

describe('steps', () => {
  it.each([
    ['text', { modalities: ['text'] }],
    ['image', { modalities: ['image'] }],
    ['both by turns', { modalities: ['text', 'image'] }],
  ] as const)('are the same with weights on the device, and several in a run: %s', async (_, training) => {
    const start = await tinyTrainer(training);
    const host = await trainTiny(training, STEPS);
    expect(lossOf(host.reports[STEPS - 1])).toBeLessThan(lossOf(host.reports[0]));
    const device = await trainTiny({ ...training, trainer: { update: 'device' } }, STEPS);
    const loop = await trainTiny({ ...training, settings: { steps_per_run: 8 } }, STEPS);
    for (const { reports, parameters } of [device, loop]) {
      expectSameSteps(reports, host.reports, LOSS_ATOL);
      expectSameParameters(parameters, host.parameters, start.parameters);
    }
  });

  it('of several runs add their gradients up on the device', async () => {
    const training = { modalities: ['text', 'image'], settings: { micro_batch_size: 2 } } as const;
    const host = await trainTiny(training, 5);
    const device = await trainTiny({ ...training, trainer: { update: 'device' } }, 5);
    expectSameSteps(device.reports, host.reports, LOSS_ATOL);
  });

  it('go on to the same bytes from what the device gave back in between', async () => {
    const training = { modalities: ['text'], trainer: { update: 'device' } } as const;
    const whole = await trainTiny(training, 6);
    const before = await trainTiny(training, 3);
    const { trainer, parameters } = await tinyTrainer(training);
    for (const [i, state] of parameters.states.entries()) {
      const saved = before.parameters.states[i];
      for (const part of SLAB_PARTS) state[part]!.set(saved[part]!);
      state.updates = saved.updates;
    }
    await trainer.resume(3, trainer.pairsPerRun);
    while (trainer.step < 6) await trainer.runSteps(1);
    await trainer.settle();
    await trainer.release();
    expect(parameters.states).toEqual(whole.parameters.states);
  });

  it('of several runs are taken one by one, whatever steps_per_run says, and a note tells so', async () => {
    const notes: string[] = [];
    const training = { modalities: ['text'], settings: { micro_batch_size: 2, steps_per_run: 4 } } as const;
    const { reports } = await trainTiny({ ...training, trainer: { onWarning: (note) => notes.push(note) } }, 2);
    expect(reports).toHaveLength(2);
    expect(notes).toEqual([expect.stringContaining('steps_per_run is not used')]);
  });

  it('are skipped where the norm is no finite number, and the next ones go on from what there was', async () => {
    const training = { modalities: ['text'], settings: { steps_per_run: 2 } } as const;
    const { trainer, parameters } = await tinyTrainer(training);
    const before = parameters.states.map(({ parameters: values }) => values.slice());
    parameters.states[0].parameters.fill(Number.NaN);
    const reports = await trainer.runSteps(2);
    await trainer.release();
    expect(reports.map(({ gradientNorm }) => Number.isFinite(gradientNorm))).toEqual([false, false]);
    for (const [i, { parameters: values, updates }] of parameters.states.entries()) {
      expect(updates).toBe(0);
      if (i > 0) expect(values).toEqual(before[i]);
    }
  });
});

const webgpu = webgpuEnvironment();

describe.skipIf(webgpu === null)('training on WebGPU (skipped where no adapter answers)', () => {
  it('loses what it loses on the processor', async () => {
    Object.assign(process.env, webgpu);
    const training = { modalities: ['text'], settings: { micro_batch_size: 2 } } as const;
    const host = await trainTiny(training, 4);
    const device = await trainTiny({ ...training, trainer: { device: { kind: 'webgpu' } } }, 4);
    expectSameSteps(device.reports, host.reports, 1e-3);
    expectSameParameters(device.parameters, host.parameters, (await trainTiny(training, 0)).parameters);
  }, 300_000);
});
