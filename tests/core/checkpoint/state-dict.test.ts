import { describe, expect, it } from 'vitest';
import type { CheckpointNode } from '../../../src/core/checkpoint/format.js';
import { chooseStateDict } from '../../../src/core/checkpoint/state-dict.js';
import type { HpsError } from '../../../src/core/errors.js';
import { tensorFromBytes } from '../../../src/core/tensor/tensor.js';

const TENSOR: CheckpointNode = {
  kind: 'tensor',
  tensor: tensorFromBytes({ name: '?', dtype: 'F32', shape: [1] }, new Uint8Array(4)),
};
const OPAQUE: CheckpointNode = { kind: 'opaque', description: 'numpy number' };

type Sketch = CheckpointNode | string | number | null | readonly Sketch[] | { readonly [key: string]: Sketch };

/** A tree from plain values; tensors and opaque values stand as they are. */
function node(sketch: Sketch): CheckpointNode {
  if (sketch === TENSOR || sketch === OPAQUE) return sketch as CheckpointNode;
  if (Array.isArray(sketch)) return { kind: 'list', items: sketch.map(node) };
  if (sketch === null || typeof sketch !== 'object') return { kind: 'value', value: sketch as string | number | null };
  return { kind: 'map', entries: new Map(Object.entries(sketch).map(([key, value]) => [key, node(value)])) };
}

const choose = (sketch: Sketch, key?: string) => {
  const stateDict = chooseStateDict(node(sketch), 'x.pt', key);
  return {
    ...stateDict,
    names: [...stateDict.tensors.keys()],
    ignoredNames: stateDict.ignored.map(({ name }) => name),
  };
};

const failure = (use: () => unknown): HpsError => {
  try {
    use();
  } catch (error) {
    return error as HpsError;
  }
  throw new Error('nothing was refused');
};

describe('chooseStateDict', () => {
  it('takes the root where it holds the tensors', () => {
    expect(choose({ 'a.weight': TENSOR, 'a.bias': TENSOR })).toMatchObject({
      key: '',
      strippedPrefix: '',
      names: ['a.weight', 'a.bias'],
      ignored: [],
    });
  });

  it.each(['state_dict', 'model', 'model_state_dict', 'module', 'net', 'params', 'ema', 'ema_state_dict'])(
    'looks under %s',
    (key) => {
      const { names, ignored, ...rest } = choose({ epoch: 3, [key]: { w: TENSOR } });
      expect(rest.key).toBe(key);
      expect(names).toEqual(['w']);
      expect(ignored).toEqual([{ name: 'epoch', reason: `outside ${key}: 3` }]);
    },
  );

  it('follows keys inside keys', () => {
    expect(choose({ model: { state_dict: { w: TENSOR }, step: 1 } })).toMatchObject({
      key: 'model.state_dict',
      names: ['w'],
      ignoredNames: ['model.step'],
    });
  });

  it('prefers the model to its moving average, and says how to read that', () => {
    const { key, ignored } = choose({
      ema: { w: TENSOR },
      model: { w: TENSOR },
      optimizer: { state: { 0: { exp_avg: TENSOR } } },
    });
    expect(key).toBe('model');
    expect(ignored[0]).toEqual({ name: 'ema', reason: 'another state dict; `key` ema reads it' });
    expect(ignored[1].name).toBe('optimizer');
  });

  it('does not take a tensor named like a key for a state dict', () => {
    expect(choose({ params: TENSOR, model: { w: TENSOR } }).key).toBe('model');
    expect(choose({ params: TENSOR, w: TENSOR }).names).toEqual(['params', 'w']);
  });

  it('joins nested maps and lists by dots, and leaves out the state of the training', () => {
    const { names, ignoredNames } = choose({
      encoder: { w: TENSOR },
      heads: [TENSOR, { b: TENSOR }],
      optimizer_states: [{ m: TENSOR }],
      notes: ['x'],
    });
    expect(names).toEqual(['encoder.w', 'heads.0', 'heads.1.b']);
    expect(ignoredNames).toEqual(['optimizer_states', 'notes']);
  });

  it('names the tensors of a list by their places, and a single one `tensor`', () => {
    expect(choose([TENSOR, TENSOR]).names).toEqual(['0', '1']);
    expect(choose(TENSOR).names).toEqual(['tensor']);
  });

  it('lists what is no tensor with what it is', () => {
    expect(choose({ w: TENSOR, version: 2, extra: OPAQUE, empty: {} }).ignored).toEqual([
      { name: 'version', reason: 'not a tensor: 2' },
      { name: 'extra', reason: 'not a tensor: numpy number' },
      { name: 'empty', reason: 'not a tensor: a map of 0' },
    ]);
  });

  describe('with a key', () => {
    const file = { model: { w: TENSOR }, ema: { 'a.b': { w: TENSOR }, list: [{ w: TENSOR }] }, epoch: 1 };

    it.each([
      ['ema/a.b', ['w']],
      ['ema.a.b', ['w']],
      ['ema.list.0', ['w']],
      ['model', ['w']],
      ['ema', ['a.b.w', 'list.0.w']],
    ])('%s leads to %j', (key, names) => {
      expect(choose(file, key)).toMatchObject({ key, names });
    });

    it.each(['nothing', 'epoch', 'model/', 'model.w.x', '__proto__', 'ema.list.1'])(
      '%s leads nowhere, which names the keys there are',
      (key) => {
        const error = failure(() => choose(file, key));
        expect(error.code).toBe('TENSOR_NOT_FOUND');
        expect(error.hint).toContain('model, ema');
      },
    );
  });

  describe('with the first steps of names as a key', () => {
    const flat = { 'model.a': TENSOR, 'model.b.c': TENSOR, 'ema_model.module.a': TENSOR, 'loss.w': TENSOR };

    it.each([
      ['model', ['a', 'b.c'], ['ema_model.module.a', 'loss.w']],
      ['model.', ['a', 'b.c'], ['ema_model.module.a', 'loss.w']],
      ['model.b', ['c'], ['model.a', 'ema_model.module.a', 'loss.w']],
      ['ema_model', ['a'], ['model.*', 'loss.w']],
    ])('%s selects by it', (key, names, ignoredNames) => {
      const found = choose(flat, key);
      expect(found).toMatchObject({ names, ignoredNames });
      expect(`${found.key}.`).toBe(`${key}.`.replace('..', '.'));
    });

    it('selects in the state dict of a training checkpoint too, by its path or without', () => {
      for (const key of ['ema_model', 'state_dict.ema_model'])
        expect(choose({ epoch: 1, state_dict: flat }, key)).toMatchObject({ key, names: ['a'] });
    });

    it.each(['mod', 'loss.w.', 'model..', 'a'])('%s selects nothing, which names the first steps there are', (key) => {
      const error = failure(() => choose(flat, key));
      expect(error.code).toBe('TENSOR_NOT_FOUND');
      expect(error.hint).toContain('tensors lie under: model, ema_model, loss.');
    });
  });

  describe('prefixes', () => {
    it.each([
      [['module.a', 'module.b'], 'module.', ['a', 'b']],
      [['module._orig_mod.a', 'module._orig_mod.b'], 'module._orig_mod.', ['a', 'b']],
      [['model.a', 'model.b'], 'model.', ['a', 'b']],
      [['_orig_mod.model.module.a'], '_orig_mod.model.module.', ['a']],
      [['module.a', 'b'], '', ['module.a', 'b']],
      [['module.'], '', ['module.']],
      [['modules.a'], '', ['modules.a']],
    ])('of %j: %j', (names, prefix, stripped) => {
      const found = choose(Object.fromEntries(names.map((name) => [name, TENSOR])));
      expect(found.strippedPrefix).toBe(prefix);
      expect(found.names).toEqual(stripped);
      expect([...found.tensors.values()].map(({ name }) => name)).toEqual(stripped);
    });
  });

  it.each(['config', 'hparams', 'hyper_parameters', 'args'])('gives back the configuration under %s', (key) => {
    const found = choose({
      state_dict: { w: TENSOR },
      [key]: { depth: 2, name: 'x', widths: [1, null], device: OPAQUE },
    });
    expect(found.configKey).toBe(key);
    expect(found.config).toEqual({ depth: 2, name: 'x', widths: [1, null], device: 'numpy number' });
    expect(found.ignored).toEqual([]);
  });

  it('gives no configuration where there is none, or where it holds tensors', () => {
    expect(choose({ state_dict: { w: TENSOR }, config: { w: TENSOR } }).config).toBeNull();
    expect(choose({ w: TENSOR }).config).toBeNull();
  });

  it('keeps __proto__ of a configuration as a key', () => {
    // A computed key: the literal would set the prototype.
    const { config } = choose({ w: TENSOR, args: { ['__proto__']: { x: 1 } } });
    expect(Object.keys(config!)).toEqual(['__proto__']);
    expect((config as { x?: unknown }).x).toBeUndefined();
  });

  it('refuses two tensors that come to one name', () => {
    expect(failure(() => choose({ 'a.b': TENSOR, a: { b: TENSOR } })).code).toBe('CHECKPOINT_CORRUPT');
  });

  it('says that there are no tensors', () => {
    expect(failure(() => choose({ epoch: 1 })).code).toBe('TENSOR_NOT_FOUND');
  });
});
