import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { adamW, clipFactor, globalNorm } from '../../../src/core/training/adamw.js';

// Made by tests/golden/training/make_adamw.py.
const golden = JSON.parse(readFileSync(new URL('../../golden/training/adamw.json', import.meta.url), 'utf8'));

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
