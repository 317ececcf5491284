import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Parameters } from '../../../src/core/training/parameters.js';
import type { StepReport } from '../../../src/core/training/trainer.js';
import { trainTiny } from './tiny-trainer.js';

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

describe('weights that stay on the device', () => {
  it.each([
    ['text', { modalities: ['text'] }],
    ['image', { modalities: ['image'] }],
    ['both, two runs a step', { modalities: ['text', 'image'], settings: { micro_batch_size: 2 } }],
  ] as const)('are updated there as on the host: %s', async (_, training) => {
    const host = await trainTiny(training, STEPS);
    const device = await trainTiny({ ...training, trainer: { update: 'device' } }, STEPS);
    expectSameSteps(device.reports, host.reports, LOSS_ATOL);
    expectSameParameters(device.parameters, host.parameters, (await trainTiny(training, 0)).parameters);
    expect(lossOf(host.reports[STEPS - 1])).toBeLessThan(lossOf(host.reports[0]));
  });
});

/** Where Debian's chromium package puts its software Vulkan driver. */
const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json';

describe.skipIf(!existsSync(SWIFTSHADER))(
  'training on WebGPU (skipped where there is no software Vulkan driver)',
  () => {
    it('loses what it loses on the processor', async () => {
      process.env['VK_ICD_FILENAMES'] = SWIFTSHADER;
      const training = { modalities: ['text'], settings: { micro_batch_size: 2 } } as const;
      const host = await trainTiny(training, 4);
      const device = await trainTiny({ ...training, trainer: { device: { kind: 'webgpu' } } }, 4);
      expectSameSteps(device.reports, host.reports, 1e-3);
      expectSameParameters(device.parameters, host.parameters, (await trainTiny(training, 0)).parameters);
    }, 300_000);
  },
);
