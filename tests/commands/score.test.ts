import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { hpsv3, hpsv3Process, PROJECT } from '../helpers/cli.js';
import { tinyModel, writePicture } from '../helpers/scoring.js';
import { hasShared, SHARED } from '../helpers/shared.js';
import { sharedFolder } from '../helpers/temp.js';

const folder = sharedFolder();
const at = (name: string): string => join(folder, name);
let image = '';
let text = '';

beforeAll(async () => {
  for (let i = 0; i < 2; i++) await writePicture(folder, `${i}.png`, i);
  image = await tinyModel(folder, 'image');
  text = await tinyModel(folder, 'text');
}, 120_000);

describe('hpsv3 score', () => {
  it('writes the result with score, winner and confidence first', async () => {
    writeFileSync(at('sample.json'), JSON.stringify({ left: '0.png', right: '1.png', context: 'a fox' }, null, 2));
    const args = ['score', '--model', image, '--input', at('sample.json'), '--output', at('result.json'), '--json'];
    const { code, stdout } = await hpsv3(args);
    expect(code).toBe(0);
    const result = JSON.parse(readFileSync(at('result.json'), 'utf8'));
    expect(Object.keys(result).slice(0, 3)).toEqual(['score', 'winner', 'confidence']);
    expect(result).toEqual(JSON.parse(stdout));
    expect(result).toMatchObject({
      decision: 'pair-head',
      calibrated: false,
      confidence: null,
      model: expect.stringMatching(/^[0-9a-f]{64}$/),
      warnings: [expect.stringContaining('uncalibrated')],
    });
    expect((await hpsv3(args)).code).toBe(2); // it exists now
  });

  it('calibrates with a calibrator file, by the curve of the task, and states the confidence', async () => {
    const band = { level: 0.9, x: [0, 10], lower: [0.5, 0.9], upper: [0.5, 1] };
    const curve = (slope: number) => ({ kind: 'sigmoid', slope, intercept: 0 });
    const sha = '0'.repeat(64);
    const calibrator = {
      ...{ schema: 'hpsv3/calibrator@1', kind: 'pair', method: 'temperature', symmetric: true, decision: 'pair-head' },
      ...{ parameters: curve(2), band, n: 10, clusters: 10, dataSha256: sha, scoresSha256: sha, modelSha256: null },
      ...{ folds: 5, repeats: 1, seed: 0, figures: { before: {}, after: {}, reduction: {} }, tool: 'test' },
      groups: {
        name: 'task',
        shrinkageClusters: 50,
        values: [{ value: 'coherence', n: 5, clusters: 5, ownShare: 0.5, parameters: curve(9), band: null }],
      },
    };
    writeFileSync(at('calibrator.json'), JSON.stringify(calibrator));
    const score = async (...more: string[]) => {
      const args = ['score', '--model', text, '--left', 'one thing', '--right', 'another', '--json', ...more];
      return JSON.parse((await hpsv3(args)).stdout);
    };
    const plain = await score();
    const calibrated = await score('--calibrator', at('calibrator.json'));
    expect(calibrated.score).toBeCloseTo(1 / (1 + Math.exp(-2 * plain.logit)), 9);
    expect(calibrated).toMatchObject({ calibrated: true, confidence: expect.any(Number), warnings: [] });
    const task = await score('--calibrator', at('calibrator.json'), '--task', 'coherence');
    expect(task.score).toBeCloseTo(1 / (1 + Math.exp(-9 * plain.logit)), 9);
    expect(task).toMatchObject({ task: 'coherence', confidence: null });

    writeFileSync(at('other.json'), JSON.stringify({ ...calibrator, decision: 'utility-difference' }));
    const refused = await score('--calibrator', at('other.json'));
    expect(refused.error.code).toBe('MODELS_INCOMPARABLE');
  });

  it.each([
    ['no input', [], 'USAGE'],
    ['one side', ['--left', 'a'], 'USAGE'],
    ['an address', ['--left', 's3://bucket/a.png', '--right', 'b.png'], 'REMOTE_REFUSED'],
    ['a missing file', ['--left', 'absent.png', '--right', 'b.png'], 'FILE_NOT_FOUND'],
    ['an unknown device', ['--item', 'a.png', '--device', 'gpu'], 'USAGE'],
    ['a device that is not there', ['--item', 'a.png', '--device', 'cuda:7'], 'BACKEND_UNAVAILABLE'],
  ])('refuses %s with exit 2', async (_, args, code) => {
    const result = await hpsv3(['score', '--model', image, '--json', ...args]);
    expect([result.code, JSON.parse(result.stdout).error.code]).toEqual([2, code]);
  });

  it('refuses a sample that is none', async () => {
    for (const [content, pattern] of [
      ['{"left": "a"}', /right is missing/],
      ['[]', /NOT_AN_OBJECT/],
      ['', /empty/],
    ] as const) {
      writeFileSync(at('bad.json'), content);
      const { code, stdout } = await hpsv3(['score', '--model', image, '--input', at('bad.json'), '--json']);
      expect([code, JSON.parse(stdout).error]).toMatchObject([
        2,
        { code: 'DATA_INVALID', message: expect.stringMatching(pattern) },
      ]);
    }
  });
});

describe('run_hpsv3', () => {
  const run = (...args: string[]) => hpsv3Process(args, { program: `${PROJECT}bin/run_hpsv3.js` });

  it('scores a sample in the words of the original scripts', async () => {
    writeFileSync(at('user.json'), JSON.stringify({ id: '1', type: 'pair', left: '0.png', right: '1.png' }));
    const out = at('user-result.json');
    const { code } = await run(
      '--mode',
      'score',
      '--model',
      image,
      '--input',
      at('user.json'),
      '--output',
      out,
      '--device',
      'auto',
    );
    expect(code).toBe(0);
    expect(JSON.parse(readFileSync(out, 'utf8'))).toHaveProperty('winner');
  });

  it('scores a file with a batch size', async () => {
    writeFileSync(at('user.jsonl'), `${JSON.stringify({ id: '1', type: 'pair', left: '0.png', right: '1.png' })}\n`);
    const out = at('user-results.jsonl');
    const args = [
      '--mode',
      'batch',
      '--model',
      image,
      '--input',
      at('user.jsonl'),
      '--output',
      out,
      '--batch-size',
      '2',
    ];
    expect((await run(...args)).code).toBe(0);
    expect(existsSync(out)).toBe(true);
  });

  it('says what it can do, and refuses what it cannot', async () => {
    expect(await run('--help')).toMatchObject({ code: 0, stdout: expect.stringContaining('--mode batch') });
    expect(await run('--mode', 'train')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('score, batch, serve, demo'),
    });
    expect(await run('--mode', 'score', '--batch-size', '3')).toMatchObject({ code: 2 });
    expect(await run('--mod', 'score')).toMatchObject({ code: 2 });
  });
});

describe.skipIf(!hasShared)('hpsv3 score of a model of another tool', () => {
  const contract = `modality: audio
inputs:
  - name: input_1
    dtype: F32
    shape: [batch, 144160]
    preprocess: {kind: audio, sampleRate: 16000, mono: true, minSamples: 144160, maxSamples: 144160, range: [-1, 1]}
score: {output: "Identity:0", column: 2, range: [1, 5]}
`;

  it('reads its inputs and its score from a contract', async () => {
    writeFileSync(at('dnsmos.yaml'), contract);
    const model = `${SHARED}real/dnsmos/DNSMOS__sig_bak_ovr.onnx`;
    const samples = 144_160;
    const { writeTone } = await import('../helpers/scoring.js');
    writeTone(folder, 'tone.wav', { hertz: 300, samples });
    const args = ['score', '--model', model, '--item', at('tone.wav'), '--json'];
    expect(JSON.parse((await hpsv3(args)).stdout).error.code).toBe('ONNX_UNSUPPORTED');
    const { stdout } = await hpsv3([...args, '--contract', at('dnsmos.yaml')]);
    const { score, logit, calibrated } = JSON.parse(stdout);
    expect(logit).toBeGreaterThan(0.5);
    expect(logit).toBeLessThan(5);
    expect(calibrated).toBe(logit);
    expect(score).toBeCloseTo((2 * (logit - 1)) / 4 - 1, 9);
  });

  it('refuses a contract with unknown keys', async () => {
    writeFileSync(at('wrong.yaml'), `${contract}scale: 2\n`);
    const args = ['score', '--model', image, '--item', 'x.wav', '--contract', at('wrong.yaml'), '--json'];
    expect(JSON.parse((await hpsv3(args)).stdout).error.code).toBe('CONFIG_INVALID');
  });
});
