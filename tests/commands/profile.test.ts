import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { type ProfileOptions, profileModel } from '../../src/core/lifecycle/profile/profile.js';
import { readProfile, recommendedSetting } from '../../src/core/profiling/recommended.js';
import { compareRecorded } from '../../src/core/profiling/recorded.js';
import type { Profile } from '../../src/core/profiling/schema.js';
import { hpsv3 } from '../helpers/cli.js';
import { goldenModel } from '../helpers/models.js';
import { exportFile } from '../helpers/pico.js';
import { sharedFolder } from '../helpers/temp.js';

/** So short that nothing is measured well: these tests are about what is written, not about how fast anything is. */
const SECONDS = 0.05;

const folder = sharedFolder();
const model = join(folder, 'model.onnx');
const out = join(folder, 'profile.json');
let profile: Profile;

const profiled = (options: Partial<ProfileOptions> = {}): Promise<Profile> =>
  profileModel({
    model,
    out,
    batches: [1, 2],
    threads: [1],
    optimizations: ['all'],
    variants: new Map(),
    device: 'cpu',
    budget: 1000,
    sizes: new Map(),
    seconds: SECONDS,
    seed: 0,
    force: true,
    ...options,
  });

beforeAll(async () => {
  await exportFile(model, { modality: 'image' });
  const other = join(folder, 'basic.onnx');
  await exportFile(other, { modality: 'image', optimize: true });
  profile = await profiled({ variants: new Map([['optimized', other]]), baseline: other });
}, 120_000);

describe('hpsv3 profile', () => {
  it('writes a document of its schema, two charts and a trace, and nothing else', () => {
    expect(readProfile(out)).toEqual(JSON.parse(JSON.stringify(profile)));
    expect(readdirSync(folder).filter((name) => name.startsWith('profile'))).toEqual([
      'profile.json',
      'profile.latency.png',
      'profile.latency.svg',
      'profile.roofline.png',
      'profile.roofline.svg',
      'profile.trace.json',
    ]);
    expect(profile.model.sha256).toBe(createHash('sha256').update(readFileSync(model)).digest('hex'));
  });

  it('counts the products of the graph as written, and those of the kernels that ran', () => {
    const macs = (rows: readonly { operator: string; macs: number }[], operators: RegExp): number =>
      rows.filter(({ operator }) => operators.test(operator)).reduce((sum, row) => sum + row.macs, 0);
    const products = /MatMul|Gemm/;
    expect(macs(profile.counts.operators, products)).toBeGreaterThan(0);
    // Products of parameters alone are folded away when the model is loaded.
    const folded = macs(profile.counts.operators, products) - macs(profile.time.kernels, products);
    expect(folded / macs(profile.counts.operators, products)).toBeLessThan(0.05);
    expect(folded).toBeGreaterThanOrEqual(0);
    // Kernels of blocked layouts fill up the channels to a multiple of the block.
    expect(macs(profile.time.kernels, /Conv/)).toBeGreaterThanOrEqual(macs(profile.counts.operators, /Conv/));
    expect(profile.counts.uncounted).toEqual([]);
    expect(profile.counts.operators.reduce((sum, { parameters }) => sum + parameters, 0)).toBe(
      profile.counts.parameters,
    );
  });

  it('adds kernels and remainder up to the wall time, by kernel and by operator', () => {
    const { time } = profile;
    for (const rows of [time.kernels, time.operators]) {
      expect(rows.reduce((sum, { ms }) => sum + ms, 0) + time.remainderMs).toBeCloseTo(time.wallMs, 9);
    }
    expect(time.runtimeMs + time.callMs).toBeCloseTo(time.remainderMs, 9);
    expect(time.runtimeMs).toBeGreaterThan(0);
    expect(time.callMs).toBeGreaterThan(0);
  });

  it('recommends a setting of the sweep, and calls the smallest batch that is nearly as good the knee', () => {
    const { settings, recommended, knees } = profile.sweep;
    expect(settings.map(({ setting: { variant, batch } }) => `${variant} ${batch}`)).toEqual([
      'model 1',
      'model 2',
      'optimized 1',
      'optimized 2',
    ]);
    const known = settings.map(({ setting }) => setting);
    expect(known).toContainEqual(recommended?.throughput);
    expect(recommended?.latency.batch).toBe(1);
    expect(knees.map(({ variant }) => variant)).toEqual(['model', 'optimized']);
  });

  it('writes a trace with the start and the kernels of one run, without paths', () => {
    const text = readFileSync(join(folder, 'profile.trace.json'), 'utf8');
    const { traceEvents } = JSON.parse(text) as { traceEvents: { ph: string; tid: number; name: string }[] };
    expect(traceEvents.filter(({ ph, tid }) => ph === 'X' && tid === 1).map(({ name }) => name)).toEqual([
      'process',
      'runtime',
      'load',
      'firstRun',
    ]);
    expect(traceEvents.filter(({ ph, tid }) => ph === 'X' && tid === 2)).toHaveLength(profile.time.kernels.length);
    expect(text).not.toContain(folder);
  });

  it('compares with a baseline in the same rounds', () => {
    expect(profile.baseline).toMatchObject({ file: 'basic.onnx', how: 'interleaved', budget: 1000 });
    expect(profile.baseline?.ratio.value).toBeGreaterThan(0);
    expect(profile.noise.ratio.blocks % 12).toBe(0);
  });

  it('compares with an earlier profile of the same machine and setting only', () => {
    const recorded = compareRecorded(profile, profile, 'before.json', 1.05);
    expect(recorded).toMatchObject({ how: 'recorded', sha256: profile.model.sha256, ratio: { value: 1 } });
    const slower = { ...profile, peaks: { ...profile.peaks, macsPerSecond: profile.peaks.macsPerSecond / 2 } };
    expect(compareRecorded(slower, profile, 'before.json', 1.05).ratio.value).toBeCloseTo(0.5, 12);
    const other = { ...profile, machine: { ...profile.machine, cpu: 'Another' } };
    expect(() => compareRecorded(profile, other, 'before.json', 1.05)).toThrow(/its processor is Another/);
  });

  it('gives batch the setting of the file that it scores with', async () => {
    expect(await recommendedSetting(out, join(folder, 'basic.onnx'))).toMatchObject({ variant: 'optimized' });
    const other = join(folder, 'other.onnx');
    await exportFile(other, { modality: 'text' });
    await expect(recommendedSetting(out, other)).rejects.toMatchObject({ code: 'MODELS_INCOMPARABLE' });
    const rows = join(folder, 'rows.jsonl');
    writeFileSync(rows, '');
    const scored = await hpsv3(['batch', '--model', other, '--input', rows, '--output', '-', '--profile', out]);
    expect(scored).toMatchObject({ code: 2, stderr: expect.stringContaining('MODELS_INCOMPARABLE') });
  });
});

describe('what cannot be profiled', () => {
  const run = (...args: string[]) =>
    hpsv3(['profile', ...args, '--out', join(folder, 'never.json'), '--seconds', '0.05']);

  it('asks for sizes by name, with an example', async () => {
    const { code, stderr } = await run(goldenModel('runtime', 'identity'));
    expect(code).toBe(2);
    expect(stderr).toMatch(/the size of length is open/);
    expect(stderr).toMatch(/--size length=128/);
  });

  it.each([
    [['--size', 'nothing=3'], /no input has a size nothing/],
    [['--size', 'x'], /--size: expected NAME=NUMBER/],
    [['--batch', '0'], /--batch-size: expected whole numbers/],
    [['--variant', 'model=a.onnx'], /--variant: expected NAME=FILE/],
    [['--budget', '1.05'], /--budget: expected latency=RATIO/],
    [['--seconds', 'x'], /--seconds: expected/],
  ])('refuses %j', async (args, message) => {
    const { code, stderr } = await hpsv3(['profile', model, '--out', join(folder, 'never.json'), ...args]);
    expect(code).toBe(2);
    expect(stderr.replace(/\s+(?:›\s+)?/g, ' ')).toMatch(message);
  });

  it.each([
    ['endless-loop', 'MODEL_TIMEOUT', { runMs: 1500 }],
    ['bomb-tile', 'MODEL_OUT_OF_MEMORY', { memoryBytes: 300 * 2 ** 20 }],
  ])('ends %s in its own process and writes nothing', async (name, code, limits) => {
    const never = join(folder, 'never.json');
    const failed = profiled({ model: goldenModel('runtime', name), out: never, batches: [1], limits });
    await expect(failed).rejects.toMatchObject({ code });
    expect(readdirSync(folder).filter((file) => file.includes('never'))).toEqual([]);
  });
});
