import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SideName } from '../../../src/core/explanation/decision.js';
import { Explainer } from '../../../src/core/explanation/explainer.js';
import { smoothgrad } from '../../../src/core/explanation/methods/gradient.js';
import { DEFAULT_SETTINGS, type MethodId } from '../../../src/core/explanation/methods/method.js';
import type { PreparedSide } from '../../../src/core/explanation/prepared.js';
import type { Modality } from '../../../src/core/onnx/manifest.js';
import { float32Value, type TensorValue } from '../../../src/core/runtime/value.js';
import { hashed } from '../../helpers/hashed.js';
import { exportFile } from '../../helpers/pico.js';
import { sharedFolder } from '../../helpers/temp.js';

interface Kept {
  readonly stride: number;
  readonly norm: number;
  readonly largest: number;
  readonly samples: readonly number[];
}

interface Case {
  readonly name: string;
  readonly checkpoint: string;
  readonly modality: Modality | null;
  readonly mode: 'item' | 'pair';
  readonly kind: 'item' | 'pair';
  readonly patch: number | null;
  readonly imageSeed: number;
  readonly noiseSeed: number;
  readonly logit: number;
  readonly parts: readonly { readonly side: SideName; readonly kind: string; readonly shape: readonly number[] }[];
  readonly ids: Readonly<Record<string, readonly number[]>>;
  readonly masks: Readonly<Record<string, readonly number[]>>;
  readonly methods: Readonly<Record<string, readonly (Kept | null)[]>>;
}

const root = fileURLToPath(new URL('../../../', import.meta.url));
/** Made by captum 0.9.0 (tests/golden/explanation/make.py). */
const golden = JSON.parse(readFileSync(join(root, 'tests/golden/explanation/cases.json'), 'utf8')) as {
  readonly nodes: number;
  readonly copies: number;
  readonly noise: number;
  readonly cases: readonly Case[];
};

/** Largest difference as a share of the largest magnitude. */
const TOLERANCE = 1e-5;

const settings = {
  ...DEFAULT_SETTINGS,
  nodes: golden.nodes,
  mostNodes: golden.nodes,
  copies: golden.copies,
  noise: golden.noise,
};

/** @param scale - of the numbers that values are differences of */
function expectClose(values: Float32Array, kept: Kept, scale = 0): void {
  const bound = TOLERANCE * Math.max(kept.largest, scale);
  const samples = kept.samples.map((_, i) => values[i * kept.stride]);
  const worst = Math.max(...samples.map((value, i) => Math.abs(value - kept.samples[i])));
  expect(worst).toBeLessThanOrEqual(bound);
  if (kept.stride === 1) return;
  const norm = Math.hypot(...values);
  expect(Math.abs(norm - kept.norm)).toBeLessThanOrEqual(TOLERANCE * kept.norm);
}

const ints = (row: readonly number[]): TensorValue => ({
  dtype: 'I64',
  shape: [1, row.length],
  data: BigInt64Array.from(row, BigInt),
});

describe.each(golden.cases)('$name, against captum', (golden) => {
  let explainer: Explainer;
  let sides: PreparedSide[];
  const folder = sharedFolder();

  beforeAll(async () => {
    const out = join(folder, 'model.onnx');
    const { checkpoint, modality, mode } = golden;
    await exportFile(out, { checkpoint: join(root, checkpoint), modality: modality ?? undefined, mode });
    explainer = await Explainer.open(out, {});
    const names = [...new Set(golden.parts.map(({ side }) => side))];
    sides = names.map((side, at) => {
      const inputs = new Map<string, TensorValue>();
      for (const { name, shape, preprocess } of explainer.contract.inputs) {
        const length = golden.ids[side].length;
        if (preprocess.kind === 'image') {
          const size = shape.slice(1) as number[];
          inputs.set(name, float32Value([1, ...size], hashed(size[0] * size[1] * size[2], golden.imageSeed + at)));
        } else if (preprocess.kind === 'text') inputs.set(name, ints(golden.ids[side]));
        else if (preprocess.kind === 'text-mask') inputs.set(name, ints(golden.masks[side]));
        else inputs.set(name, ints(Array.from({ length }, () => 0)));
      }
      return { side, inputs, tokens: null, truncated: false };
    });
  });
  afterAll(() => explainer.close());

  it.each(['gradient', 'input-x-gradient', 'ig', 'gradcam', 'rollout', 'relevance'] as const)(
    '%s',
    async (method: MethodId) => {
      const kept = golden.methods[method];
      if (!kept) return;
      const { maps, logit } = await explainer.explainInputs(sides, method, settings);
      expect(logit).toBeCloseTo(golden.logit, 4);
      const found = kept.flatMap((each, i) => (each ? [{ each, part: golden.parts[i] }] : []));
      for (const { each, part } of found) {
        const map = maps.find((one) => one.part.side === part.side && one.part.kind === part.kind);
        expectClose(map!.values, each);
      }
      expect(maps).toHaveLength(found.length);
    },
  );

  it('smoothgrad, with the same noise', async () => {
    const given = await explainer.gradientCase(sides, settings, {});
    const { attributions } = await smoothgrad(given, (part, copy) => {
      const at = given.inputs.parts.indexOf(part);
      const size = part.x.length;
      return hashed(settings.copies * size, golden.noiseSeed + at).subarray(copy * size, (copy + 1) * size);
    });
    for (const [i, { values }] of attributions.entries()) expectClose(values, golden.methods.smoothgrad[i]!);
  });

  it('occlusion', async () => {
    const { maps } = await explainer.explainInputs(sides, 'occlusion', { ...settings, patch: golden.patch });
    for (const [i, { shape, values }] of maps.entries()) {
      const each = golden.methods[golden.parts[i].kind === 'text' ? 'occlusion-text' : 'occlusion'][i]!;
      if (golden.parts[i].kind === 'text') {
        expectClose(values, each, Math.abs(golden.logit));
        continue;
      }
      // captum repeats a patch's number at each of its pixels.
      const [, height, width] = golden.parts[i].shape;
      const spread = Float32Array.from({ length: height * width }, (_, at) => {
        const [y, x] = [Math.floor(at / width), at % width];
        return values[Math.floor(y / golden.patch!) * shape[1] + Math.floor(x / golden.patch!)];
      });
      expectClose(spread, each, Math.abs(golden.logit));
    }
  });
});
