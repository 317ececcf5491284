import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { scoreRowSchema } from '../../src/core/data/schema.js';
import { scoresDocument } from '../../src/core/lifecycle/score/manifest.js';
import { collect, HPSV3, hpsv3 } from '../helpers/cli.js';
import { tinyModel, writePicture, writeRows, writeTone } from '../helpers/scoring.js';
import { sharedFolder } from '../helpers/temp.js';

const folder = sharedFolder();
const at = (name: string): string => join(folder, name);
let image = '';
let text = '';
let imageText = '';
let audio = '';
const pictures = Array.from({ length: 8 }, (_, i) => `${i}.png`);

beforeAll(async () => {
  for (const [i, name] of pictures.entries()) await writePicture(folder, name, i);
  image = await tinyModel(folder, 'image');
  text = await tinyModel(folder, 'text');
  imageText = await tinyModel(folder, 'image-text');
  audio = await tinyModel(folder, 'audio');
}, 120_000);

const lines = (name: string): Record<string, unknown>[] =>
  readFileSync(at(name), 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));

const pairs = (count: number): object[] =>
  Array.from({ length: count }, (_, i) => ({
    id: `p${i}`,
    type: 'pair',
    left: pictures[i % 8],
    right: pictures[(i * 3 + 1) % 8],
  }));

const textRows = (count: number): object[] =>
  Array.from({ length: count }, (_, i) => ({
    id: `t${i}`,
    type: 'pairwise_text',
    left: `${'words and '.repeat(i % 5)}number ${i}`,
    right: `an answer ${'x'.repeat(i % 37)}`,
  }));

const batch = (model: string, input: string, out: string, ...more: string[]) =>
  hpsv3(['batch', '--model', model, '--input', input, '--output', at(out), '--batch-size', '4', '-q', ...more]);

describe('hpsv3 batch', () => {
  it('scores rows in their order, reports each bad one with its line, and exits 6', async () => {
    const input = writeRows(folder, 'mixed.jsonl', [
      ...pairs(3),
      '{"id": "cut',
      { id: 'p0', type: 'pair', left: '0.png', right: '1.png' },
      { id: 'gone', type: 'pair', left: 'absent.png', right: '1.png' },
      { id: 'away', type: 'pair', left: 'https://example.org/a.png', right: '1.png' },
      { id: 'out', type: 'pair', left: '../../etc/hostname', right: '1.png' },
      { id: 'item', type: 'abs', item: 'image', content: '2.png' },
      { id: 'other', type: 'pairwise_audio', left: 'a.wav', right: 'b.wav' },
    ]);
    const { code, stdout } = await batch(image, input, 'mixed.out.jsonl', '--json');
    expect(code).toBe(6);
    expect(JSON.parse(stdout)).toMatchObject({
      out: 'mixed.out.jsonl',
      rows: 10,
      failed: 6,
      failedByCode: { DATA_INVALID: 2, DUPLICATE_ID: 1, FILE_NOT_FOUND: 1, INVALID_JSON: 1, REMOTE_REFUSED: 1 },
      errors: 'mixed.out.jsonl.errors.jsonl',
      manifest: 'mixed.out.jsonl.manifest.json',
    });
    const rows = lines('mixed.out.jsonl');
    expect(rows.map(({ id, row }) => [id, row])).toEqual([
      ['p0', 1],
      ['p1', 2],
      ['p2', 3],
      ['item', 9],
    ]);
    for (const row of rows) expect(scoreRowSchema.safeParse(row).success).toBe(true);
    expect(rows[0]).toMatchObject({ calibrated: false, confidence: null });
    for (const row of rows) expect(row).not.toHaveProperty('runtime');
    const manifest = JSON.parse(readFileSync(at('mixed.out.jsonl.manifest.json'), 'utf8'));
    expect(scoresDocument.schema.parse(manifest)).toMatchObject({
      sha256: createHash('sha256')
        .update(readFileSync(at('mixed.out.jsonl')))
        .digest('hex'),
      rows: 4,
      failed: 6,
      shard: null,
      settings: { models: [{ sha256: rows[0].model, runtime: { device: 'cpu', threads: 1 } }], batchSize: 4 },
    });
    expect(lines('mixed.out.jsonl.errors.jsonl').map(({ line, id, code: error }) => [line, id, error])).toEqual([
      [4, null, 'INVALID_JSON'],
      [5, 'p0', 'DUPLICATE_ID'],
      [6, 'gone', 'FILE_NOT_FOUND'],
      [7, 'away', 'REMOTE_REFUSED'],
      [8, 'out', 'DATA_INVALID'],
      [10, 'other', 'DATA_INVALID'],
    ]);
    expect(existsSync(at('mixed.out.jsonl.journal'))).toBe(false);
  });

  it('scores a file of several modalities with a model for each', async () => {
    writeTone(folder, 'a.wav', { hertz: 440, samples: 8000 });
    writeTone(folder, 'b.wav', { hertz: 880, samples: 9000 });
    const input = writeRows(folder, 'modalities.jsonl', [
      { id: 'i', type: 'pairwise_image', left: '0.png', right: '1.png' },
      { id: 't', type: 'pairwise_text', left: 'one', right: 'two' },
      { id: 'it', type: 'pairwise_image_text', left: '0.png', right: '1.png', context: 'which is it?' },
      { id: 'a', type: 'pairwise_audio', left: 'a.wav', right: 'b.wav' },
      { id: 'told by its ending', type: 'pair', left: 'b.wav', right: 'a.wav' },
    ]);
    const more = [text, imageText, audio].flatMap((model) => ['--model', model]);
    const { code, stderr } = await batch(image, input, 'modalities.out.jsonl', ...more);
    expect(stderr).not.toContain('failed');
    expect(code).toBe(0);
    const rows = lines('modalities.out.jsonl');
    expect(rows.map(({ id }) => id)).toEqual(['i', 't', 'it', 'a', 'told by its ending']);
    expect(new Set(rows.map(({ model }) => model)).size).toBe(4);
    expect(rows[4].logit).toBeCloseTo(-(rows[3].logit as number), 6);
  });

  it('merges shards to the bytes of one run, failed rows too', async () => {
    const rows = [
      ...pairs(30),
      '{broken',
      { id: 'gone', type: 'pair', left: 'absent.png', right: '0.png' },
      ...textRows(1),
    ];
    const input = writeRows(folder, 'sharded.jsonl', rows);
    await batch(image, input, 'whole.jsonl');
    for (const i of [0, 1, 2]) await batch(image, input, `part${i}.jsonl`, '--shard', `${i}/3`);
    const parts = [2, 0, 1].map((i) => at(`part${i}.jsonl`));
    expect(parts.map((path) => lines(path.slice(folder.length + 1)).length).every((count) => count > 3)).toBe(true);
    const merge = (...args: string[]) =>
      hpsv3(['batch', 'merge', ...args, '--input', input, '--output', at('merged.jsonl')]);
    expect(await merge(...parts)).toMatchObject({ code: 6 });
    expect(readFileSync(at('merged.jsonl'))).toEqual(readFileSync(at('whole.jsonl')));
    expect(readFileSync(at('merged.jsonl.errors.jsonl'))).toEqual(readFileSync(at('whole.jsonl.errors.jsonl')));
    const manifestOf = (name: string) => readFileSync(at(`${name}.manifest.json`), 'utf8');
    expect(manifestOf('merged.jsonl')).toBe(manifestOf('whole.jsonl'));

    const missing = await merge(...parts.slice(1), '--force');
    expect(missing).toMatchObject({ code: 2, stderr: expect.stringMatching(/is in no shard/) });
    const twice = await merge(...parts, parts[0], '--force');
    expect(twice).toMatchObject({ code: 2, stderr: expect.stringMatching(/second time/) });
    const other = readFileSync(parts[2], 'utf8').replaceAll(/"model":"[0-9a-f]{64}"/g, `"model":"${'0'.repeat(64)}"`);
    writeFileSync(at('other-model.jsonl'), other);
    const sha256 = createHash('sha256').update(other).digest('hex');
    const manifest = { ...JSON.parse(manifestOf('part1.jsonl')), sha256 };
    writeFileSync(at('other-model.jsonl.manifest.json'), JSON.stringify(manifest));
    const mixed = await merge(...parts.slice(0, 2), at('other-model.jsonl'), '--force');
    expect(mixed).toMatchObject({ code: 2, stderr: expect.stringMatching(/by another model/) });
    expect(readFileSync(at('merged.jsonl'))).toEqual(readFileSync(at('whole.jsonl')));
  });

  it.each(['jsonl', 'csv', 'parquet'])('reads and writes %s', async (format) => {
    const input = writeRows(folder, `f-${format}.jsonl`, pairs(5));
    const converted = at(`f-in.${format}`);
    await hpsv3(['data', 'convert', input, '--out', converted, '--force']);
    expect((await batch(image, converted, `f-out.${format}`)).code).toBe(0);
    expect(readFileSync(at(`f-out.${format}`)).byteLength).toBeGreaterThan(200);
    if (format === 'csv') expect(readFileSync(at('f-out.csv'), 'utf8').split('\n')[1]).toMatch(/^p0,-?\d/);
  });

  it('reads from a pipe and writes to one', async () => {
    const child = spawn(process.execPath, [HPSV3, 'batch', '--model', text, '--input', '-', '--output', '-', '-q']);
    const done = collect(child);
    child.stdin.end(
      `${textRows(3)
        .map((row) => JSON.stringify(row))
        .join('\n')}\n{"id": 5`,
    );
    const { code, stdout, stderr } = await done;
    expect(code).toBe(6);
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).id),
    ).toEqual(['t0', 't1', 't2']);
    expect(stderr).toMatch(/Line 4: .*INVALID_JSON/);
  });

  it('goes on after kill -9 to the bytes of an uninterrupted run', async () => {
    const input = writeRows(folder, 'long.jsonl', [...textRows(1200), '{bad', ...textRows(1201).slice(1200)]);
    await batch(text, input, 'uninterrupted.jsonl');
    const out = at('killed.jsonl');
    const args = ['batch', '--model', text, '--input', input, '--output', out, '--batch-size', '4', '-q'];
    for (const kilobytes of [20, 120]) {
      const child = spawn(process.execPath, [HPSV3, ...args, '--resume'], { stdio: 'ignore' });
      const gone = new Promise((resolve) => child.once('exit', resolve));
      while (!existsSync(`${out}.journal`) || readFileSync(`${out}.journal`).byteLength < 1000 * kilobytes) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      child.kill('SIGKILL');
      await gone;
      expect(existsSync(out)).toBe(false);
    }
    expect(await hpsv3(args)).toMatchObject({ code: 2, stderr: expect.stringContaining('unfinished run') });
    const other = await hpsv3([...args.map((arg) => (arg === '4' ? '5' : arg)), '--resume']);
    expect(other).toMatchObject({ code: 2, stderr: expect.stringMatching(/another batchSize/) });

    const { code, stderr } = await hpsv3([...args, '--resume']);
    expect(code).toBe(6);
    expect(stderr).toMatch(/of all before this run/);
    expect(readFileSync(out)).toEqual(readFileSync(at('uninterrupted.jsonl')));
    expect(readFileSync(`${out}.errors.jsonl`)).toEqual(readFileSync(at('uninterrupted.jsonl.errors.jsonl')));
    expect(existsSync(`${out}.journal`)).toBe(false);
  });

  it('does not go on with another input', async () => {
    const out = at('changing.jsonl');
    const args = ['batch', '--model', text, '--output', out, '--batch-size', '4', '-q'];
    const child = spawn(process.execPath, [HPSV3, ...args, '--input', '-']);
    const gone = collect(child);
    child.stdin.write(
      textRows(300)
        .map((row) => `${JSON.stringify(row)}\n`)
        .join(''),
    );
    while (!existsSync(`${out}.journal`) || readFileSync(`${out}.journal`).byteLength < 5000) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    child.kill('SIGKILL');
    await gone;
    const [first, ...rest] = textRows(300);
    const input = writeRows(folder, 'changed.jsonl', [{ ...first, left: 'something else' }, ...rest]);
    const { code, stderr } = await hpsv3([...args, '--input', input, '--resume']);
    expect([code, stderr.replace(/\s+/g, ' ')]).toEqual([
      2,
      expect.stringContaining('line 1 is not what the unfinished'),
    ]);
    const same = writeRows(folder, 'same.jsonl', textRows(300));
    expect((await hpsv3([...args, '--input', same, '--resume'])).code).toBe(0);
    expect(lines('changing.jsonl')).toHaveLength(300);
  });

  it('refuses a second writer of one output, naming the first', async () => {
    const args = ['batch', '--model', text, '--input', '-', '--output', at('locked.jsonl'), '-q'];
    const first = spawn(process.execPath, [HPSV3, ...args]);
    const done = collect(first);
    const holds = (): boolean => readdirSync(folder).some((name) => name.startsWith(`.tmp-${first.pid}-`));
    while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
    const second = await hpsv3([...args, '--json']);
    expect(second.code).toBe(2);
    expect(JSON.parse(second.stdout).error).toMatchObject({ code: 'OUTPUT_BUSY', details: { pid: first.pid } });
    first.stdin.end(`${JSON.stringify(textRows(1)[0])}\n`);
    expect((await done).code).toBe(0);
    expect(lines('locked.jsonl')).toHaveLength(1);
  });

  it('refuses what makes no sense before it loads the model', async () => {
    const input = writeRows(folder, 'few.jsonl', pairs(1));
    expect((await batch(image, input, 'few.out.jsonl', '--shard', '3/3')).code).toBe(2);
    expect((await batch(image, input, 'few.out.jsonl', '--device', 'tpu')).code).toBe(2);
    expect((await batch(image, input, 'few.out.jsonl', '--device', 'cuda:9')).code).toBe(2);
    expect((await hpsv3(['batch', '--model', image, '--input', input, '--output', '-', '--resume'])).code).toBe(2);
    expect((await hpsv3(['batch', '--model', image, '--input', input, '--output', input, '--force'])).code).toBe(2);
  });
});
