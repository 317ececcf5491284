import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Architecture } from '../../src/core/architectures/architecture.js';
import { bindShapes } from '../../src/core/autodiff/bind.js';
import { withOutputs } from '../../src/core/autodiff/emitter.js';
import { gradients } from '../../src/core/autodiff/gradients.js';
import { RULES } from '../../src/core/autodiff/registry.js';
import { calibrateFiles } from '../../src/core/lifecycle/calibrate/calibrate.js';
import type { ExportReport } from '../../src/core/lifecycle/export/export.js';
import { intAttribute, type OnnxModel } from '../../src/core/onnx/model.js';
import { float32Value } from '../../src/core/runtime/value.js';
import { hpsv3, PROJECT } from '../helpers/cli.js';
import { architectureProblems } from '../helpers/conformance.js';
import { floats, floatTensor, runModel } from '../helpers/graphs.js';
import { drawPairs, jsonLines } from '../helpers/judged.js';
import { tempFolder } from '../helpers/temp.js';
// @ts-expect-error: plain JavaScript, as whoever extends the package may write it
import example from './patch-scorer.js';
import { tan } from './tan.js';

const patchScorer: Architecture = example;
const OUTSIDE = `${PROJECT}tests/golden/outside`;
const guide = readFileSync(`${PROJECT}docs/tasks.md`, 'utf8');

describe('the worked examples of docs/tasks.md', () => {
  it.each(['patch-scorer.js', 'tan.ts'])('shows %s as it is run here', (file) => {
    const code = readFileSync(new URL(file, import.meta.url), 'utf8');
    expect(guide).toContain(`\`\`\`${file.slice(-2)}\n${code}\`\`\``);
  });

  it('gives the scores of PyTorch for the example family, held to all that a registered one is', async () => {
    const tensors = new Map([floatTensor('score.weight', [1, 2], [1, 2])].map((one) => [one.name, one]));
    expect(patchScorer.recognise(tensors, null)).toBe(false);
    expect(await architectureProblems(patchScorer, [OUTSIDE])).toEqual([]);
  });

  it('exports with the file of the example family from anywhere, by the command line alone', async () => {
    const folder = tempFolder();
    cpSync(new URL('patch-scorer.js', import.meta.url), join(folder, 'my-family.js'));
    writeFileSync(join(folder, 'config.yaml'), 'flags: {family: ./my-family.js}');
    const args = ['export', '--checkpoint', OUTSIDE, '--out', 'model.onnx', '--json'];
    const given = ['--family', './my-family.js', '--golden', join(OUTSIDE, 'golden.safetensors'), '--gate', 'quick'];
    const done = await hpsv3([...args, ...given], { cwd: folder });
    expect(done).toMatchObject({ code: 0 });
    const report: ExportReport = JSON.parse(done.stdout);
    expect(report).toMatchObject({ architecture: 'patch-scorer', modality: 'image', tensors: { used: 31 } });
    expect(report.parity.golden!.outputs.utility_logit.maxAbsDiff).toBeLessThan(1e-5);
    expect(report.lineage[0].inputs.map(({ name }) => name)).toContain('my-family.js');
    const refused = await hpsv3([...args, '--config', 'config.yaml'], { cwd: folder });
    expect([refused.code, JSON.parse(refused.stdout).error.code]).toEqual([2, 'CONFIG_INVALID']);
    expect(JSON.parse(refused.stdout).error.message).toContain('--family counts only on the command line');
  });

  it('differentiates by the example rule, which nothing else does', async () => {
    expect(RULES.flatMap(({ opTypes }) => opTypes)).not.toContain('Tan');
    const x = Float32Array.of(-1.2, -0.3, 0, 0.4, 1.1);
    const float = { tensorType: { elemType: 1 } };
    const model: OnnxModel = {
      irVersion: 9,
      graph: {
        name: 'tan',
        node: [
          { name: 'y', opType: 'Tan', input: ['x'], output: ['y'], attribute: [] },
          {
            name: 'loss',
            opType: 'ReduceSum',
            input: ['y'],
            output: ['loss'],
            attribute: [intAttribute('keepdims', 0)],
          },
        ],
        initializer: [],
        input: [{ name: 'x', type: float }],
        output: [{ name: 'loss', type: float }],
        valueInfo: [],
      },
      opsetImport: [{ domain: '', version: 20 }],
      metadataProps: [],
    };
    const feeds = new Map([['x', float32Value([x.length], x)]]);
    const found = gradients(await bindShapes(model, feeds), { loss: 'loss', wrt: ['x'] }, [...RULES, tan]);
    const name = found.gradients.get('x')!;
    const values = await runModel(withOutputs(found, [name]).model, tempFolder(), feeds);
    expect(floats(values, name)).toBeAllClose(
      Array.from(x, (value) => 1 / Math.cos(value) ** 2),
      { rtol: 1e-5 },
    );
  });

  it('calibrates each task of the labels by itself', async () => {
    const folder = tempFolder();
    const { labels, scores } = drawPairs({ prompts: 120, truth: 0.7 });
    const tasked = labels.map((row, i) => ({ ...row, task: i % 2 === 0 ? 'coherence' : 'grammar' }));
    writeFileSync(join(folder, 'labels.jsonl'), jsonLines(tasked));
    writeFileSync(join(folder, 'scores.jsonl'), jsonLines(scores));
    const { groups } = await calibrateFiles({
      scores: join(folder, 'scores.jsonl'),
      labels: join(folder, 'labels.jsonl'),
      out: null,
      method: 'platt',
      symmetric: true,
      strictlyMonotone: false,
      folds: 5,
      resamples: 20,
      perGroup: 'task',
      gate: 'off',
      seed: 0,
      force: false,
    });
    expect(groups.map(({ value }) => value).sort()).toEqual(['coherence', 'grammar']);
    expect(guide).toContain('--by task');
  });
});
