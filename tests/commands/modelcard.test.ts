import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { sha256Hex } from '../../src/core/bytes/hash.js';
import { SECTIONS } from '../../src/core/card/card-gaps.js';
import { formatModelCard, formatVerifyCard } from '../../src/core/cli/render-modelcard.js';
import { calibrateFiles } from '../../src/core/lifecycle/calibrate/calibrate.js';
import { diffModelCards } from '../../src/core/lifecycle/card/diff.js';
import { verifyModelCard } from '../../src/core/lifecycle/card/verify.js';
import { evaluateFiles } from '../../src/core/lifecycle/evaluate/evaluate.js';
import { contradictions } from '../helpers/card-statements.js';
import { evaluated, evaluateIn, HOSTILE_NAMES, jsonLines, makeCard, readJson, writeTexts } from '../helpers/cards.js';
import { hpsv3 } from '../helpers/cli.js';
import { cycloneDxErrors } from '../helpers/cyclonedx.js';
import { withoutPixels } from '../helpers/drawings.js';
import type { Row } from '../helpers/judged.js';
import { exportFile } from '../helpers/pico.js';
import { hasShared, SHARED } from '../helpers/shared.js';
import { sharedFolder, tempFolder } from '../helpers/temp.js';

/** What a reader decides by first; definitions last. */
const ON_PAGE = [
  'At a glance',
  'How to use it',
  'Intended use',
  'Caveats and recommendations',
  'Quantitative analyses',
  'Factors',
  'Evaluation data',
  'Training data',
  'Ethical considerations',
  'Model details',
  'How to verify it',
  'Metrics',
];

/** A model, an evaluation that names it, and a card of both beside it. */
const folder = sharedFolder();
const model = join(folder, 'model.onnx');
let report: string;
beforeAll(async () => {
  await exportFile(model, { mode: 'pair', modality: 'image' });
  report = await evaluated(folder, { prompts: 12, model: sha256Hex(readFileSync(model)) });
  await makeCard(join(folder, 'card'), { model, evaluations: [report], ...writeTexts(folder) });
}, 120_000);

const refused = (options: Parameters<typeof makeCard>[1]) => makeCard(join(tempFolder(), 'card'), options);
const verify = (path: string, recompute = false, files: string[] = []) =>
  verifyModelCard({ folder: path, files, recompute });

/** The card, and the model where it expects it, in a folder of their own. */
function copyOfCard(): string {
  const into = tempFolder();
  cpSync(join(folder, 'card'), join(into, 'card'), { recursive: true });
  copyFileSync(model, join(into, 'model.onnx'));
  return into;
}

/** Replaces text in a file of a card; the text must be there. */
function edit(path: string, from: string | RegExp, to: string): void {
  const text = readFileSync(path, 'utf8');
  const edited = text.replace(from, to);
  expect(edited).not.toBe(text);
  writeFileSync(path, edited);
}

describe('hpsv3 modelcard', () => {
  it('writes all renderings of one source of facts, with every section', () => {
    const card = join(folder, 'card');
    expect(readdirSync(card).sort()).toEqual([
      '.eval_results',
      'README.md',
      'SHA256SUMS',
      'bom.cdx.json',
      'card.html',
      'card.json',
      'files',
      'pictures',
    ]);
    expect(readdirSync(join(card, 'files')).sort()).toEqual([
      'card.yaml',
      'data.yaml',
      'labels.jsonl',
      'model.onnx.report.json',
      'report.json',
      'scores.jsonl',
    ]);
    const markdown = readFileSync(join(card, 'README.md'), 'utf8');
    const html = readFileSync(join(card, 'card.html'), 'utf8');
    expect(markdown.match(/^## .*/gm)).toEqual(ON_PAGE.map((title) => `## ${title}`));
    for (const title of ON_PAGE) expect(html).toContain(`>${title}</h2>`);
    const mitchell = html.slice(html.indexOf('<ol>'), html.indexOf('</ol>'));
    expect(mitchell.match(/(?<=<a [^>]*>)[^<]+/g)).toEqual(Object.values(SECTIONS));
    for (const text of [
      'From checkpoint to file',
      'Preprocessing contract',
      'Bias statement',
      'What a score means',
      'HPSv3Scorer.load("model.onnx")',
    ]) {
      expect(markdown).toContain(text);
    }
    expect(readJson(join(card, 'card.json'))).toMatchObject({
      schema: 'hpsv3/card@2',
      subject: 'model',
      model: { file: 'model.onnx', architecture: 'hpsv3', mode: 'pair' },
      evaluations: [{ binding: 'model', inSample: false, from: ['scores-1', 'labels-1'], dataset: 0 }],
    });
  });

  it('names a model beside its folder by a path that tells nothing of the machine', () => {
    const { files } = readJson(join(folder, 'card', 'card.json')) as { files: { role: string; path: string }[] };
    expect(files.map(({ role, path }) => [role, path])).toContainEqual(['model', '../model.onnx']);
    expect(readFileSync(join(folder, 'card', 'card.json'), 'utf8')).not.toContain(folder);
  });

  it('writes the same bytes twice', async () => {
    const again = join(folder, 'again');
    await makeCard(again, { model, evaluations: [report], ...writeTexts(folder) });
    expect(readFileSync(join(again, 'SHA256SUMS'), 'utf8')).toBe(
      readFileSync(join(folder, 'card', 'SHA256SUMS'), 'utf8'),
    );
  });

  it('says what is not stated, and with --strict writes nothing and exits 3', async () => {
    const args = ['modelcard', '--scorer', 'drawn', '--evaluation', report, '--quiet'];
    const into = tempFolder();
    const { code, stdout } = await hpsv3([...args, '--out', 'card'], { cwd: into });
    expect(code).toBe(0);
    expect(stdout).toContain('intended-use: what it must not be used for');
    expect(readFileSync(join(into, 'card/README.md'), 'utf8')).toContain('> **Not stated:** the licence of the model.');
    const strict = await hpsv3([...args, '--out', 'strict', '--strict', '--json'], { cwd: into });
    expect(strict.code).toBe(3);
    expect(JSON.parse(strict.stdout).error).toMatchObject({
      code: 'CARD_INCOMPLETE',
      hint: expect.stringContaining('the licence of the model'),
    });
    expect(readdirSync(into)).toEqual(['card']);
  });

  it('names what figures cannot be computed again without, and does not call raters human', async () => {
    const into = tempFolder();
    cpSync(report, join(into, 'report.json'));
    const made = await makeCard(join(into, 'card'), { evaluations: [join(into, 'report.json')] });
    expect(made.missingInputs).toEqual(['scores.jsonl', 'labels.jsonl']);
    expect(formatModelCard(made)).toContain('without scores.jsonl, labels.jsonl: give the folder with --files FOLDER');
    expect(readFileSync(join(into, 'card/README.md'), 'utf8')).not.toMatch(/human-judged/i);
  });

  it('says of figures of a calibrator that it was fitted on these labels', async () => {
    const into = tempFolder();
    await evaluated(into, { prompts: 12 });
    const at = (name: string) => join(into, name);
    const files = { labels: at('labels.jsonl'), scores: at('scores.jsonl'), seed: 0, force: true } as const;
    const fit = {
      method: 'platt',
      symmetric: true,
      strictlyMonotone: false,
      folds: 3,
      resamples: 20,
      gate: 'off',
    } as const;
    await calibrateFiles({ ...files, ...fit, out: at('c.json') });
    await evaluateFiles({ ...files, calibrator: at('c.json'), by: [], minGroup: 5, resamples: 20, out: at('in.json') });
    await makeCard(at('card'), { evaluations: [at('in.json')] });
    expect(readJson(at('card/card.json'))).toMatchObject({ evaluations: [{ inSample: true }] });
    expect(readFileSync(at('card/README.md'), 'utf8')).toContain('The calibrator was fitted on these labels.');
  });

  it.each(['README.md', 'card.html', 'facts.json'])('writes %s alone', async (name) => {
    const into = tempFolder();
    await makeCard(join(into, name), { evaluations: [report] });
    expect(readdirSync(into)).toEqual([name]);
    expect(readFileSync(join(into, name), 'utf8')).toContain('drawn');
    expect(readFileSync(join(into, name), 'utf8')).not.toContain('](pictures/');
  });

  it('refuses a report of another model, and says which', async () => {
    const other = tempFolder();
    const foreign = await evaluated(other, { prompts: 4, model: 'ab'.repeat(32) });
    await expect(refused({ model, evaluations: [foreign] })).rejects.toMatchObject({
      code: 'MODELS_INCOMPARABLE',
      message: expect.stringContaining('report.json: is of the model abababababab'),
    });
    await expect(refused({ evaluations: [foreign, report] })).rejects.toMatchObject({ code: 'MODELS_INCOMPARABLE' });
  });

  it('says so where the scores name no model', async () => {
    const other = tempFolder();
    const unnamed = await evaluated(other, { prompts: 4 });
    const { gaps } = await makeCard(join(other, 'card'), { model, evaluations: [unnamed] });
    expect(gaps.map(({ text }) => text)).toContainEqual(expect.stringContaining('the scores are of this model'));
  });

  it.each([
    ['an empty report', '{}', 'CONFIG_INVALID'],
    ['an empty file', '', 'CONFIG_INVALID'],
    ['another report', '{"schema":"hpsv3/calibrator@1","parameters":{},"dataSha256":""}', 'CONFIG_INVALID'],
  ])('refuses %s', async (_, text, code) => {
    const path = join(tempFolder(), 'r.json');
    writeFileSync(path, text);
    await expect(refused({ evaluations: [path] })).rejects.toMatchObject({
      code,
      message: expect.stringContaining('r.json'),
    });
  });

  it('has nothing to describe without model, scorer or evaluation', async () => {
    const { code, stdout } = await hpsv3(['modelcard', '--out', 'card', '--json'], { cwd: tempFolder() });
    expect(code).toBe(2);
    expect(JSON.parse(stdout).error.code).toBe('USAGE');
  });

  it('replaces only a card, and never a folder that its inputs lie in', async () => {
    const into = tempFolder();
    mkdirSync(join(into, 'mine'));
    writeFileSync(join(into, 'mine', 'notes.txt'), 'mine');
    await expect(makeCard(join(into, 'mine'), { evaluations: [report], force: true })).rejects.toMatchObject({
      code: 'OUTPUT_INVALID',
    });
    await expect(makeCard(folder, { evaluations: [report], force: true })).rejects.toMatchObject({
      code: 'OUTPUT_INVALID',
    });
    expect(readFileSync(join(into, 'mine', 'notes.txt'), 'utf8')).toBe('mine');
  });

  it('keeps hostile names of groups in their cells', async () => {
    const into = tempFolder();
    const hostile = await evaluated(into, { prompts: 25, groups: HOSTILE_NAMES });
    await makeCard(join(into, 'card'), { evaluations: [hostile] });
    const markdown = readFileSync(join(into, 'card/README.md'), 'utf8');
    const rows = markdown.split('\n').filter((line) => line.startsWith('| kind: '));
    expect(rows).toHaveLength(HOSTILE_NAMES.length);
    for (const row of rows) expect(row.split(/(?<!\\)\|/)).toHaveLength(13);
    expect(readFileSync(join(into, 'card/card.html'), 'utf8')).not.toContain('<script');
    expect((await verify(join(into, 'card'))).passed).toBe(true);
  });
});

describe('hpsv3 modelcard verify', () => {
  it('computes every figure again and finds them as stated', async () => {
    const result = await verify(join(folder, 'card'), true);
    expect(result).toMatchObject({ passed: true, differences: [], changed: [], renderings: [], notes: [] });
    expect(result.recomputed).toBeGreaterThan(100);
    expect(new Set(result.bound.map(({ status }) => status))).toEqual(new Set(['same']));
  });

  it('finds the card in a folder that has it as card', async () => {
    expect((await verify(folder)).passed).toBe(true);
    await expect(verify(tempFolder())).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });

  it('holds what SHA256SUMS around a card names to its hash, and nothing else there', async () => {
    const copy = copyOfCard();
    const names = ['made.json', 'gone.json'];
    for (const name of names) writeFileSync(join(copy, name), '{}');
    const sums = [...names, '../outside'].map((name) => `${sha256Hex(Buffer.from('{}'))}  ${name}\n`);
    writeFileSync(join(copy, 'SHA256SUMS'), sums.slice(0, 2).join(''));
    writeFileSync(join(copy, 'notes.txt'), 'not named');
    expect((await verify(copy)).passed).toBe(true);
    writeFileSync(join(copy, 'made.json'), '{ }');
    rmSync(join(copy, 'gone.json'));
    writeFileSync(join(copy, 'SHA256SUMS'), sums.join(''));
    expect(await verify(copy)).toMatchObject({
      passed: false,
      changed: ['../made.json', '../gone.json', '../../outside'],
    });
    expect((await verify(join(copy, 'card'))).passed).toBe(true);
    writeFileSync(join(copy, 'SHA256SUMS'), 'no hash at all');
    expect((await verify(copy)).changed).toEqual(['../SHA256SUMS']);
  });

  it('names the hash of a model in which one byte was changed', async () => {
    const copy = copyOfCard();
    const bytes = readFileSync(join(copy, 'model.onnx'));
    bytes[bytes.length - 5] ^= 1;
    writeFileSync(join(copy, 'model.onnx'), bytes);
    const { code, stdout } = await hpsv3(['modelcard', 'verify', 'card', '--no-recompute', '--quiet', '--json'], {
      cwd: copy,
    });
    expect(code).toBe(3);
    const { differences, bound } = JSON.parse(stdout);
    expect(differences[0]).toMatchObject({ at: 'model.sha256' });
    expect(bound).toContainEqual(expect.objectContaining({ role: 'model', status: 'changed' }));
  });

  it('names the number of a report in which one digit was changed', async () => {
    const copy = copyOfCard();
    edit(join(copy, 'card/files/report.json'), /"value": 0\.\d(?=\d+)/, '"value": 0.1');
    const { differences, changed, passed } = await verify(copy);
    expect(passed).toBe(false);
    expect(changed).toEqual(['files/report.json']);
    expect(differences).toContainEqual(
      expect.objectContaining({ at: 'evaluations.0.report.overall.accuracy.value', found: expect.any(Number) }),
    );
  });

  it('computes from changed scores what the report does not say', async () => {
    const copy = copyOfCard();
    edit(join(copy, 'card/files/scores.jsonl'), /"logit":-?/, '"logit":-9');
    const { differences } = await verify(copy, true);
    expect(differences.map(({ at }) => at)).toContain('evaluations.0.report.overall.nll.value');
  });

  it('finds a number that was changed in card.json, or words in a rendering', async () => {
    const copy = copyOfCard();
    edit(join(copy, 'card/card.json'), /"clusters": 12/, '"clusters": 13');
    edit(join(copy, 'card/README.md'), 'Bias statement', 'Praise');
    const { differences, renderings, changed } = await verify(copy);
    expect(differences).toContainEqual({ at: 'evaluations.0.report.clusters', stated: 13, found: 12 });
    expect(renderings).toContain('README.md');
    expect(changed).toEqual(['README.md', 'card.json']);
  });

  it('finds a report that is gone, one that cannot be read, and a picture in the place of another', async () => {
    const copy = copyOfCard();
    writeFileSync(join(copy, 'card/files/report.json'), '{');
    writeFileSync(join(copy, 'card/pictures/extra.png'), 'x');
    const { passed, differences, changed } = await verify(copy);
    expect(passed).toBe(false);
    expect(changed).toEqual(['files/report.json', 'pictures/extra.png']);
    expect(differences.map(({ at }) => at)).toContain('files');
  });

  it('looks for files that are known by their hash where it is told', async () => {
    const into = tempFolder();
    await makeCard(join(into, 'card'), { evaluations: [report], copyData: false });
    const without = await verify(into, true);
    expect(without).toMatchObject({ passed: true, recomputed: 0, evaluations: { total: 1, recomputed: 0 } });
    expect(formatVerifyCard(without)).toMatch(/not verified: 0 of 1 evaluations computed again$/);
    expect((await hpsv3(['modelcard', 'verify', into, '--quiet'])).code).toBe(0);
    expect((await hpsv3(['modelcard', 'verify', into, '--strict', '--quiet'])).code).toBe(3);
    expect(without.notes).toContainEqual(expect.stringContaining('scores.jsonl is known by its hash'));
    const given = await verify(into, true, [folder]);
    expect(given).toMatchObject({ passed: true, notes: [], evaluations: { total: 1, recomputed: 1 } });
    expect(formatVerifyCard(given)).toMatch(/: verified, 1 of 1 evaluations computed again$/);
    expect(given.recomputed).toBeGreaterThan(100);
  });

  it('refuses a card that breaks the schema, and paths out of the machine', async () => {
    const copy = copyOfCard();
    edit(join(copy, 'card/card.json'), '"../model.onnx"', '"/etc/passwd"');
    await expect(verify(copy)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('must be relative'),
    });
  });
});

describe('hpsv3 modelcard diff', () => {
  /** A card of drawn scores, and one of the same where those of group b are turned round. */
  async function twoCards(): Promise<[string, string]> {
    const [better, worse] = [tempFolder(), tempFolder()];
    const drawn = await evaluated(better, { prompts: 30 });
    await makeCard(join(better, 'card'), { scorer: 'better', evaluations: [drawn] });
    const lines = readFileSync(join(better, 'scores.jsonl'), 'utf8').trim().split('\n');
    const turned = lines.map((line, i): Row => {
      const { id, logit } = JSON.parse(line);
      return { id, logit: i % 2 === 0 ? logit : -logit };
    });
    writeFileSync(join(worse, 'scores.jsonl'), jsonLines(turned));
    copyFileSync(join(better, 'labels.jsonl'), join(worse, 'labels.jsonl'));
    await evaluateIn(worse, join(worse, 'report.json'));
    await makeCard(join(worse, 'card'), { scorer: 'worse', evaluations: [join(worse, 'report.json')] });
    return [better, worse];
  }

  it('tells a group that regressed from one that did not change, and with --strict exits 3', async () => {
    const [better, worse] = await twoCards();
    const diff = (...args: string[]) => hpsv3(['modelcard', 'diff', ...args, '--resamples', '1000', '--quiet']);
    const { code, stdout } = await diff(better, worse, '--strict', '--json');
    expect(code).toBe(3);
    const { deltas, n, regressed } = JSON.parse(stdout);
    expect(n).toBe(90);
    const accuracy = deltas.filter(({ metric }: Row) => metric === 'accuracy');
    expect(accuracy.map(({ value, verdict }: Row) => [value, verdict])).toEqual([
      [null, 'regressed'],
      ['a', 'undecided'],
      ['b', 'regressed'],
    ]);
    expect(accuracy[1]).toMatchObject({ difference: 0, ci: [0, 0] });
    expect(regressed).toBeGreaterThan(1);
    const text = await diff(worse, better);
    expect(text.code).toBe(0);
    expect(text.stdout).toMatch(/worse -> better: 90 rows that both scored[\s\S]*kind +b +Accuracy .*improved/);
  });

  it('refuses rows that are not those the card is bound to, and cards without rows', async () => {
    const copy = copyOfCard();
    edit(join(copy, 'card/files/scores.jsonl'), '"logit":', '"logit": ');
    const diff = (before: string) =>
      diffModelCards({ before, after: join(folder, 'card'), files: [], seed: 0, resamples: 100 });
    await expect(diff(copy)).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' });
    const bare = tempFolder();
    await makeCard(join(bare, 'card'), { evaluations: [report], copyData: false });
    await expect(diff(bare)).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
      hint: expect.stringContaining('`files`'),
    });
  });
});

describe.skipIf(!hasShared)('a card of real judgements (skipped without the shared data)', () => {
  it('has all sections from an evaluation of tifa-pairs by clip alone, by source and by models', async () => {
    const into = tempFolder();
    const data = join(SHARED, 'data/tifa-pairs');
    const files = { scores: join(data, 'scores/clip.jsonl'), labels: join(data, 'labels.jsonl') };
    const calibrator = join(into, 'calibrator.json');
    const fit = {
      symmetric: true,
      strictlyMonotone: false,
      folds: 5,
      resamples: 20,
      gate: 'off',
      seed: 0,
      force: false,
    } as const;
    await calibrateFiles({ ...files, ...fit, out: calibrator, method: 'temperature' });
    const out = join(into, 'report.json');
    await evaluateFiles({
      ...files,
      calibrator,
      by: ['source', 'models'],
      out,
      minGroup: 30,
      resamples: 10,
      seed: 0,
      force: false,
    });
    const { gaps } = await makeCard(join(into, 'card'), {
      scorer: 'CLIP',
      evaluations: [out],
      files: [data, join(data, 'scores')],
    });
    const markdown = readFileSync(join(into, 'card/README.md'), 'utf8');
    expect(markdown.match(/^## .*/gm)).toEqual(ON_PAGE.map((title) => `## ${title}`));
    for (const text of [
      '### Intersectional results',
      '### Calibration',
      'suppressed (under 30 rows)',
      'calibrated probability',
      'pictures/calibration-curve',
    ]) {
      expect(markdown).toContain(text);
    }
    expect(gaps.map(({ text }) => text)).toContainEqual(
      expect.stringContaining('labels the calibrator was not fitted to'),
    );
    expect(cycloneDxErrors(readJson(join(into, 'card/bom.cdx.json')))).toEqual([]);
    expect(contradictions(join(into, 'card'))).toEqual([]);
    expect(withoutPixels(join(into, 'card'))).toEqual([]);
    const { passed, bound } = await verify(into);
    expect(passed).toBe(true);
    expect(bound.map(({ role }) => role)).toEqual(['evaluation', 'scores', 'labels', 'calibrator']);
  });
});
