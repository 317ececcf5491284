import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { makeModelCard } from '../../src/core/lifecycle/card/write.js';
import { releaseModels } from '../../src/core/lifecycle/release/release.js';
import { HPSv3Scorer } from '../../src/core/scoring/scorer.js';
import { tinyModel } from '../helpers/scoring.js';
import { sharedFolder } from '../helpers/temp.js';

const TRANSFORMERS = '@huggingface/transformers@4.3.2';
const TEXTS = ['a red fox', 'asdf qwer', 'Ein Fuchs läuft über den Schnee; 狐.'];

/** Loads the folder as LOADING.md says, and prints the logit of each text. */
const PROGRAM = `
import { AutoModel, AutoTokenizer, env } from '@huggingface/transformers';
env.allowRemoteModels = false;
env.localModelPath = '/';
const [folder, ...texts] = process.argv.slice(2);
const model = await AutoModel.from_pretrained(folder);
const tokenizer = await AutoTokenizer.from_pretrained(folder);
const logits = [];
for (const text of texts) logits.push(Number((await model({ ...tokenizer(text) })).utility_logit.data[0]));
console.log(JSON.stringify(logits));
`;

/** The same by optimum. */
const OPTIMUM = `
import json, sys
from optimum.onnxruntime import ORTModelForCustomTasks
from transformers import AutoTokenizer, PretrainedConfig
folder, *texts = sys.argv[1:]
model = ORTModelForCustomTasks.from_pretrained(folder, config=PretrainedConfig.from_pretrained(folder))
tokenizer = AutoTokenizer.from_pretrained(folder)
names = list(model.input_names)
rows = [tokenizer(text, return_tensors='pt') for text in texts]
print(json.dumps([float(model(**{name: row[name] for name in names}).utility_logit[0]) for row in rows]))
`;

const folder = sharedFolder();
const at = (name: string) => join(folder, name);
const offline = spawnSync('npm', ['view', TRANSFORMERS, 'version'], { timeout: 60_000 }).status !== 0;

let logits: number[];
beforeAll(async () => {
  const model = await tinyModel(folder, 'text', 'item');
  writeFileSync(at('card.yaml'), 'name: made up\nlicense: Apache-2.0\n');
  await makeModelCard({ model, card: at('card.yaml'), out: at('card') });
  await releaseModels({ models: [model], card: at('card'), targets: [], layout: 'huggingface', out: at('hub') });
  const scorer = await HPSv3Scorer.load(model, { mediaRoot: folder });
  logits = [];
  for (const text of TEXTS) logits.push((await scorer.score({ text })).logit);
  await scorer.close();
}, 60_000);

describe('the layout of Hugging Face', () => {
  it.skipIf(offline)(
    'gives the same logits by @huggingface/transformers, to the bit',
    () => {
      writeFileSync(at('package.json'), '{"type":"module"}');
      writeFileSync(at('load.js'), PROGRAM);
      execFileSync('npm', ['install', TRANSFORMERS, '--ignore-scripts', '--no-audit', '--no-fund'], {
        cwd: folder,
        stdio: 'ignore',
      });
      expect(JSON.parse(execFileSync('node', ['load.js', at('hub'), ...TEXTS], { cwd: folder }).toString())).toEqual(
        logits,
      );
    },
    300_000,
  );

  const python = process.env['HPSV3_PYTHON'];
  const hasOptimum = python && spawnSync(python, ['-c', 'import optimum.onnxruntime']).status === 0;
  it.skipIf(!hasOptimum)(
    'gives the same logits by optimum',
    () => {
      const said = execFileSync(python!, ['-c', OPTIMUM, at('hub'), ...TEXTS], {
        env: { ...process.env, HF_HUB_OFFLINE: '1' },
      });
      const found: number[] = JSON.parse(said.toString().trim().split('\n').at(-1)!);
      // Its onnxruntime is of another version.
      expect(found).toHaveLength(logits.length);
      for (const [i, logit] of logits.entries()) expect(Math.abs(found[i] - logit)).toBeLessThan(1e-5);
    },
    120_000,
  );
});
