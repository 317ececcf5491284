import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JsonObject, JsonValue } from '../../../src/core/bytes/json.js';
import { NOTHING_BESIDE } from '../../../src/core/checkpoint/beside.js';
import { weightsElsewhere } from '../../../src/core/checkpoint/elsewhere.js';
import { unwrapNames } from '../../../src/core/checkpoint/wrappers.js';
import type { Dtype } from '../../../src/core/tensor/dtype.js';

/** Tensors by name: one float of shape [2] each, or what is given. */
const tensors = (names: readonly string[], special: Readonly<Record<string, [Dtype, readonly number[]]>> = {}) =>
  new Map(
    [...names, ...Object.keys(special)].map((name) => {
      const [dtype, shape] = special[name] ?? ['F32', [2]];
      return [name, { name, dtype, shape }] as const;
    }),
  );

const unwrap = (...args: Parameters<typeof tensors>) => {
  const { names, ignored, ...rest } = unwrapNames(tensors(...args));
  return { ...rest, short: [...names.values()], left: ignored.map(({ name }) => name), ignored };
};

describe('unwrapNames', () => {
  it.each([
    ['torch.compile of a submodule', ['visual._orig_mod.a', 'head.b'], ['visual.a', 'head.b'], ['_orig_mod']],
    ['FSDP', ['a._fsdp_wrapped_module.w', 'b.0._fsdp_wrapped_module.w'], ['a.w', 'b.0.w'], ['_fsdp_wrapped_module']],
    [
      'activation checkpoints',
      ['l.0._checkpoint_wrapped_module.w', 'l.1.w'],
      ['l.0.w', 'l.1.w'],
      ['_checkpoint_wrapped_module'],
    ],
    [
      'DataParallel of a submodule',
      ['visual.module.a', 'visual.module.b', 'head.c'],
      ['visual.a', 'visual.b', 'head.c'],
      ['module'],
    ],
    ['one in another', ['a.module._orig_mod.module.w', 'b.w'], ['a.w', 'b.w'], ['module', '_orig_mod']],
    ['an own module of that name', ['a.module.w', 'a.scale'], ['a.module.w', 'a.scale'], []],
    ['a model inside of a name', ['encoder.model.w', 'encoder.model.b'], ['encoder.model.w', 'encoder.model.b'], []],
    ['a tensor of that name', ['a._orig_mod', 'module'], ['a._orig_mod', 'module'], []],
    ['names that would come to one', ['a._orig_mod.w', 'a.w'], ['a._orig_mod.w', 'a.w'], []],
  ])('inside: %s', (_what, names, short, strippedInside) => {
    expect(unwrap(names)).toEqual({ strippedPrefix: '', strippedInside, short, left: [], ignored: [] });
  });

  it.each([
    ['the counter of an averaged model', ['module.a', 'module.b'], { n_averaged: ['I64', []] }, 'module.', ['a', 'b']],
    ['buffers of a loss', ['model._orig_mod.a'], { 'loss.pos_weight': ['F32', [1]] }, 'model._orig_mod.', ['a']],
    ['a network of a loss', ['net.a'], { 'perceptual_loss.vgg.0.weight': ['F32', [3, 3]] }, 'net.', ['a']],
    ['counters of a metric', ['model.a'], { 'val_acc.correct': ['I64', [4]] }, 'model.', ['a']],
    [
      'an average of a submodule',
      ['enc.module.a', 'head.b'],
      { 'enc.n_averaged': ['I64', [1]] },
      '',
      ['enc.a', 'head.b'],
    ],
  ] as const)('beside %s, which is left out', (_what, names, special, prefix, short) => {
    const found = unwrap(names, special as never);
    expect(found).toMatchObject({ strippedPrefix: prefix, short, left: Object.keys(special) });
    expect(found.ignored[0].reason).toContain('training');
  });

  it('leaves out another copy of the model, and says how to read it', () => {
    const found = unwrap(['model.a', 'model.b.c', 'ema_model.a', 'ema_model.b.c']);
    expect(found.short).toEqual(['a', 'b.c']);
    expect(found.ignored).toEqual([{ name: 'ema_model.*', reason: 'another state dict; `key` ema_model reads it' }]);
    const wrapped = unwrap(['module.model.a', 'module.ema_model._orig_mod.a']);
    expect(wrapped.short).toEqual(['a']);
    expect(wrapped.ignored[0].name).toBe('module.ema_model.*');
  });

  it.each([
    ['a head', ['model.layers.0.weight', 'score.weight'], {}],
    ['a part of another copy', ['model.a', 'model.b', 'ema_model.a'], {}],
    ['a scalar weight', ['model.a'], { logit_scale: ['F32', []] }],
    ['weights of any kind', ['module.a', 'b'], {}],
  ] as const)('removes nothing beside %s', (_what, names, special) => {
    const all = [...names, ...Object.keys(special)];
    expect(unwrap(names, special as never)).toMatchObject({ strippedPrefix: '', short: all, left: [] });
  });

  it('gives every name back once, whatever the wrappers', () => {
    const step = fc.constantFrom('a', 'b', '0', 'model', 'module', '_orig_mod', 'n_averaged', 'loss', '');
    const name = fc.array(step, { minLength: 1, maxLength: 6 }).map((steps) => steps.join('.'));
    fc.assert(
      fc.property(fc.uniqueArray(name, { maxLength: 8 }), (names) => {
        const found = unwrapNames(tensors(names));
        expect(new Set(found.names.values()).size).toBe(found.names.size);
        const left = names.filter((each) => !found.names.has(each));
        const groups = found.ignored.map((each) => each.name);
        for (const each of left)
          expect(groups.some((group) => group === each || each.startsWith(group.slice(0, -1)))).toBe(true);
      }),
    );
  });

  it('does not take long over names of thousands of steps', () => {
    const names = Array.from({ length: 200 }, (_, i) => `${'module.'.repeat(580)}${i}`);
    expect(unwrap(names).short).toEqual(names);
  });
});

describe('weightsElsewhere', () => {
  const elsewhere = (found: ReturnType<typeof tensors>, config: JsonObject | null = null) =>
    weightsElsewhere({ tensors: found, beside: { ...NOTHING_BESIDE, json: () => config } });

  it('tells an adapter without its base, which it names where that is a name', () => {
    const factors = tensors(['base_model.model.q.lora_A.weight', 'base_model.model.q.lora_B.weight', 'score.weight']);
    const base = (name: JsonValue) => elsewhere(factors, { base_model_name_or_path: name })!;
    expect(base('owner/name')).toMatchObject({ what: expect.stringContaining('2 of 3 tensors are factors of a LoRA') });
    expect(base('owner/name').hint).toContain('(by its configuration that is owner/name;');
    for (const odd of ['$(rm -rf ~)', 'a\nb', '\u001b[2J', 'x'.repeat(1000), 7, null]) {
      expect(base(odd).hint).toBe('Give it with `adapter`, and its base with `checkpoint`.');
    }
    expect(elsewhere(tensors(['q.lora_A.weight', 'a.weight', 'b.weight']))).toBeNull();
  });

  it('tells the empty weights of ZeRO-3', () => {
    const found = elsewhere(tensors([], { 'a.weight': ['F32', [0]], 'a.bias': ['F32', [0]], step: ['I64', []] }));
    expect(found!.what).toContain('2 of 2 weights have no elements (a.weight, a.bias)');
    expect(found!.hint).toContain('zero_to_fp32.py');
  });

  it('tells the flattened weights of FSDP', () => {
    expect(elsewhere(tensors(['layers.0._flat_param', 'head.weight']))!.what).toContain('1 of 2');
  });

  it('says nothing of a model with an empty buffer', () => {
    expect(elsewhere(tensors(['a.weight', 'a.bias'], { cache: ['F32', [0, 4]] }))).toBeNull();
  });
});
