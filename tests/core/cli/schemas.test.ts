import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { beforeAll, expect, it } from 'vitest';
import { parse } from 'yaml';
import { PUBLISHED, publishedSchemas } from '../../../src/core/cli/schemas.js';
import { manifestOf } from '../../../src/core/onnx/manifest.js';
import { openOnnx } from '../../../src/core/onnx/read.js';
import { describeEnvironment } from '../../../src/core/runtime/environment.js';
import { PROJECT } from '../../helpers/cli.js';
import { exportFile } from '../../helpers/pico.js';
import { sharedFolder } from '../../helpers/temp.js';

it('publishes every schema as it is in the code (npm run schemas)', () => {
  const published = Object.fromEntries(Array.from(publishedSchemas(), ([name, text]) => [`${name}.schema.json`, text]));
  const committed = Object.fromEntries(
    readdirSync(`${PROJECT}schemas`, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => name)
      .map((file) => [file, readFileSync(`${PROJECT}schemas/${file}`, 'utf8')]),
  );
  expect(committed).toEqual(published);
});

const example = (path: string): unknown => {
  const text = readFileSync(`${PROJECT}${path}`, 'utf8');
  return /\.ya?ml$/.test(path) ? parse(text) : JSON.parse(text);
};
const packed = (name: string): string =>
  brotliDecompressSync(readFileSync(`${PROJECT}tests/golden/compat-0.1.0/files/${name}.br`)).toString();
const sha256 = 'a'.repeat(64);

/** A document or row of each, which is one by both forms of its schema, and is none without the key that is named. */
const EXAMPLES: Readonly<Record<string, readonly [value: () => unknown, needs: string]>> = {
  'absolute-row': [() => ({ id: '2', type: 'abs', item: 'text', content: 'A sunrise.', score: 0.7 }), 'content'],
  'batch-journal': [() => ({ schema: 'hpsv3/batch-journal@1', identity: { models: sha256, shard: null } }), 'identity'],
  'window-rule': [
    () => {
      const compared = { loss: 0.6, difference: { value: -0.1, ci: [-0.2, -0.05] } };
      return {
        schema: 'hpsv3/window-rule@1',
        kind: 'pair',
        sharpness: 1.5,
        ci: [1, 2],
        window: '8s',
        stride: '4s',
        n: 100,
        clusters: 80,
        folds: 5,
        seed: 0,
        loss: 'log_loss',
        heldOut: { fitted: 0.5, mean: compared, worst: compared, last: compared },
        dataSha256: sha256,
        scoresSha256: sha256,
        modelSha256: null,
        tool: 'hpsv3 1.0.0',
      };
    },
    'sharpness',
  ],
  calibrator: [() => JSON.parse(packed('calibrator.json')), 'parameters'],
  card: [() => JSON.parse(packed('card/card.json')), 'evaluations'],
  'card-data': [() => example('configs/demo/data.yaml'), ''],
  'card-text': [() => example('configs/demo/card.yaml'), ''],
  config: [() => example('configs/hpsv3_nano.yaml'), ''],
  contract: [
    () => ({
      modality: 'text',
      inputs: [
        {
          name: 'x',
          dtype: 'F32',
          shape: ['batch', 4],
          preprocess: { kind: 'embedding', encoder: null, normalize: 'none' },
        },
      ],
      score: { output: 'y' },
    }),
    'score',
  ],
  ensemble: [() => JSON.parse(packed('ensemble.json')), 'members'],
  environment: [
    () => ({
      schema: 'hpsv3/environment@1',
      runs: [{ fromStep: 0, tool: 'hpsv3', engine: 'onnxruntime', device: 'cpu', ...describeEnvironment() }],
    }),
    'runs',
  ],
  error: [() => ({ error: { code: 'USAGE', message: 'a', hint: null, details: {} } }), 'error'],
  manifest: [
    () => {
      const { model, close } = openOnnx(exported);
      close();
      return manifestOf(model, 'm.onnx');
    },
    'inputs',
  ],
  'pair-row': [() => ({ id: '1', type: 'pair', left: 'a', right: 'b', labels: [1, 0, 0.5] }), 'id'],
  profile: [() => JSON.parse(packed('card/files/profile.json')), 'sweep'],
  recorded: [
    () => ({
      ...{ schema: 'hpsv3/recorded@1', model: { file: 'm.onnx', sha256 }, seed: '0', rows: 1, inputsSha256: sha256 },
      runtime: { version: '1', device: 'cpu', threads: null, optimization: 'all', machine: 'linux-x64' },
      ...{ output: 'pair_logit', kind: 'pair', scores: [0.5], tool: 'hpsv3 0.1.0' },
    }),
    'scores',
  ],
  'score-row': [() => ({ id: '1', logit: 1.3, winner: 'left' }), 'logit'],
  scores: [
    () => ({
      schema: 'hpsv3/scores@1',
      sha256,
      format: 'jsonl',
      rows: 1,
      failed: 0,
      shard: null,
      settings: { tool: null, models: [], calibrator: null, contract: null, batchSize: null },
    }),
    'settings',
  ],
  suite: [() => example('configs/suites/hpdv3.yaml'), 'name'],
};

/** Documents whose own tests hold what is written to their schema. */
const ELSEWHERE: readonly string[] = [
  'bundle',
  'drift-check',
  'drift-reference',
  'drift-state',
  'explanation',
  'label-session',
  'selection',
  'selection-replay',
  'tokens',
  'training-state',
  'vote',
];

let exported = '';
beforeAll(async () => {
  exported = join(sharedFolder(), 'm.onnx');
  await exportFile(exported);
});

it('has an example of every schema', () => {
  const made = PUBLISHED.map(({ name }) => name).filter((name) => !ELSEWHERE.includes(name));
  expect(made.sort()).toEqual(Object.keys(EXAMPLES).sort());
});

it.each(PUBLISHED.filter(({ name }) => name in EXAMPLES).map((definition) => [definition.name, definition] as const))(
  '%s tells what is one from what is none',
  (name, { schema }) => {
    const [value, needs] = EXAMPLES[name];
    const published = new Ajv2020({ strict: false }).compile(example(`schemas/${name}.schema.json`) as object);
    const one = JSON.parse(JSON.stringify(value()));
    expect(published(one), JSON.stringify(published.errors)).toBe(true);
    expect(schema.safeParse(one).error).toBeUndefined();
    const none = needs === '' ? [] : Object.fromEntries(Object.entries(one).filter(([key]) => key !== needs));
    expect(published(none)).toBe(false);
    expect(schema.safeParse(none).success).toBe(false);
  },
);
