import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { withAtomicOutput } from '../../../../src/core/bytes/output.js';
import { formatEnsemble } from '../../../../src/core/ensemble/ensemble-file.js';
import { makeProbes } from '../../../../src/core/gate/probes.js';
import { type MergeEnsembleOptions, mergeEnsemble } from '../../../../src/core/lifecycle/ensemble/merge.js';
import {
  type Decision,
  MANIFEST_KEY,
  type Manifest,
  type Mode,
  manifestOf,
  TOKENIZER_KEY,
} from '../../../../src/core/onnx/manifest.js';
import { type OnnxModel, setMetadata } from '../../../../src/core/onnx/model.js';
import { openOnnx } from '../../../../src/core/onnx/read.js';
import { writeOnnx } from '../../../../src/core/onnx/write.js';
import { openSession } from '../../../../src/core/runtime/ort.js';
import type { OptimizationLevel } from '../../../../src/core/runtime/session.js';
import type { TensorValue } from '../../../../src/core/runtime/value.js';
import { readTensor, type Tensor } from '../../../../src/core/tensor/tensor.js';
import { floats } from '../../../helpers/graphs.js';
import { goldenModel } from '../../../helpers/models.js';
import { changedPico, exportFile } from '../../../helpers/pico.js';
import { tempFolder } from '../../../helpers/temp.js';

/** Two exports of every mode that share their encoders and differ in their heads. */
let members: string;
const member = (mode: Mode, which: 'a' | 'b'): string => join(members, `${mode}-${which}.onnx`);

/** Its values in the opposite order: other weights of the same size. */
const reversed = (tensor: Tensor): Tensor => ({
  ...tensor,
  async *chunks() {
    const bytes = await readTensor(tensor);
    yield new Uint8Array(new Uint16Array(bytes.slice().buffer).reverse().buffer);
  },
});

beforeAll(async () => {
  members = mkdtempSync(join(tmpdir(), 'hpsv3-members-'));
  const checkpoint = await changedPico(members, (tensor) =>
    tensor.name.startsWith('head.') ? reversed(tensor) : tensor,
  );
  for (const mode of ['item', 'pair', 'head'] as const) {
    const options = { mode, modality: 'image', force: true } as const;
    await exportFile(member(mode, 'a'), options);
    await exportFile(member(mode, 'b'), { ...options, checkpoint });
  }
});

afterAll(() => rmSync(members, { recursive: true, force: true }));

const merged = (out: string, options: Partial<MergeEnsembleOptions> = {}) =>
  mergeEnsemble({
    members: [
      { path: member('pair', 'a'), weight: 0.6 },
      { path: member('pair', 'b'), weight: 0.4 },
    ],
    out,
    gate: 'quick',
    seed: 0,
    externalData: false,
    force: false,
    ...options,
  });

const both = (mode: Mode) => [
  { path: member(mode, 'a'), weight: 3 },
  { path: member(mode, 'b'), weight: 1 },
];

async function run(
  path: string,
  optimization: OptimizationLevel = 'all',
): Promise<{ outputs: Map<string, TensorValue>; manifest: Manifest }> {
  const manifest = readManifest(path);
  const session = await openSession(path, { optimization, threads: 1 });
  try {
    const { feeds } = makeProbes(session.inputs, manifest, { rows: 6, seed: 'ensemble', file: 'test' });
    return { outputs: await session.run(feeds), manifest };
  } finally {
    await session.release();
  }
}

function readManifest(path: string): Manifest {
  const file = openOnnx(path);
  try {
    return manifestOf(file.model, 'test')!;
  } finally {
    file.close();
  }
}

/** Bytes of all initializers. */
function weightBytes(path: string): number {
  const file = openOnnx(path);
  file.close();
  return file.model.graph.initializer.reduce((sum, { rawData }) => sum + (rawData?.byteLength ?? 0), 0);
}

/** A copy of a member with something changed. */
async function changed(
  path: string,
  into: string,
  change: (model: OnnxModel, manifest: Manifest) => void,
): Promise<string> {
  const file = openOnnx(path);
  try {
    const manifest = manifestOf(file.model, 'test')!;
    change(file.model, manifest);
    setMetadata(file.model, MANIFEST_KEY, JSON.stringify(manifest));
    const out = join(into, 'changed.onnx');
    await withAtomicOutput(out, { force: true }, (output) => writeOnnx(file.model, output));
    return out;
  } finally {
    file.close();
  }
}

/** An ensemble file of two members, bound to a decision and, for member a, to a model. */
function ensembleFile(folder: string, bound: { decision?: Decision; model?: string } = {}): string {
  const path = join(folder, 'ensemble.json');
  const scores = { name: 'x.jsonl', sha256: '0'.repeat(64) };
  const members = [
    { name: 'b', weight: 0.25, share: 0.25, scores, model: null },
    { name: 'a', weight: 0.75, share: 0.75, scores, model: bound.model ?? null },
  ];
  writeFileSync(
    path,
    formatEnsemble({
      schema: 'hpsv3/ensemble@1',
      method: 'weights',
      decision: bound.decision ?? null,
      members,
      slope: 2,
      missing: 'zero',
      fit: null,
      judged: null,
      tool: 'test',
    }),
  );
  return path;
}

const AVERAGED = {
  item: ['utility_logit'],
  pair: ['left_utility_logit', 'right_utility_logit', 'logit', 'pair_logit'],
  head: ['left_utility_logit', 'right_utility_logit', 'logit', 'pair_logit'],
};

describe('mergeEnsemble', () => {
  it.each(['item', 'pair', 'head'] as const)(
    'gives the weighted average of the logits at every level of optimisation, mode %s',
    async (mode) => {
      const out = join(tempFolder(), 'ensemble.onnx');
      const report = await merged(out, { members: both(mode), gate: 'full' });
      expect(report.gate).toMatchObject({ passed: true, reference: 'members', flips: 0 });
      const [a, b] = [await run(member(mode, 'a')), await run(member(mode, 'b'))];
      for (const optimization of ['disabled', 'basic', 'all'] as const) {
        const { outputs } = await run(out, optimization);
        expect([...outputs.keys()].filter((name) => name !== 'utility')).toEqual(AVERAGED[mode]);
        for (const name of AVERAGED[mode]) {
          const [x, y] = [floats(a.outputs, name), floats(b.outputs, name)];
          expect(x).not.toEqual(y);
          expect(floats(outputs, name)).toBeAllClose(
            x.map((value, i) => 0.75 * value + 0.25 * y[i]),
            { atol: 1e-5 },
          );
        }
      }
    },
  );

  it('bounds the averaged utility of an item', async () => {
    const out = join(tempFolder(), 'ensemble.onnx');
    await merged(out, { members: both('item') });
    const { outputs } = await run(out);
    expect(floats(outputs, 'utility')).toBeAllClose(floats(outputs, 'utility_logit').map(Math.tanh), { atol: 1e-6 });
  });

  it('stores what the members have in common once', async () => {
    const out = join(tempFolder(), 'ensemble.onnx');
    const same = { path: member('pair', 'a'), weight: 1 };
    const { shared } = await merged(out, { members: [same, same] });
    const one = weightBytes(same.path);
    const coefficients = 2 * Float32Array.BYTES_PER_ELEMENT;
    expect(shared.bytes).toBe(2 * one + coefficients - weightBytes(out));
    expect(weightBytes(out)).toBeLessThanOrEqual(one + coefficients);
  });

  it('stores equal encoders under different heads once', async () => {
    const out = join(tempFolder(), 'ensemble.onnx');
    await merged(out, { members: both('pair') });
    const [pair, head] = [weightBytes(member('pair', 'a')), weightBytes(member('head', 'a'))];
    expect(weightBytes(out)).toBeLessThan(pair + 1.1 * head);
  });

  it('says in its manifest what it is and what it was made from', async () => {
    const out = join(tempFolder(), 'ensemble.onnx');
    const report = await merged(out);
    const manifest = readManifest(out);
    const sha256 = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');
    expect(manifest).toMatchObject({
      architecture: 'ensemble',
      mode: 'pair',
      modality: 'image',
      decision: 'pair-head',
      calibrator: null,
    });
    expect(manifest.inputs).toEqual(readManifest(member('pair', 'a')).inputs);
    expect(manifest.lineage.map(({ step }) => step)).toEqual(['export', 'export', 'ensemble']);
    expect(manifest.lineage.at(-1)).toMatchObject({
      options: { weights: [0.6, 0.4], slope: 1 },
      inputs: [
        { name: 'pair-a.onnx', sha256: sha256(member('pair', 'a')) },
        { name: 'pair-b.onnx', sha256: sha256(member('pair', 'b')) },
      ],
    });
    expect(JSON.parse(readFileSync(`${out}.report.json`, 'utf8'))).toEqual({
      schema: 'hpsv3/ensemble-merge@1',
      ...JSON.parse(JSON.stringify(report)),
    });
    expect(report.sha256).toBe(sha256(out));
  });

  it('writes the same bytes twice, and with external data', async () => {
    const folder = tempFolder();
    const first = await merged(join(folder, 'first.onnx'), { gate: 'off' });
    const second = await merged(join(folder, 'second.onnx'), { gate: 'off' });
    expect(second.sha256).toBe(first.sha256);
    const external = await merged(join(folder, 'external.onnx'), { externalData: true });
    expect(external.externalData).toMatchObject({ name: 'external.onnx.data' });
    expect(external.gate.passed).toBe(true);
  });

  it('takes members that are ensembles themselves', async () => {
    const folder = tempFolder();
    await merged(join(folder, 'inner.onnx'), { members: both('head') });
    const report = await merged(join(folder, 'outer.onnx'), {
      members: [
        { path: join(folder, 'inner.onnx'), weight: 1 },
        { path: member('head', 'b'), weight: 1 },
      ],
    });
    expect(report.gate.passed).toBe(true);
  });

  it('takes weights and slope from an ensemble file, by name', async () => {
    const folder = tempFolder();
    const ensemble = ensembleFile(folder);
    const named = [
      { path: member('head', 'a'), name: 'a' },
      { path: member('head', 'b'), name: 'b' },
    ];
    const out = join(folder, 'ensemble.onnx');
    await merged(out, { members: named, ensemble });
    const [a, b, { outputs }] = [await run(member('head', 'a')), await run(member('head', 'b')), await run(out)];
    const [x, y] = [floats(a.outputs, 'pair_logit'), floats(b.outputs, 'pair_logit')];
    expect(floats(outputs, 'pair_logit')).toBeAllClose(
      x.map((value, i) => 1.5 * value + 0.5 * y[i]),
      { atol: 1e-5 },
    );
    for (const [wrong, message] of [
      [[named[0], { ...named[1], name: 'c' }], /c is no member/],
      [[named[0], named[0]], /two models have one name/],
      [[named[0], { ...named[1], weight: 1 }], /members have weights/],
    ] as const) {
      await expect(merged(join(folder, 'x.onnx'), { members: wrong, ensemble })).rejects.toMatchObject({
        code: 'USAGE',
        message: expect.stringMatching(message),
      });
    }
  });

  it('refuses models that the ensemble file was not made for', async () => {
    const folder = tempFolder();
    const named = [
      { path: member('head', 'a'), name: 'a' },
      { path: member('head', 'b'), name: 'b' },
    ];
    const out = join(folder, 'ensemble.onnx');
    const hash = createHash('sha256').update(readFileSync(named[0].path)).digest('hex');
    await merged(out, { members: named, ensemble: ensembleFile(folder, { decision: 'pair-head', model: hash }) });
    for (const [bound, message] of [
      [
        { decision: 'utility-difference' },
        /head-a.onnx decides by pair-head, the scores of the ensemble by utility-difference/,
      ],
      [{ model: '1'.repeat(64) }, /head-a.onnx is another model now/],
    ] as const) {
      const refused = merged(out, { members: named, ensemble: ensembleFile(folder, bound), force: true });
      await expect(refused).rejects.toMatchObject({
        code: 'MODELS_INCOMPARABLE',
        message: expect.stringMatching(message),
      });
    }
  });

  it('leaves out a member with a weight of 0, and says so', async () => {
    const out = join(tempFolder(), 'ensemble.onnx');
    const report = await merged(out, { members: [both('head')[0], { path: member('head', 'b'), weight: 0 }] });
    expect(report.members.map(({ file }) => file)).toEqual(['head-a.onnx']);
    expect(report.warnings).toEqual(['head-b.onnx has a weight of 0: left out.']);
  });

  it('refuses a member with NaN, by the gate where that is allowed, and writes nothing', async () => {
    const folder = tempFolder();
    const nan = await changed(member('head', 'b'), folder, ({ graph }) => {
      const bias = graph.initializer.find(({ name }) => name === 'head.pair2.bias')!;
      bias.rawData = new Uint8Array(Float32Array.of(Number.NaN).buffer);
    });
    const out = join(folder, 'ensemble.onnx');
    const members = [both('head')[0], { path: nan, weight: 1 }];
    await expect(merged(out, { members })).rejects.toMatchObject({
      code: 'NONFINITE_WEIGHTS',
      details: { tensor: 'member_1/head.pair2.bias' },
    });
    const judged = merged(out, { members, allowNonfinite: true });
    await expect(judged).rejects.toMatchObject({ code: 'GATE_FAILED', exitCode: 3 });
    expect(existsSync(out)).toBe(false);
    expect(existsSync(`${out}.report.json`)).toBe(false);
  });

  it.each<[string, RegExp, (model: OnnxModel, manifest: Manifest) => void]>([
    [
      'decision',
      /decision is pair-head in one and utility-difference in the other/,
      (_, manifest) => {
        manifest.decision = 'utility-difference';
      },
    ],
    [
      'modality',
      /modality is (null|image) in one and video in the other/,
      (_, manifest) => {
        manifest.modality = 'video';
      },
    ],
    [
      'size of an input',
      /inputs\.left\.shape\.1 is 12 in one and 13 in the other/,
      (_, manifest) => {
        manifest.inputs[0].shape = ['batch', 13];
      },
    ],
    [
      'name of an input',
      /inputs\.left is .* in one and absent in the other; inputs\.links is absent/,
      ({ graph }, manifest) => {
        manifest.inputs[0].name = 'links';
        graph.input[0].name = 'links';
        for (const each of graph.node) each.input = each.input.map((name) => (name === 'left' ? 'links' : name));
      },
    ],
    [
      'preprocessing',
      /inputs\.right\.preprocess\.normalize is none in one and l2 in the other/,
      (_, manifest) => {
        manifest.inputs[1].preprocess = { kind: 'embedding', encoder: null, normalize: 'l2' };
      },
    ],
    [
      'opset',
      /opset\.ai\.onnx is 14 in one and 15 in the other/,
      ({ opsetImport }) => {
        opsetImport[0].version = 15;
      },
    ],
    ['tokenizer', /their tokenizers differ/, (model) => setMetadata(model, TOKENIZER_KEY, '{}')],
    [
      'session options',
      /session\.x is absent in one and 1 in the other/,
      (_, manifest) => {
        manifest.session = { x: '1' };
      },
    ],
  ])('refuses members of another %s, and names the difference', async (_, message, change) => {
    const folder = tempFolder();
    const other = await changed(member('head', 'b'), folder, change);
    const members = [both('head')[0], { path: other, weight: 1 }];
    await expect(merged(join(folder, 'ensemble.onnx'), { members })).rejects.toMatchObject({
      code: 'MODELS_INCOMPARABLE',
      exitCode: 2,
      message: expect.stringMatching(message),
    });
  });

  it('refuses a model that does not say what it is', async () => {
    const members = [both('head')[0], { path: goldenModel('gate', 'item-plain'), weight: 1 }];
    await expect(merged(join(tempFolder(), 'ensemble.onnx'), { members })).rejects.toMatchObject({
      code: 'MODELS_INCOMPARABLE',
      message: expect.stringContaining('item-plain.onnx does not say'),
    });
  });

  it.each([
    [[0, 0], /sum to 0/],
    [[-1, 2], /is -1/],
    [[Number.NaN, 1], /is NaN/],
    [[Number.POSITIVE_INFINITY, 1], /is Infinity/],
    [[1, undefined], /has no weight/],
  ])('refuses the weights %j', async (weights, message) => {
    const members = both('head').map(({ path }, m) => ({ path, weight: weights[m] }));
    await expect(merged(join(tempFolder(), 'ensemble.onnx'), { members })).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringMatching(message),
    });
  });

  it('does not overwrite a file or a member', async () => {
    const folder = tempFolder();
    const copy = join(folder, 'copy.onnx');
    copyFileSync(member('head', 'a'), copy);
    await expect(merged(copy)).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' });
    const members = [{ path: copy, weight: 1 }, both('head')[1]];
    await expect(merged(copy, { members, force: true })).rejects.toMatchObject({ code: 'OUTPUT_INVALID' });
  });
});
