import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { itemFilesOf } from '../../src/core/data/item-files.js';
import { collect, HPSV3, hpsv3, PROJECT } from '../helpers/cli.js';
import { tinyModel, writePicture } from '../helpers/scoring.js';

const folder = mkdtempSync(join(tmpdir(), 'hpsv3-inputs-'));
const at = (...names: string[]) => join(folder, ...names);
const model = at('image.onnx');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

beforeAll(async () => {
  copyFileSync(await tinyModel(folder, 'image', 'item'), model);
  mkdirSync(at('photos', 'more'), { recursive: true });
  for (const [i, name] of ['b.png', 'a.png', 'more/c.png'].entries()) await writePicture(at('photos'), name, i + 1);
  writeFileSync(at('photos', 'notes.md'), 'none of these');
  writeFileSync(at('photos', '.hidden.png'), 'not seen');
});

const rows = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
const batch = async (...args: string[]) => {
  const result = await hpsv3(['batch', ...args, '--model', model], { cwd: folder });
  return { ...result, ids: result.code === 0 ? rows(result.stdout).map(({ id }) => id) : [] };
};

describe('items', () => {
  it('are the files of a folder, with their names as ids, and go to standard output in a pipe', async () => {
    const { ids, stderr } = await batch('photos/');
    expect(ids).toEqual(['a.png', 'b.png', 'more/c.png']);
    expect(stderr).toContain('1 file is left out that no model here reads, such as notes.md');
  });

  it('are a pattern or a list of files', async () => {
    expect((await batch('photos/*.png')).ids).toEqual(['a.png', 'b.png']);
    expect((await batch('photos/**/[!a].{png,jpg}')).ids).toEqual(['b.png', 'more/c.png']);
    expect((await batch('--input', 'photos/more/c.png', 'photos/a.png')).ids).toEqual(['a.png', 'more/c.png']);
  });

  it('score as rows that name them do', async () => {
    writeFileSync(
      at('rows.jsonl'),
      '{"image":"photos/a.png"}\n{"id":"p","left":"photos/a.png","right":"photos/b.png"}\n',
    );
    const named = rows((await batch('rows.jsonl')).stdout);
    const own = rows((await batch('photos')).stdout);
    expect(named[0]).toEqual({ ...own[0], id: 'row-1' });
    expect(named[1].logit).toBeCloseTo(own[0].logit - own[1].logit, 5);
    const { stdout } = await hpsv3(['score', 'photos/a.png', '--model', model, '--json'], { cwd: folder });
    expect(JSON.parse(stdout).logit).toBe(own[0].logit);
  });

  it('are refused where there are none, or rows among them', async () => {
    for (const [args, code] of [
      [['photos/*.gif'], 'FILE_NOT_FOUND'],
      [['nowhere'], 'FILE_NOT_FOUND'],
      [['photos/a.png', 'rows.jsonl'], 'USAGE'],
      [['photos/notes.md', 'photos/a.png'], 'USAGE'],
    ] as const) {
      const { stdout, code: exit } = await batch(...args, '--out', 'x.jsonl', '--json');
      expect([exit, JSON.parse(stdout).error.code], args.join(' ')).toEqual([2, code]);
    }
    mkdirSync(at('empty'), { recursive: true });
    expect((await batch('empty')).stderr).toContain('holds no image');
  });

  it('keep a name with the signs of a pattern', () => {
    writeFileSync(at('a[1].png'), '');
    expect(itemFilesOf([at('a[1].png')])?.files.map(({ id }) => id)).toEqual(['a[1].png']);
    expect(itemFilesOf(['-'])).toBeNull();
    expect(itemFilesOf([at('rows.jsonl')])).toBeNull();
  });

  it('end quietly with the reader of their scores', async () => {
    const command = `node ${HPSV3} batch photos --model ${model} | head -n 1`;
    const { code, stdout, stderr } = await collect(
      spawn('bash', ['-o', 'pipefail', '-c', command], { cwd: folder, env: { ...process.env, NODE_ENV: undefined } }),
    );
    expect([code, rows(stdout).length]).toEqual([0, 1]);
    expect(stderr).not.toMatch(/EPIPE|Error/);
  });
});

describe('a finished run', () => {
  it('is left as it is by --resume, and its failed rows are tried again by --retry-errors', async () => {
    const out = at('scores.jsonl');
    const input = at('late.jsonl');
    writeFileSync(input, ['a', 'late', 'b'].map((name) => `{"id":"${name}","image":"photos/${name}.png"}\n`).join(''));
    const run = async (...more: string[]) => {
      const args = ['batch', input, '--model', model, '--out', out, '--json', ...more];
      const { code, stdout } = await hpsv3(args);
      return { code, report: JSON.parse(stdout) };
    };
    expect((await run()).code).toBe(6);
    const first = readFileSync(out, 'utf8');
    const again = await run('--resume');
    expect([again.code, again.report.rows, again.report.failed, again.report.resumed]).toEqual([6, 3, 1, 3]);
    expect(readFileSync(out, 'utf8')).toBe(first);
    expect((await run('--resume', '--batch-size', '4')).report.error.message).toContain('batchSize');

    await writePicture(at('photos'), 'late.png', 9);
    const retried = await run('--retry-errors');
    expect([retried.code, retried.report.rows, retried.report.failed]).toEqual([0, 3, 0]);
    expect(rows(readFileSync(out, 'utf8')).map(({ id, row }) => [id, row])).toEqual([
      ['a', 1],
      ['late', 2],
      ['b', 3],
    ]);
    expect(existsSync(`${out}.errors.jsonl`)).toBe(false);
    rmSync(at('photos', 'late.png'));
    expect((await run('--resume')).code).toBe(0);
    const whole = at('whole.jsonl');
    await writePicture(at('photos'), 'late.png', 9);
    await hpsv3(['batch', input, '--model', model, '--out', whole]);
    expect(readFileSync(out, 'utf8')).toBe(readFileSync(whole, 'utf8'));
    expect(readFileSync(`${out}.manifest.json`, 'utf8')).toBe(readFileSync(`${whole}.manifest.json`, 'utf8'));
    writeFileSync(input, '{"id":"other","image":"photos/a.png"}\n{"id":"late","image":"photos/late.png"}\n');
    expect((await run('--retry-errors')).report.error.code).toBe('USAGE');
  });
});

describe('what was meant otherwise', () => {
  it('is said of a text that is the name of a file, and of a text where the model reads pictures', async () => {
    const text = await tinyModel(folder, 'text', 'item');
    const named = await hpsv3(['score', '--model', text, '--item', 'photos/a.png'], { cwd: folder });
    expect(named.stderr.replace(/\s+(?:›\s+)?/g, ' ')).toContain('"photos/a.png" is the name of a file');
    const prose = await hpsv3(['score', '--model', model, '--item', 'a red fox', '--json'], { cwd: folder });
    expect(JSON.parse(prose.stdout).error.message).toBe('the row is text, the model reads images');
  });

  it('is said of a task that has no curve', async () => {
    const args = ['score', '--model', model, '--item', 'photos/a.png', '--task', 'styel', '--json'];
    const { stdout } = await hpsv3(args, { cwd: folder });
    expect(JSON.parse(stdout).warnings).toContain(
      'The task styel changes nothing: there is no calibrator with curves of tasks.',
    );
  });
});

describe('the bundled model', () => {
  it('is demo, and says what it was trained on', async () => {
    const args = ['score', 'photos/a.png', '--model', 'demo'];
    const { code, stdout } = await hpsv3([...args, '--json'], { cwd: folder });
    expect(code).toBe(0);
    expect(JSON.parse(stdout).warnings[0]).toContain('trained on drawn damage, not on people');
    const { stderr } = await hpsv3(args, { cwd: folder });
    expect(stderr.replace(/\s+(?:›\s+)?/g, ' ')).toContain('trained on drawn damage, not on people');
    const { code: exit, stderr: missing } = await hpsv3(['score', 'photos/a.png'], { cwd: folder });
    expect(exit).toBe(2);
    expect(missing.replace(/\s+(?:›\s+)?/g, ' ')).toMatch(/--model FILE\.onnx, or --model demo/);
  });
});

describe('run_hpsv3', () => {
  const run = (...args: string[]) =>
    collect(
      spawn(process.execPath, [`${PROJECT}bin/run_hpsv3.js`, ...args], {
        cwd: folder,
        env: { ...process.env, NODE_ENV: undefined },
      }),
    );

  it('takes the model of hpsv3_config.yaml, and says its version', async () => {
    writeFileSync(at('hpsv3_config.yaml'), 'model: image.onnx\ndevice: cpu\nbatch_size: 2\n');
    const { code, stdout } = await run('--mode', 'batch', '--input', 'photos');
    expect([code, rows(stdout).length >= 3]).toEqual([0, true]);
    expect((await run('--version')).stdout).toMatch(/^hpsv3\/\d/);
  });

  it('scores what --mode demo is given', async () => {
    rmSync(at('hpsv3_config.yaml'), { force: true });
    writeFileSync(at('sample_inputs.json'), '{"left":"photos/a.png","right":"photos/b.png"}');
    const { code, stdout, stderr } = await run('--mode', 'demo', '--input', 'sample_inputs.json');
    expect([code, stderr.includes('drawn damage')]).toEqual([0, true]);
    expect(stdout).toMatch(/preferred: probability/);
  });
});
