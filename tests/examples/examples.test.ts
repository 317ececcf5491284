import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ExportRequest } from '../../src/core/architectures/architecture.js';
import { bindShapes } from '../../src/core/autodiff/bind.js';
import { withOutputs } from '../../src/core/autodiff/emitter.js';
import { gradients } from '../../src/core/autodiff/gradients.js';
import { RULES } from '../../src/core/autodiff/registry.js';
import type { Checkpoint } from '../../src/core/checkpoint/checkpoint.js';
import { calibrateFiles } from '../../src/core/lifecycle/calibrate/calibrate.js';
import { GraphBuilder } from '../../src/core/onnx/builder.js';
import { intAttribute, type OnnxModel } from '../../src/core/onnx/model.js';
import { checkOpset } from '../../src/core/onnx/opset.js';
import { float32Value } from '../../src/core/runtime/value.js';
import type { Tensor } from '../../src/core/tensor/tensor.js';
import { PROJECT } from '../helpers/cli.js';
import { floats, floatTensor, runModel } from '../helpers/graphs.js';
import { drawPairs, jsonLines } from '../helpers/judged.js';
import { tempFolder } from '../helpers/temp.js';
import { directionHead } from './direction-head.js';
import { tan } from './tan.js';

const guide = readFileSync(`${PROJECT}docs/tasks.md`, 'utf8');

describe('the worked examples of docs/tasks.md', () => {
  it.each(['direction-head.ts', 'tan.ts'])('shows %s as it is compiled and run here', (file) => {
    const code = readFileSync(new URL(file, import.meta.url), 'utf8');
    expect(guide).toContain(`\`\`\`ts\n${code}\`\`\``);
  });

  it('recognises the example architecture, and exports what its formula says', async () => {
    const tensors = new Map<string, Tensor>(
      [floatTensor('direction', [3], [1, -2, 0.5]), floatTensor('offset', [1], [0.25])].map((one) => [one.name, one]),
    );
    expect(directionHead.recognise(tensors, null)).toBe(true);
    expect(directionHead.recognise(new Map([...tensors].slice(0, 1)), null)).toBe(false);
    const exporter = await directionHead.load();
    const rows = [
      [1, 1, 1],
      [0, -1, 4],
    ];
    const score = ([a, b, c]: readonly number[]) => a - 2 * b + 0.5 * c + 0.25;
    const run = async (mode: ExportRequest['mode'], feeds: Readonly<Record<string, readonly number[]>>) => {
      const graph = new GraphBuilder(14, tensors);
      const request = {
        modality: undefined,
        mode,
        config: null,
        configOrigin: null,
        dtype: 'F32',
        options: {},
      };
      const contract = exporter.buildGraph({ tensors } as unknown as Checkpoint, graph, request as ExportRequest);
      const model = graph.build('direction-head');
      expect(checkOpset(model, 14)).toEqual([]);
      const values = Object.entries(feeds).map(
        ([name, row]) => [name, float32Value([row.length / 3, 3], Float32Array.from(row))] as const,
      );
      return floats(await runModel(model, tempFolder(), new Map(values)), contract.outputs[0].name);
    };
    expect(await run('item', { embedding: rows.flat() })).toBeAllClose(rows.map(score), { atol: 1e-5 });
    const pair = await run('pair', { left_embedding: rows[0], right_embedding: rows[1] });
    expect(pair).toBeAllClose([score(rows[0]) - score(rows[1])], { atol: 1e-5 });
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
      resamples: 100,
      perGroup: 'task',
      gate: 'off',
      seed: 0,
      force: false,
    });
    expect(groups.map(({ value }) => value).sort()).toEqual(['coherence', 'grammar']);
    expect(guide).toContain('--per-group task');
  });
});
