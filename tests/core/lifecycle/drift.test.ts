import { appendFileSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../../src/core/bytes/random.js';
import { soundStatistics } from '../../../src/core/drift/input-statistics.js';
import { type CheckDriftOptions, checkDrift } from '../../../src/core/lifecycle/drift/check.js';
import { type FitDriftOptions, fitDrift } from '../../../src/core/lifecycle/drift/fit.js';
import { encodeWav } from '../../../src/core/media/encode-wav.js';
import { sigmoid } from '../../../src/core/stats/logistic.js';
import { PROJECT } from '../../helpers/cli.js';
import { sharedFolder } from '../../helpers/temp.js';

const MODEL = 'a'.repeat(64);

interface Traffic {
  readonly rows?: number;
  readonly seed?: string;
  /** Added to every logit. */
  readonly shift?: number;
  readonly temperature?: number;
  readonly quality?: number;
  readonly truncated?: number;
  readonly model?: string;
  readonly calibrator?: string;
  readonly preprocessing?: string;
  /** Chance of group `b`. */
  readonly mix?: number;
  readonly start?: number;
}

/** Lines as `serve` logs them, of pictures that clients send as JPEG. */
function logged({
  rows = 300,
  seed = 'window',
  shift = 0,
  temperature = 1,
  quality = 95,
  truncated = 0.02,
  ...more
}: Traffic) {
  const { model = MODEL, calibrator = 'c'.repeat(64), preprocessing = 'p'.repeat(64), mix = 0.3, start = 0 } = more;
  const random = new Random(seed);
  return Array.from({ length: rows }, (_, i) => {
    const logit = random.normal() + shift;
    const score = sigmoid(logit / temperature);
    const width = [512, 768, 1024][random.integer(0, 3)];
    const bytes = Math.round(width * width * 0.12 * (quality / 95) ** 2 * (1 + 0.2 * random.normal()));
    const input = { bytes, format: 'jpeg', width, height: width, jpeg_quality: quality };
    return {
      schema: 'hpsv3/served@1',
      seq: start + i,
      at: new Date(1_700_000_000_000 + 1000 * (start + i)).toISOString(),
      request_id: `r${start + i}`,
      modality: 'image',
      group: { client: random.uniform() < mix ? 'b' : 'a' },
      logit,
      score,
      confidence: 0.6,
      truncated: random.uniform() < truncated,
      model,
      calibrator,
      preprocessing,
      runtime: { version: '1.30.0', device: 'cpu', threads: 2, optimization: 'all' },
      input,
      input_right: input,
      key: `${seed}${i}`,
    };
  });
}

const lines = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

const folder = sharedFolder();
const reference = join(folder, 'reference.json');

function logOf(name: string, text: string): string {
  const path = join(folder, name);
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, 'scores-2023111422.jsonl'), text);
  return path;
}

let count = 0;
const check = (options: Partial<CheckDriftOptions>) =>
  checkDrift({ reference, out: join(folder, `out${count++}`), permutations: 199, ...options });
const checkLog = (traffic: Traffic, options: Partial<CheckDriftOptions> = {}) =>
  check({ log: logOf(`log${count}`, lines(logged(traffic))), ...options });
const fitAs = (options: Partial<FitDriftOptions>) => fitDrift({ out: join(folder, `ref${count++}.json`), ...options });

beforeAll(async () => {
  await fitDrift({ log: logOf('reference', lines(logged({ rows: 1000, seed: 'reference' }))), out: reference });
});

describe('a window like its reference', () => {
  it('has not drifted, and its page says so first', async () => {
    const report = await checkLog({});
    expect(report).toMatchObject({ verdict: 'no-drift', causes: [] });
    expect(readFileSync(join(report.out, 'index.html'), 'utf8')).toContain('<h1>No drift</h1>');
    expect(JSON.parse(readFileSync(join(report.out, 'drift.json'), 'utf8')).verdict).toBe('no-drift');
  });

  it('comes to the same again, byte for byte', async () => {
    const [first, second] = [await checkLog({}), await checkLog({})];
    const read = ({ out }: { out: string }, name: string) => readFileSync(join(out, name), 'utf8');
    expect(read(second, 'drift.json')).toBe(read(first, 'drift.json'));
    expect(read(second, 'index.html')).toBe(read(first, 'index.html'));
  });
});

it('writes documents that hold to their published schemas', async () => {
  const state = join(folder, 'published-state.json');
  const { out } = await checkLog({ rows: 60 }, { state, by: ['client'] });
  const written = { 'drift-check': join(out, 'drift.json'), 'drift-reference': reference, 'drift-state': state };
  for (const [name, path] of Object.entries(written)) {
    const schema = JSON.parse(readFileSync(`${PROJECT}schemas/${name}.schema.json`, 'utf8'));
    const holds = new Ajv2020({ strict: false }).compile(schema);
    const document = JSON.parse(readFileSync(path, 'utf8'));
    expect(holds(document), JSON.stringify(holds.errors)).toBe(true);
    expect(holds({ ...document, tool: undefined, more: 1 })).toBe(false);
  }
});

describe('what moved is named as what it is', () => {
  it.each<[string, Traffic, string, string]>([
    ['scores', { shift: 0.5 }, 'scores', 'logit'],
    ['the quality of pictures', { quality: 75, shift: -0.3 }, 'preprocessing', 'input.jpeg_quality'],
    ['texts that are cut off', { truncated: 0.2 }, 'preprocessing', 'truncated'],
    ['the mix of groups', { mix: 0.7 }, 'mix', 'group.client'],
  ])('%s', async (_, traffic, cause, feature) => {
    const { verdict, causes, features } = await checkLog(traffic);
    expect(verdict).toBe('drift');
    expect(causes[0]).toBe(cause);
    expect(features.find((one) => one.feature === feature)?.moved).toBe(true);
  });

  it.each<[string, Traffic, string]>([
    ['another model', { model: 'b'.repeat(64) }, 'model'],
    ['another calibrator', { calibrator: 'd'.repeat(64) }, 'calibrator'],
    ['inputs prepared otherwise', { preprocessing: 'q'.repeat(64) }, 'preprocessing'],
    ['a calibrator that nobody names', { temperature: 1.5 }, 'score-map'],
  ])('%s, in one row', async (_, traffic, field) => {
    const { verdict, causes, identity, features } = await checkLog({ ...traffic, rows: 1, seed: 'one' });
    expect({ verdict, causes, features }).toEqual({ verdict: 'identity-changed', causes: ['identity'], features: [] });
    expect(identity.map((change) => change.field)).toContain(field);
  });

  it('scores of one group, whatever the others do', async () => {
    const rows = logged({ rows: 600 }).map((row) =>
      row.group.client === 'b' ? { ...row, logit: row.logit + 1.2, score: sigmoid(row.logit + 1.2) } : row,
    );
    const { features } = await check({ log: logOf('group', lines(rows)), by: ['groups.client'] });
    const moved = features.filter((one) => one.moved && one.group !== null).map(({ group }) => group);
    expect(moved).toEqual(['client=b']);
  });

  it('embeddings, by their energy distance', async () => {
    const random = new Random('vectors');
    const rows = (shift: number) =>
      Array.from({ length: 200 }, (_, i) => ({
        id: `e${i}`,
        logit: random.normal(),
        embedding: Array.from({ length: 24 }, (_, k) => random.normal() + (k < 4 ? shift : 0)),
      }));
    const files = [0, 0, 1].map((shift, i) => {
      const path = join(folder, `embedded${i}.jsonl`);
      writeFileSync(path, lines(rows(shift)));
      return path;
    });
    const own = (await fitAs({ scores: files[0] })) && join(folder, `ref${count - 1}.json`);
    expect((await check({ reference: own, scores: files[1] })).verdict).toBe('no-drift');
    expect((await check({ reference: own, scores: files[2] })).causes).toEqual(['content']);
  });
});

describe('inputs that rows name', () => {
  const random = new Random('pictures');

  /** Pictures of blurred noise, saved as clients do; and scores that know nothing of them. */
  async function pictures(name: string, quality: number): Promise<{ scores: string; input: string }> {
    mkdirSync(join(folder, name));
    const rows: object[] = [];
    for (let i = 0; i < 60; i++) {
      const raw = Buffer.from(Array.from({ length: 48 * 48 * 3 }, () => random.integer(0, 256)));
      const image = sharp(raw, { raw: { width: 48, height: 48, channels: 3 } }).blur(1 + (i % 5) / 5);
      writeFileSync(join(folder, name, `${i}.jpg`), await image.jpeg({ quality }).toBuffer());
      rows.push({ id: `${name}${i}`, type: 'image', image: `${i}.jpg` });
    }
    const [scores, input] = [join(folder, name, 'scores.jsonl'), join(folder, name, 'rows.jsonl')];
    writeFileSync(input, lines(rows));
    writeFileSync(scores, lines(rows.map((_, i) => ({ id: `${name}${i}`, logit: random.normal() }))));
    return { scores, input };
  }

  it('are looked at: pictures saved at quality 75 and not 95 are how inputs were prepared', async () => {
    const own = join(folder, 'pictures.json');
    const { features } = await fitDrift({ ...(await pictures('good', 95)), out: own });
    for (const name of ['bytes', 'format', 'jpeg_quality', 'mean', 'std', 'sharpness', 'width'])
      expect(features).toContain(`input.${name}`);
    expect((await check({ reference: own, ...(await pictures('alike', 95)) })).verdict).toBe('no-drift');
    const { causes, features: found } = await check({ reference: own, ...(await pictures('worse', 75)) });
    expect(causes[0]).toBe('preprocessing');
    expect(found.find(({ feature }) => feature === 'input.jpeg_quality')).toMatchObject({ moved: true, effect: 1 });
  });

  it('that cannot be read are missing, and counted', async () => {
    const { scores, input } = await pictures('torn', 95);
    writeFileSync(join(folder, 'torn', '0.jpg'), 'no picture');
    const { warnings } = await fitDrift({ scores, input, out: join(folder, 'torn.json') });
    expect(warnings.join()).toContain('The inputs of 1 rows could not be read');
  });

  it('are loud, clipped and of a length', () => {
    const wav = encodeWav(
      Float32Array.from({ length: 4000 }, (_, i) => (i % 2 ? 1 : -1)),
      8000,
    );
    expect(soundStatistics(wav, 'a.wav')).toMatchObject({
      seconds: 0.5,
      sample_rate: 8000,
      clipping: expect.closeTo(1, 1),
    });
    expect(soundStatistics(wav, 'a.wav').loudness).toBeCloseTo(0, 2);
  });
});

describe('rows of other scorers', () => {
  it.each(['csv', 'jsonl'])('are read from %s by the column that is named', async (format) => {
    const random = new Random('other');
    const write = (name: string, shift: number): string => {
      const rows = Array.from({ length: 120 }, (_, i) => ({
        id: i,
        my_reward: random.normal() + shift,
        question: `q${i % 40}`,
        words: random.integer(5, 50),
      }));
      const path = join(folder, `${name}.${format}`);
      const header = Object.keys(rows[0]).join(',');
      const csv = [header, ...rows.map((row) => Object.values(row).join(','))].join('\n');
      writeFileSync(path, format === 'csv' ? csv : lines(rows));
      return path;
    };
    const reading = { score: 'my_reward', cluster: 'question', features: ['words'] };
    const own = join(folder, `other-${format}.json`);
    const { features, clusters } = await fitDrift({ scores: write('a', 0), out: own, ...reading });
    expect(features).toEqual(['logit', 'truncated', 'words']);
    expect(clusters).toBe(40);
    expect((await check({ reference: own, scores: write('b', 0), ...reading })).verdict).toBe('no-drift');
    expect((await check({ reference: own, scores: write('c', 1.5), ...reading })).causes).toEqual(['scores']);
  });
});

describe('labels', () => {
  const pairs = (confidence: number, seed: string, from = 0) => {
    const random = new Random(seed);
    const scores = Array.from({ length: 600 }, (_, i) => {
      const logit = 1.5 * random.normal();
      return {
        id: `p${from + i}`,
        logit,
        score: sigmoid(logit),
        winner: logit > 0 ? 'left' : 'right',
        calibrated: true,
      };
    });
    const labels = scores.map(({ id, logit }) => ({
      id,
      type: 'pair',
      left: 'l',
      right: 'r',
      labels: [random.uniform() < sigmoid(confidence * logit) ? 1 : 0],
    }));
    const paths = [join(folder, `scores-${seed}.jsonl`), join(folder, `labels-${seed}.jsonl`)];
    writeFileSync(paths[0], lines(scores));
    writeFileSync(paths[1], lines(labels));
    return { scores: paths[0], labels: paths[1] };
  };
  let own: string;

  beforeAll(async () => {
    own = join(folder, 'judged.json');
    const { observed } = await fitDrift({ ...pairs(1, 'fit'), out: own });
    expect(observed?.labels).toBe(600);
  });

  it('bound what can be expected without them', async () => {
    const { scores } = pairs(1, 'unlabelled');
    const { expected } = await check({ reference: own, scores });
    expect(expected!.bound!.low).toBeLessThan(expected!.ci[0]);
    expect(expected!.accuracy).toBeGreaterThan(0.7);
    expect(expected!.labelsNeeded).toBeGreaterThan(100);
  });

  it('tell a calibrator that holds from one that does not, and what fitting again would change', async () => {
    expect((await check({ reference: own, ...pairs(1, 'holds') })).verdict).toBe('no-drift');
    const { causes, calibration, features } = await check({
      reference: own,
      ...pairs(0.4, 'stale'),
      calibration: true,
    });
    expect(causes).toEqual(['calibration']);
    expect(calibration).toMatchObject({ claimed: true, moved: true });
    expect(calibration!.refit!.slope.ci![1]).toBeLessThan(1);
    expect(calibration!.refit!.command).toContain('hpsv3 calibrate');
    expect(features.find(({ feature }) => feature === 'calibration')?.moved).toBe(true);
  });

  it('feed monitors that go on where they were, and count no label twice', async () => {
    const state = join(folder, 'state.json');
    const first = pairs(0.5, 'first');
    const one = await check({ reference: own, ...first, state });
    const again = await check({ reference: own, ...first, state });
    expect(again.monitors!.of.map(({ logE }) => logE)).toEqual(one.monitors!.of.map(({ logE }) => logE));
    expect(again.warnings.join()).toContain('seen these scores before');
    const more = await check({ reference: own, ...pairs(0.5, 'second', 600), state });
    const monitor = more.monitors!.of.find(({ of }) => of === 'calibration');
    expect(monitor).toMatchObject({ n: 1200, alarm: { look: 1 } });
  });

  it('are not held against probabilities that nobody calibrated', async () => {
    const { scores, labels } = pairs(0.4, 'raw');
    writeFileSync(scores, readFileSync(scores, 'utf8').replaceAll('"calibrated":true', '"calibrated":false'));
    const raw = join(folder, 'raw.json');
    await fitDrift({ scores, labels, out: raw });
    const report = await check({ reference: raw, scores, labels });
    expect(report).toMatchObject({ verdict: 'no-drift', calibration: { claimed: false, moved: false } });
  });
});

describe('a log', () => {
  it('is read on from where the last check ended; a line without an end waits', async () => {
    const rows = logged({ rows: 300, seed: 'grows' });
    const log = logOf('grows', lines(rows.slice(0, 100)) + JSON.stringify(rows[100]).slice(0, 90));
    const state = join(folder, 'log-state.json');
    const first = await check({ log, state });
    expect(first.window).toMatchObject({ rows: 100, torn: 1, refused: 0 });
    appendFileSync(
      join(log, 'scores-2023111422.jsonl'),
      `${JSON.stringify(rows[100]).slice(90)}\n${lines(rows.slice(101))}`,
    );
    const second = await check({ log, state });
    expect(second.window).toMatchObject({ rows: 200, torn: 0 });
    expect(second.monitors).toMatchObject({ looks: 2, rows: 300 });
    expect((await check({ log, state })).verdict).toBe('not-enough-data');
    writeFileSync(join(log, 'scores-2023111422.jsonl'), '');
    await expect(check({ log, state })).rejects.toMatchObject({ code: 'DATA_INVALID' });
  });

  it('comes to the same where a check is done again after it ended before its state was written', async () => {
    const log = logOf('twice', lines(logged({ rows: 200, seed: 'twice' })));
    const [state, copy] = [join(folder, 'a-state.json'), join(folder, 'b-state.json')];
    await check({ log, state });
    copyFileSync(state, copy);
    appendFileSync(join(log, 'scores-2023111422.jsonl'), lines(logged({ rows: 200, seed: 'more', start: 200 })));
    const first = await check({ log, state });
    const again = await check({ log, state: copy });
    expect({ ...again, out: '' }).toEqual({ ...first, out: '' });
    expect(readFileSync(copy, 'utf8')).toBe(readFileSync(state, 'utf8'));
  });

  it('whose clock goes back is taken as it was written, and said so', async () => {
    const rows = logged({});
    rows[50] = { ...rows[50], at: '2001-01-01T00:00:00.000Z' };
    const { verdict, warnings } = await check({ log: logOf('clock', lines(rows)) });
    expect(verdict).toBe('no-drift');
    expect(warnings.join()).toContain('The clock went back 1 times');
  });

  it('with torn and foreign lines is read around them, which are counted', async () => {
    const text = lines(logged({})).split('\n');
    text[10] = text[10].slice(0, 50);
    text[20] = '{"schema":"hpsv3/served@9","logit":1}';
    text[30] = text[30].replace(/"logit":[^,]+/, '"logit":NaN');
    const { window, warnings, verdict } = await check({ log: logOf('torn', text.join('\n')) });
    expect({ verdict, refused: window.refused, rows: window.rows }).toEqual({
      verdict: 'no-drift',
      refused: 3,
      rows: 297,
    });
    expect(warnings.join()).toContain('3 rows refused');
  });
});

describe('a window that says too little', () => {
  const file = (rows: readonly object[]): string => {
    const path = join(folder, `few${count++}.jsonl`);
    writeFileSync(path, lines(rows));
    return path;
  };
  const constant = (value: number | null, n = 100, more: object = {}) =>
    Array.from({ length: n }, (_, i) => ({ id: `c${i}`, logit: value, ...more }));
  let plain: string;

  beforeAll(async () => {
    plain = join(folder, 'plain.json');
    const random = new Random('plain');
    const rows = Array.from({ length: 300 }, (_, i) => ({ id: `x${i}`, logit: random.normal() }));
    await fitDrift({ scores: file(rows), out: plain });
  });

  it.each<[string, () => readonly object[]]>([
    ['without rows', () => []],
    ['of few rows', () => constant(0.1, 19)],
    ['of one cluster', () => constant(0.1, 200, { prompt_id: 'only' })],
    ['without a single number', () => constant(null)],
  ])('%s gets no verdict, and no NaN', async (_, rows) => {
    const report = await check({ reference: plain, scores: file(rows()) });
    expect(report.verdict).toBe('not-enough-data');
    expect(readFileSync(join(report.out, 'drift.json'), 'utf8')).not.toMatch(/NaN|Infinity/);
    await expect(check({ reference: plain, scores: file(rows()), requireData: true })).rejects.toMatchObject({
      code: 'DATA_INVALID',
    });
  });

  it('of one value has drifted from one that varies, and not from itself', async () => {
    expect((await check({ reference: plain, scores: file(constant(0.1)) })).causes).toEqual(['scores']);
    const same = join(folder, 'constant.json');
    await fitDrift({ scores: file(constant(3)), out: same });
    expect((await check({ reference: same, scores: file(constant(3)) })).verdict).toBe('no-drift');
    expect((await check({ reference: same, scores: file(constant(4)) })).causes).toEqual(['scores']);
  });

  it('with a category that is new is compared all the same', async () => {
    const rows = (format: (i: number) => string) =>
      Array.from({ length: 100 }, (_, i) => ({ id: `n${i}`, logit: (i * 7) % 11, 'input.format': format(i) }));
    const own = join(folder, 'new.json');
    await fitDrift({ scores: file(rows(() => 'png')), out: own });
    const { causes, reasons } = await check({ reference: own, scores: file(rows((i) => (i % 2 ? 'png' : 'avif'))) });
    expect(causes).toEqual(['preprocessing']);
    expect(reasons.join()).toContain('avif 0.0 % to 50.0 %');
  });
});

describe('what does not belong together is refused', () => {
  const few = { scores: '' };
  beforeAll(() => {
    few.scores = join(folder, 'items.jsonl');
    writeFileSync(few.scores, lines(Array.from({ length: 60 }, (_, i) => ({ id: `i${i}`, logit: i % 7 }))));
  });

  it('a state of another reference', async () => {
    const state = join(folder, 'foreign-state.json');
    const other = join(folder, 'foreign.json');
    await fitDrift({ ...few, out: other });
    await check({ reference: other, ...few, state });
    await expect(checkLog({}, { state })).rejects.toMatchObject({ code: 'MODELS_INCOMPARABLE', exitCode: 2 });
  });

  it('rows of another kind, a reference that is none, rows of two models, and too few for a reference', async () => {
    await expect(check({ ...few, kind: 'item', reference: await pairsOnly() })).rejects.toMatchObject({
      code: 'MODELS_INCOMPARABLE',
    });
    await expect(check({ ...few, reference: few.scores })).rejects.toMatchObject({ exitCode: 2 });
    const two = logOf('two', lines([...logged({ rows: 50 }), ...logged({ rows: 50, model: 'b'.repeat(64) })]));
    await expect(fitAs({ log: two })).rejects.toMatchObject({ code: 'MODELS_INCOMPARABLE' });
    await expect(fitAs({ log: logOf('tiny', lines(logged({ rows: 8 }))) })).rejects.toMatchObject({
      code: 'DATA_INVALID',
    });
    await expect(fitAs({})).rejects.toMatchObject({ code: 'USAGE' });
  });

  it.each([
    ['file of scores', { id: 'a', logit: 0.4, score: 0.2, calibrated: false, model: MODEL }],
    ['log', { schema: 'hpsv3/served@1', request_id: 'a', logit: 0.4, score: 0.2, input: { bytes: 9 }, key: 'k' }],
  ])('rows of a %s that are of items, against a reference of pairs', async (kind, row) => {
    const text = lines(Array.from({ length: 60 }, (_, i) => ({ ...row, id: `i${i}`, request_id: `i${i}` })));
    const path = join(folder, 'of-items.jsonl');
    writeFileSync(path, text);
    const given = kind === 'log' ? { log: logOf('of-items', text) } : { scores: path };
    await expect(check(given)).rejects.toMatchObject({
      code: 'MODELS_INCOMPARABLE',
      exitCode: 2,
      message: 'the reference is of pairs, the rows are items',
    });
  });

  it('rows without the column of the score, whose columns are named', async () => {
    const error = {
      code: 'DATA_INVALID',
      message: expect.stringMatching(/no row has a column nosuch; the columns are id, logit$/),
    };
    await expect(fitAs({ ...few, score: 'nosuch' })).rejects.toMatchObject(error);
  });

  async function pairsOnly(): Promise<string> {
    const path = join(folder, 'pairs-only.json');
    await fitDrift({ ...few, kind: 'pair', out: path });
    return path;
  }

  it('a reference whose sample was changed by hand', async () => {
    const changed = join(folder, 'changed.json');
    const document = JSON.parse(readFileSync(reference, 'utf8'));
    document.sample.cluster.pop();
    writeFileSync(changed, JSON.stringify(document));
    await expect(checkLog({}, { reference: changed })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});
