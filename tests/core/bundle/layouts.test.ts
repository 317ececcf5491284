import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { huggingFaceFiles } from '../../../src/core/bundle/huggingface.js';
import { tritonConfig, tritonName } from '../../../src/core/bundle/triton.js';
import { sha256Hex } from '../../../src/core/bytes/hash.js';
import { parseSums } from '../../../src/core/bytes/sums.js';
import { verifyModelCard } from '../../../src/core/lifecycle/card/verify.js';
import { makeModelCard } from '../../../src/core/lifecycle/card/write.js';
import { releaseModels } from '../../../src/core/lifecycle/release/release.js';
import { makeSigningKey } from '../../../src/core/lifecycle/release/sign.js';
import { manifestOf } from '../../../src/core/onnx/manifest.js';
import { DATA_TYPE, type OnnxModel } from '../../../src/core/onnx/model.js';
import { openOnnx } from '../../../src/core/onnx/read.js';
import { tinyModel } from '../../helpers/scoring.js';
import { sharedFolder } from '../../helpers/temp.js';

const folder = sharedFolder();
const at = (name: string) => join(folder, name);
const text = (name: string) => readFileSync(at(name), 'utf8');
const json = (name: string) => JSON.parse(text(name));

let model: string;
beforeAll(async () => {
  model = await tinyModel(folder, 'image-text', 'item');
  writeFileSync(at('card.yaml'), 'name: made up\nlicense: Apache-2.0\nlanguage: [en]\n');
  await makeModelCard({ model, card: at('card.yaml'), out: at('card') });
  await makeSigningKey({ out: at('key.pem') });
  for (const layout of ['huggingface', 'triton'] as const) {
    await releaseModels({
      models: [model],
      card: at('card'),
      targets: [],
      layout,
      sign: at('key.pem'),
      out: at(layout),
    });
  }
}, 60_000);

describe('the folder of a layout', () => {
  it.each([
    ['huggingface', 'onnx/model.onnx'],
    ['triton', 'image-text-item/1/model.onnx'],
  ])('holds the model as it was released, under %s, with the hash of every file', (layout, path) => {
    expect(readFileSync(at(`${layout}/${path}`)).equals(readFileSync(model))).toBe(true);
    const sums = parseSums(text(`${layout}/SHA256SUMS`))!;
    expect(sums.has('model.sig') && sums.has(path)).toBe(true);
    for (const [name, sha256] of sums) expect(sha256Hex(readFileSync(at(`${layout}/${name}`))), name).toBe(sha256);
  });

  it('takes one model, without a calibrator file or samples', async () => {
    const options = { card: at('card'), targets: [], layout: 'triton', out: at('none') } as const;
    for (const wrong of [
      { models: [model, model] },
      { models: [model], calibrator: 'c.json' },
      { models: [model], samples: 's' },
    ]) {
      await expect(releaseModels({ ...options, ...wrong })).rejects.toMatchObject({ code: 'USAGE' });
    }
    expect(existsSync(at('none'))).toBe(false);
  });

  it('needs no runtimes, which archives do', async () => {
    const options = { models: [model], card: at('card'), targets: ['linux-x64'], out: at('none') };
    await expect(releaseModels(options)).rejects.toMatchObject({
      code: 'USAGE',
      hint: expect.stringContaining('fetch'),
    });
  });
});

describe('the layout of Hugging Face', () => {
  it('says that the graph is of no class of Transformers, and which file is loaded', () => {
    expect(json('huggingface/config.json')).toMatchObject({
      model_type: 'hpsv3',
      id2label: { 0: 'utility_logit' },
      'transformers.js_config': { dtype: 'fp32' },
      hpsv3: { modality: 'image-text', mode: 'item' },
    });
    expect(text('huggingface/LOADING.md')).toContain('AutoModel.from_pretrained');
  });

  it('has the tokenizer as it travels in the model, and what is done to pictures', () => {
    expect(json('huggingface/tokenizer.json').model.vocab).toBeTypeOf('object');
    const { preprocess } = json('huggingface/config.json').hpsv3.inputs[0];
    expect(json('huggingface/preprocessor_config.json')).toMatchObject({
      image_mean: preprocess.mean,
      image_std: preprocess.std,
      rescale_factor: preprocess.scale,
      resample: 3,
      size: { shortest_edge: preprocess.resize.shorterSide },
    });
  });

  it('has the card as its README, with front matter, where it still holds', async () => {
    expect(text('huggingface/README.md')).toMatch(
      /^---\nlicense: apache-2\.0\nlanguage:\n {2}- en\nlibrary_name: onnx\n/,
    );
    const card = await verifyModelCard({
      folder: at('huggingface'),
      files: [at('huggingface/onnx')],
      recompute: false,
    });
    expect(card).toMatchObject({ passed: true, changed: [], differences: [] });
  });

  const opened = () => {
    const file = openOnnx(model);
    file.close();
    return manifestOf(file.model, 'model')!;
  };
  const files = (change: (manifest: ReturnType<typeof opened>) => void, tokenizer: string | null = null) => {
    const manifest = opened();
    change(manifest);
    return new Map(
      huggingFaceFiles({ name: 'm', manifest, tokenizer }).map(({ path, content }) => [path, String(content)]),
    );
  };

  it('takes the rule for special tokens out where the model does without them', () => {
    const made = files(
      ({ inputs }) =>
        inputs.forEach(({ preprocess }) => {
          if (preprocess.kind === 'text') preprocess.specialTokens = false;
        }),
      text('huggingface/tokenizer.json'),
    );
    expect(JSON.parse(made.get('tokenizer.json')!).post_processor).toBeNull();
  });

  it('states no steps that Transformers would do otherwise, and says so', () => {
    const made = files(({ inputs }) => Object.assign(inputs[0].preprocess, { pad: { size: [40, 40], fill: 'black' } }));
    expect([...made.keys()]).toEqual(['config.json', 'LOADING.md']);
    expect(made.get('LOADING.md')).toContain('There is no `preprocessor_config.json`');
  });
});

type Dim = number | string;
const graphOf = (inputs: Record<string, Dim[]>, outputs: Record<string, Dim[]>, elemType: number = DATA_TYPE.FLOAT) => {
  const values = (tensors: Record<string, Dim[]>) =>
    Object.entries(tensors).map(([name, dims]) => ({
      name,
      type: {
        tensorType: {
          elemType,
          shape: { dim: dims.map((dim) => (typeof dim === 'number' ? { dimValue: dim } : { dimParam: dim })) },
        },
      },
    }));
  return {
    graph: { node: [], initializer: [], input: values(inputs), output: values(outputs) },
  } as unknown as OnnxModel;
};
const OPTIONS = { name: 'm', file: 'm.onnx', mixesRows: false };

describe('the layout of Triton', () => {
  it('leaves the axis of rows to Triton, and makes a number of a row a list of one', () => {
    const config = tritonConfig(graphOf({ x: ['batch', 3] }, { y: ['batch'] }), OPTIONS);
    expect(config).toContain('max_batch_size: 32');
    expect(config).toContain('name: "x"\n    data_type: TYPE_FP32\n    dims: [ 3 ]');
    expect(config).toContain('dims: [ 1 ]\n    reshape: { shape: [ ] }');
  });

  it('states all axes where one tensor counts something else than rows', () => {
    const config = tritonConfig(graphOf({ x: ['patches', 7], y: ['batch', 'tokens'] }, { z: ['batch'] }), OPTIONS);
    expect(config).toContain('max_batch_size: 0');
    for (const dims of ['[ -1, 7 ]', '[ -1, -1 ]', '[ -1 ]']) expect(config).toContain(`dims: ${dims}`);
    expect(config).not.toContain('reshape');
  });

  it('takes one row at a time where rows change each other', () => {
    const config = tritonConfig(graphOf({ x: ['batch', 3] }, { y: ['batch'] }), {
      ...OPTIONS,
      mixesRows: true,
    });
    expect(config).toContain('max_batch_size: 1\n');
  });

  it('refuses a tensor of a type it has no word for', () => {
    expect(() => tritonConfig(graphOf({ x: ['batch'] }, {}, DATA_TYPE.COMPLEX64), OPTIONS)).toThrow(
      expect.objectContaining({ code: 'ONNX_UNSUPPORTED' }),
    );
  });

  it('names a model by what a path can hold', () => {
    expect(tritonName('a model (2).onnx')).toBe('a_model_2_');
  });

  const python = process.env['HPSV3_PYTHON'];
  it.skipIf(!python)('is read by the schema of tritonclient', () => {
    const script = `
import sys
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2
config = text_format.Parse(open(sys.argv[1]).read(), model_config_pb2.ModelConfig())
print(config.name, config.platform, config.max_batch_size, *[list(one.dims) for one in config.input])`;
    const said = execFileSync(python!, ['-c', script, at('triton/image-text-item/config.pbtxt')]).toString();
    expect(said).toMatch(/^image-text-item onnxruntime_onnx 32 \[3, \d+, \d+\] \[-1\] \[-1\]\n$/);
  });
});
