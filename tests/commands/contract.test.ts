import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { prepareWaveform } from '../../src/core/media/audio/prepare.js';
import { hpsv3 } from '../helpers/cli.js';
import { tinyModel, writeTone } from '../helpers/scoring.js';
import { hasShared, SHARED } from '../helpers/shared.js';

const folder = mkdtempSync(join(tmpdir(), 'hpsv3-contract-'));
const at = (name: string) => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const json = async (args: string[]) => {
  const { code, stdout } = await hpsv3([...args, '--json']);
  return { code, report: JSON.parse(stdout) };
};

describe('a recording shorter than a contract has it', () => {
  const contract = {
    kind: 'audio',
    sampleRate: 16_000,
    mono: true,
    minSamples: 250,
    maxSamples: 250,
    range: [-1, 1] as [number, number],
  } as const;

  it('is repeated, or followed by silence; of a longer one the beginning is read, or it is refused', () => {
    writeTone(folder, 'short.wav', { hertz: 500, samples: 100 });
    const bytes = readFileSync(at('short.wav'));
    const silent = prepareWaveform(bytes, contract, 'short.wav');
    expect([...silent.subarray(100)]).toEqual(new Array(150).fill(0));
    const repeated = prepareWaveform(bytes, { ...contract, short: 'repeat' }, 'short.wav');
    expect(repeated).toEqual(Float32Array.from({ length: 250 }, (_, i) => silent[i % 100]));
    const half = { ...contract, minSamples: 50, maxSamples: 50 };
    expect(() => prepareWaveform(bytes, half, 'short.wav')).toThrow(/becomes 100 samples/);
    expect(prepareWaveform(bytes, { ...half, long: 'cut' }, 'short.wav')).toEqual(silent.subarray(0, 50));
  });
});

it('is not drafted for a model that says itself what it reads', async () => {
  const { code, report } = await json(['contract', 'init', await tinyModel(folder, 'text', 'item')]);
  expect([code, report.error.code]).toEqual([2, 'USAGE']);
});

describe.skipIf(!hasShared)('the contract of a model of another tool', () => {
  const model = `${SHARED}real/dnsmos/DNSMOS__sig_bak_ovr.onnx`;
  const clip = `${SHARED}media/audio/pocketsphinx-testdata__sense_and_sensibility_01_austen_64kb-0880.wav`;
  /** onnxruntime 1.2x for Python on the clip, repeated to 144,160 samples. */
  const OVERALL = 3.3758135;

  it('is drafted, completed, put into the model, and scores as onnxruntime does', async () => {
    const { report } = await json(['contract', 'init', model, '--out', at('draft.yaml')]);
    expect(report.questions.join(' ')).toContain('3 columns');
    const draft = parse(readFileSync(at('draft.yaml'), 'utf8'));
    expect(draft).toMatchObject({ modality: 'audio', score: { output: 'Identity:0', column: 0 } });
    const completed = { ...draft, score: { ...draft.score, column: 2, range: [1, 5] } };
    writeFileSync(at('contract.yaml'), JSON.stringify(completed));
    const contract = ['--contract', at('contract.yaml')];
    const embedded = await json(['contract', 'embed', model, ...contract, '--out', at('own.onnx'), '--gate', 'off']);
    expect(embedded.report).toMatchObject({ modality: 'audio', score: { column: 2, range: [1, 5] } });
    const asIs = await json(['score', clip, '--model', model, ...contract]);
    const own = await json(['score', clip, '--model', at('own.onnx')]);
    expect(asIs.report.logit).toBeCloseTo(OVERALL, 5);
    expect(own.report.logit).toBe(asIs.report.logit);
    expect(own.report.score).toBeCloseTo(asIs.report.score, 6);
    const scores = ['--out', at('scores.jsonl'), '--batch-size', '1'];
    expect((await json(['batch', clip, '--model', model, ...contract, ...scores])).code).toBe(0);
    expect(JSON.parse(readFileSync(at('scores.jsonl'), 'utf8')).logit).toBe(asIs.report.logit);
    const half = ['--scheme', 'fp16', '--gate', 'off', '--out', at('half.onnx')];
    expect((await json(['quantize', model, ...contract, ...half])).code).toBe(0);
    const small = await json(['score', clip, '--model', at('half.onnx')]);
    expect(small.report.logit).toBeCloseTo(OVERALL, 2);
    const { stderr } = await hpsv3(['score', clip, '--model', model]);
    expect(stderr).toContain('contract init');
  });

  it('is refused where the model has no such input or column', async () => {
    for (const [text, code] of [
      [
        '{"modality":"audio","inputs":[{"name":"x","dtype":"F32","shape":["batch",8],"preprocess":{"kind":"embedding","encoder":null,"normalize":"none"}}],"score":{"output":"Identity:0"}}',
        'ONNX_UNSUPPORTED',
      ],
      ['{"modality":"audio","inputs":[],"score":{"output":"y"}}', 'CONFIG_INVALID'],
    ] as const) {
      writeFileSync(at('wrong.yaml'), text);
      const { report } = await json([
        'contract',
        'embed',
        model,
        '--contract',
        at('wrong.yaml'),
        '--out',
        at('x.onnx'),
      ]);
      expect(report.error.code).toBe(code);
    }
  });
});
