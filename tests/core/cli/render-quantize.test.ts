import { expect, it } from 'vitest';
import { formatQuantize } from '../../../src/core/cli/render-quantize.js';
import type { QuantizeReport } from '../../../src/core/lifecycle/quantize/quantize.js';

it('names every file that was written', () => {
  const report: Partial<QuantizeReport> = {
    scheme: 'weight-only',
    out: 'small.onnx',
    beside: ['small.onnx.pareto.svg'],
    sha256: 'a'.repeat(64),
    bytes: 2048,
    ratio: 3.9,
    latency: null,
    quantized: 4,
    excluded: [],
    calibration: null,
    gate: null,
  };
  const text = formatQuantize(report as QuantizeReport);
  expect(text).toMatch(/^out +small\.onnx +2\.0 KiB, sha256 a{12}$/m);
  expect(text).toMatch(/^beside +small\.onnx\.pareto\.svg +size, speed and flips of all that auto tried$/m);
});
