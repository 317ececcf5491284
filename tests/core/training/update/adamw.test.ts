import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { adamW, average, clipFactor, globalNorm } from '../../../../src/core/training/update/adamw.js';

// Made by tests/golden/training/make_adamw.py.
const golden = JSON.parse(readFileSync(new URL('../../../golden/training/adamw.json', import.meta.url), 'utf8'));

describe('adamW', () => {
  it('takes the steps of torch.optim.AdamW', () => {
    const parameters = Float32Array.from(golden.start);
    const state = {
      parameters,
      firstMoment: new Float32Array(parameters.length),
      secondMoment: new Float32Array(parameters.length),
    };
    for (const [i, gradient] of golden.gradients.entries()) {
      adamW(state, Float32Array.from(gradient), { ...golden.settings, step: i + 1 });
      expect(parameters).toBeAllClose(golden.steps[i], { atol: 1e-7, rtol: 1e-6 });
    }
  });

  it('takes the same step whatever the length, by the formula', () => {
    const length = 20_003; // several pieces, and a rest that fills no lane
    const value = (i: number, by: number): number => Math.sin(i * by) / 10;
    const vector = (by: number): Float32Array => Float32Array.from({ length }, (_, i) => value(i, by));
    const state = { parameters: vector(1), firstMoment: vector(2), secondMoment: vector(3).map(Math.abs) };
    const [lr, beta1, beta2, epsilon, weightDecay, step] = [0.01, 0.9, 0.99, 1e-8, 0.1, 3];
    adamW(state, vector(4), { lr, beta1, beta2, epsilon, weightDecay, step }, 0.5);
    const expected = Array.from({ length }, (_, i) => {
      const g = value(i, 4) / 2;
      const m = beta1 * value(i, 2) + (1 - beta1) * g;
      const v = beta2 * Math.abs(value(i, 3)) + (1 - beta2) * g * g;
      const shrunk = value(i, 1) * (1 - lr * weightDecay);
      return shrunk - ((lr / (1 - beta1 ** step)) * m) / (Math.sqrt(v / (1 - beta2 ** step)) + epsilon);
    });
    expect(state.parameters).toBeAllClose(expected, { atol: 1e-6 });
  });

  it('clips by the norm of all gradients together, as torch does', () => {
    const { gradient, maxNorm, norm, clipped } = golden.clipping;
    const halves = gradient.map((value: number) => Float32Array.of(value));
    expect(globalNorm(halves)).toBeCloseTo(norm, 6);
    const factor = clipFactor(globalNorm(halves), maxNorm);
    expect(gradient.map((value: number) => factor * value)).toBeAllClose(clipped, { atol: 1e-6 });
    expect(clipFactor(0.5, 1)).toBe(1);
    expect(clipFactor(50, 0)).toBe(1);
  });
});

describe('average', () => {
  it('moves to the weights, faster in the first steps', () => {
    const into = Float32Array.of(1, 2, 3, 4, 5);
    average(into, new Float32Array(5), 0.9, 0);
    expect(into).toBeAllClose([0.1, 0.2, 0.3, 0.4, 0.5], { atol: 1e-6 });
    average(into, new Float32Array(5), 0.9, 1000);
    expect(into).toBeAllClose([0.09, 0.18, 0.27, 0.36, 0.45], { atol: 1e-6 });
  });
});
