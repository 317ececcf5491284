import { describe, expect, it } from 'vitest';
import { SCHEMES } from '../../../../src/core/quantization/schemes/registry.js';
import type { QuantizationScheme } from '../../../../src/core/quantization/schemes/scheme.js';
import { schemeProblems } from '../../../helpers/scheme-conformance.js';

describe.each(SCHEMES)('scheme $id', (scheme) => {
  it('has a fixture and a tolerance, and scores as the float model does within it', async () => {
    expect(await schemeProblems(scheme)).toEqual([]);
  });
});

describe('the conformance test itself', () => {
  const real: QuantizationScheme = SCHEMES[0];
  const changed = (change: Partial<QuantizationScheme>) => schemeProblems({ ...real, ...change }, ['mlp']);

  it.each<[string, () => Promise<string[]>]>([
    ['no fixture', () => schemeProblems(real, ['no-weights'])],
    ['no tolerance', () => changed({ tolerance: undefined })],
    ['no tolerance', () => changed({ tolerance: 10 })],
    ['scores are off by', () => changed({ tolerance: 1e-9 })],
    ['not among SCHEME_IDS', () => changed({ id: 'another' })],
    ['no label', () => changed({ label: '' })],
    ['fails: RangeError', () => changed({ apply: () => Promise.reject(new RangeError('no')) })],
  ])('fails a member with %s', async (problem, problems) => {
    expect((await problems()).join('\n')).toContain(problem);
  });
});
