import { describe, expect, it } from 'vitest';
import { OptionReader } from '../../../src/core/architectures/option-reader.js';
import { axisOf } from '../../../src/core/architectures/readings.js';
import type { JsonObject } from '../../../src/core/bytes/json.js';

const tensors = new Map([['words.weight', { name: 'words.weight', dtype: 'F32' as const, shape: [50, 8] }]]);
const width = { tensor: axisOf(tensors, 'words.weight', 1), keys: ['text.width', 'width'] };
const reader = (...configs: JsonObject[]): OptionReader =>
  new OptionReader(
    tensors,
    configs.map((config, i) => ({ config, origin: `config-${i}.json` })),
  );

describe('OptionReader', () => {
  it('takes sizes from tensors, then configurations, then the defaults of the class', () => {
    const read = reader({ text: { width: 8, heads: 4 } });
    expect(read.size('width', width)).toBe(8);
    expect(read.size('heads', { keys: ['text.heads'], otherwise: 12 })).toBe(4);
    expect(read.size('layers', { keys: ['text.layers'], otherwise: 12 })).toBe(12);
    expect(read.number('epsilon', { keys: ['text.epsilon'], otherwise: 1e-5 })).toBe(1e-5);
    expect(() => read.finish()).not.toThrow();
  });

  it('names both sides of every contradiction at once', () => {
    const read = reader({ width: 8, heads: 4 }, { text: { width: 9 }, heads: 5 });
    read.size('width', width);
    read.size('heads', { keys: ['heads'] });
    expect(() => read.finish()).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        details: {
          contradictions: [
            'width is 8 by words.weight [50, 8] but 9 by config-1.json (text.width)',
            'heads is 4 by config-0.json (heads) but 5 by config-1.json (heads)',
          ],
        },
      }),
    );
  });

  it('asks for what nothing tells, and takes no default of a configuration class where there is no configuration', () => {
    const read = reader();
    read.size('width', width);
    read.size('heads', { keys: ['heads'], otherwise: 12 });
    expect(() => read.finish()).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', details: { missing: ['heads'], keys: ['heads'] } }),
    );
  });

  it('takes what tensors cannot tell from the published model they fit', () => {
    const read = reader();
    read.size('width', width);
    read.lookUp([
      { name: 'large', sizes: { width: 16 }, options: { heads: 8 } },
      { name: 'small', sizes: { width: 8 }, options: { heads: 2 } },
    ]);
    expect(read.size('heads', { keys: ['heads'], otherwise: 12 })).toBe(2);
    expect(read.published?.name).toBe('small');
    read.finish();
  });

  it.each([
    [{ heads: 0 }, 'heads must be a positive integer, not 0'],
    [{ heads: 3 }, 'heads 3 does not divide width 8'],
    [{ heads: '4' }, 'heads must be a positive integer, not "4"'],
    [{ heads: 1e300 }, 'heads must be a positive integer'],
    [{ heads: 4, act: 'mish' }, 'act must be one of gelu, silu, not "mish"'],
    [{ heads: 4, model_type: 'llama' }, 'the tensors are those of BERT, but model_type is "llama"'],
  ])('refuses %j', (config, rule) => {
    const read = reader(config);
    read.size('width', width);
    read.size('heads', { keys: ['heads'] });
    read.choice('act', ['gelu', 'silu'], { keys: ['act'], otherwise: 'gelu' });
    read.assertDivides('heads', 'width');
    read.assertModelType('BERT', ['bert']);
    expect(() => read.finish()).toThrow(expect.objectContaining({ message: expect.stringContaining(rule) }));
  });

  it('reads null where a key stands for none', () => {
    const read = reader({ window: null });
    expect([read.raw('window'), read.raw('absent')]).toEqual([null, undefined]);
  });
});
