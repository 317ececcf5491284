import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { collect, HPSV3, hpsv3, PROJECT } from '../helpers/cli.js';
import { drawPairs, writeJudged } from '../helpers/judged.js';
import { PICO } from '../helpers/pico.js';
import { printedBreaches } from '../helpers/schema.js';
import { tinyModel, writeRows } from '../helpers/scoring.js';
import { sharedFolder } from '../helpers/temp.js';
import { TEXT_MODEL, writeTextPairs } from '../helpers/training.js';
import { writeWindowed } from '../helpers/windowed.js';

const folder = sharedFolder();
const JUDGED = '--scores scores.jsonl --labels labels.jsonl --resamples 100';
const LOOSE = '--gate quick --budget flips=1,kendall=-1';

/** Every command that ends by itself, in each form of its report, in an order in which each finds what it reads. */
const LINES: readonly string[] = [
  `init --config ${PROJECT}configs/hpsv3_nano.yaml --out fresh/new.safetensors`,
  'synth --modality text --pairs 12 --pairs-per-source 2 --out drawn',
  'inspect fresh/new.safetensors --stats',
  `export --checkpoint ${PICO.checkpoint} --modality text --mode pair --gate quick --out text.onnx`,
  'inspect text.onnx',
  'verify text.onnx',
  'verify text.onnx text.onnx',
  `quantize text.onnx --scheme weight-only ${LOOSE} --out small.onnx`,
  `quantize text.onnx --scheme auto ${LOOSE} --out auto.onnx`,
  'profile text.onnx --out profile --seconds 0.1 --batch 1 --threads 1',
  'ensemble --member text.onnx:1 --member text.onnx:2 --gate off --out merged.onnx',
  'ensemble --scores a=scores.jsonl --scores b=other.jsonl --labels labels.jsonl --fit --resamples 100 --out ensemble.json',
  'ensemble --apply ensemble.json --scores a=scores.jsonl --scores b=other.jsonl --out joined.jsonl',
  'batch --model text-pair.onnx --input rows.jsonl --output whole.jsonl',
  'batch --model text-pair.onnx --input rows.jsonl --shard 0/1 --output shard.jsonl',
  'batch merge shard.jsonl --input rows.jsonl --output merged.jsonl',
  'batch aggregate --scores windowed-score.jsonl --labels windowed-label.jsonl --resamples 100 --out rule.json',
  'score --model text-pair.onnx --left yes --right no',
  'score --model text-pair.onnx --item yes',
  'embed --model text-pair.onnx --input rows.jsonl --output rows.npy',
  'explain --model text-pair.onnx --left yes --right no --nodes 4 --out why',
  `calibrate ${JUDGED} --out calibrator.json`,
  `calibrate ${JUDGED} --check calibrator.json`,
  `evaluate ${JUDGED} --by groups.kind --out evaluation.json`,
  'modelcard --evaluation evaluation.json --out card',
  'modelcard verify card',
  'modelcard diff card card --resamples 100',
  'report . --out page',
  'data stats labels.jsonl',
  'data split labels.jsonl --out parts',
  'data convert labels.jsonl --out labels.csv',
  'data consensus labels.jsonl --out consensus.jsonl',
  'train --config train.json --data pairs.jsonl --out run',
  'finetune --checkpoint run/checkpoint.safetensors --modality text --labels pairs.jsonl --steps 2 --out tuned.onnx',
  'drift fit --scores scores.jsonl --labels labels.jsonl --out reference.json',
  'drift check --reference reference.json --scores scores.jsonl --out drift',
  'select --pairs rows.jsonl --budget 1 --out queue.jsonl',
  'select replay --items 6 --replays 2',
  'release keygen --out release.pem',
  'doctor',
  'serve token new someone --tokens tokens.json',
  'demo --nano --pairs 160 --out demo',
];

beforeAll(async () => {
  mkdirSync(join(folder, 'fresh'));
  writeJudged(folder, drawPairs({ prompts: 40, truth: 0.6 }));
  const { scores } = drawPairs({ prompts: 40, truth: 0.6 });
  writeRows(
    folder,
    'other.jsonl',
    scores.map((row, i) => ({ ...row, logit: i % 5 })),
  );
  writeRows(folder, 'rows.jsonl', [
    { id: '1', type: 'pair', left: 'a', right: 'b' },
    { id: '2', type: 'pair', left: 'c', right: 'd' },
  ]);
  writeWindowed(folder, 'windowed', 60);
  writeTextPairs(join(folder, 'pairs.jsonl'), 48);
  const training = { batch_size: 8, steps: 2, warmup_steps: 0, eval_every: 1, checkpoint_every: 1 };
  writeRows(folder, 'train.json', [{ model: TEXT_MODEL, training }]);
  await tinyModel(folder, 'text');
});

describe('--json prints what its published schema says', () => {
  const tested = new Set<string>();
  const ids = Object.keys(JSON.parse(readFileSync(`${PROJECT}oclif.manifest.json`, 'utf8')).commands);
  const commandOf = (line: string): string => {
    const words = line.split(' ');
    return [3, 2, 1].map((length) => words.slice(0, length).join(':')).find((id) => ids.includes(id))!;
  };

  it.each(LINES)('hpsv3 %s', async (line) => {
    tested.add(commandOf(line));
    const args = line.split(' ');
    const { code, stdout } = await hpsv3([...args, '--json'], { cwd: folder });
    expect(code, stdout).toBe(0);
    expect(printedBreaches(stdout)).toEqual([]);
  });

  it('hpsv3 serve', async () => {
    const child = spawn(process.execPath, [HPSV3, 'serve', '--model', 'text-pair.onnx', '--port', '0', '--json'], {
      cwd: folder,
    });
    const ended = collect(child);
    while (!/"url"/.test(String((await once(child.stderr, 'data'))[0])));
    child.kill('SIGTERM');
    expect(printedBreaches((await ended).stdout)).toEqual([]);
    tested.add('serve');
  });

  // The worker answers rows for as long as there are any, and prints no report.
  const printing = ids.filter((id) => id !== 'worker');
  // What needs the parts of a release, people who label or a model of another tool: their own tests run them.
  const elsewhere = printing.filter((id) => /^(contract|label|release)(?!:keygen)/.test(id));

  it.each(printing)('and %s fails so', async (id) => {
    const { code, stdout } = await hpsv3([...id.split(':'), '--no-such-flag', '--json'], { cwd: folder });
    expect(code).toBe(2);
    expect(printedBreaches(stdout)).toEqual([]);
  });

  it('of every command', () => {
    expect([...tested, ...elsewhere].sort()).toEqual(printing.sort());
  });
});
