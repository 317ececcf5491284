import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { chooseArchitecture } from '../../../src/core/architectures/registry.js';
import { openCheckpoint } from '../../../src/core/checkpoint/open.js';
import type { MediaItem } from '../../../src/core/media/item.js';
import { openPreparer } from '../../../src/core/media/preparer.js';
import { tokenizerBeside, withTokenizer } from '../../../src/core/onnx/tokenizer-file.js';
import { concatRows, floatsOf, isValueDtype, valueFromBytes } from '../../../src/core/runtime/value.js';
import { readTensor } from '../../../src/core/tensor/tensor.js';
import { buildFixture, FAMILY_FIXTURES, openFixture } from '../../helpers/conformance.js';
import { hasFfmpeg } from '../scoring/long-video.js';

/** Pixels after normalisation, where the packages round to 8 bits or not as we do. */
const PIXELS = 1e-6;
const SAMPLES = 1e-5;

interface RawRow {
  readonly image?: string;
  readonly audio?: string;
  readonly video?: string;
  readonly text?: string;
  readonly second?: string;
}

/** The groups of raw inputs of a fixture, and how its export is told to prepare them. */
const GROUPS: Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, string>>>>>> = {
  'clip-open': {
    raw: {},
    raw_noantialias: { preprocess: 'hpsv2-no-antialias' },
    raw_open_clip: { preprocess: 'open-clip' },
  },
};

const cases = FAMILY_FIXTURES.filter((folder) => existsSync(join(folder, 'raw.json'))).flatMap((folder) =>
  Object.entries(GROUPS[basename(folder)] ?? { raw: {} }).map(([group, options]) => ({
    name: basename(folder),
    group,
    folder,
    options,
  })),
);

const itemOf = ({ image, audio, video, text, second }: RawRow, folder: string): MediaItem => ({
  ...(image === undefined ? {} : { image: { path: join(folder, image) } }),
  ...(audio === undefined ? {} : { audio: { path: join(folder, audio) } }),
  ...(video === undefined ? {} : { video: { path: join(folder, video) } }),
  ...(second === undefined ? { text } : { context: text, text: second }),
});

describe('pictures, texts and sounds as the published packages prepare and score them', () => {
  it.for(cases)('$name, $group', async ({ folder, group, options }, { skip }) => {
    const rows: RawRow[] = JSON.parse(readFileSync(join(folder, 'raw.json'), 'utf8'));
    if (!hasFfmpeg && rows.some(({ video }) => video !== undefined)) skip('ffmpeg is not on the PATH');
    const checkpoint = await openFixture(folder);
    const architecture = chooseArchitecture(checkpoint, undefined);
    checkpoint.close();
    const exporter = await architecture.load();
    const overrides = Object.keys(options).length > 0 ? { options } : {};
    const built = await buildFixture(exporter, folder, { overrides });
    const tokenizer = tokenizerBeside(folder);
    const inputs = withTokenizer(built!.contract.inputs, tokenizer, { asStated: built!.contract.textAsStated });
    const preparer = await openPreparer({ inputs, tokenizer: tokenizer?.json ?? null });
    const golden = await openCheckpoint(join(folder, 'golden.safetensors'));
    const value = async (key: string) => {
      const tensor = golden.tensors.get(key)!;
      if (!isValueDtype(tensor.dtype)) throw new RangeError(tensor.dtype);
      return valueFromBytes(tensor.dtype, tensor.shape, await readTensor(tensor));
    };
    const scores = floatsOf(await value(`${group}/out/utility_logit`));
    const seen = new Map<string, number>(); // values of the rows before: clips differ in their number
    for (const [i, row] of rows.entries()) {
      const prepared = await preparer.prepare(itemOf(row, folder));
      for (const [name, { data }] of prepared.inputs) {
        const want = await value(`${group}/in/${name}`);
        const width = want.data.length / rows.length;
        const start = data instanceof Float32Array ? (seen.get(name) ?? 0) : i * width;
        const expected = want.data.slice(start, start + (data instanceof Float32Array ? data.length : width));
        seen.set(name, start + data.length);
        if (data instanceof BigInt64Array) {
          // Texts are prepared without the padding that a batch of them has.
          expect(Array.from(data), `row ${i}, ${name}`).toEqual(
            Array.from(expected as BigInt64Array).slice(0, data.length),
          );
        } else {
          const atol = name === 'input_values' ? SAMPLES : PIXELS;
          expect(data, `row ${i}, ${name}`).toBeAllClose(expected as Float32Array, { atol, rtol: 1e-6 });
        }
      }
      const feeds = new Map([...prepared.inputs].map(([name, each]) => [name, concatRows([each])]));
      const got = floatsOf((await built!.run(feeds)).get('utility_logit')!)[0];
      expect(Math.abs(got - scores[i]), `score of row ${i}`).toBeLessThanOrEqual(exporter.parityTolerance);
    }
    golden.close();
  });
});
