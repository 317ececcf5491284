import { spawn } from 'node:child_process';
import { linkSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { LIMITS } from '../../src/core/limits.js';
import { collect, HPSV3, hpsv3 } from '../helpers/cli.js';
import { tinyModel, writePicture, writeRows } from '../helpers/scoring.js';
import { sharedFolder, tempFolder } from '../helpers/temp.js';

const folder = sharedFolder();
const at = (name: string): string => join(folder, name);
let text = '';
let image = '';
beforeAll(async () => {
  text = await tinyModel(folder, 'text');
  image = await tinyModel(folder, 'image');
}, 120_000);

const batch = (model: string, input: string, out: string, ...more: string[]) =>
  hpsv3(['batch', '--model', model, '--input', input, '--output', out, '--batch-size', '4', '-q', ...more]);

const records = (name: string): Record<string, unknown>[] =>
  readFileSync(at(name), 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));

const row = (id: string, more = ''): string => `{"id":"${id}","type":"pairwise_text","left":"a","right":"b"${more}}`;

/** Rows of text that are refused: what they try, the line, the code of their error. */
const ROWS: readonly (readonly [string, string | Buffer, string])[] = [
  ['60 invalid UTF-8', Buffer.from(row('x').replace('"a"', '"\xff"'), 'latin1'), 'INVALID_UTF8'],
  ['60 half a surrogate pair', row('x', ',"context":"\\ud800"'), 'INVALID_UTF8'],
  ['60 a NUL', row('x', ',"context":"a\0b"'), 'INVALID_JSON'],
  ['61 a line longer than a row may be', row('x', `,"x":"${'x'.repeat(LIMITS.rowBytes)}"`), 'ROW_TOO_LARGE'],
  ['62 a depth bomb', '['.repeat(1_000_000), 'ROW_TOO_DEEP'],
  ['63 an id that was there', row('good 0'), 'DUPLICATE_ID'],
  ['63 a repeated key', row('x', ',"left":"c"'), 'DUPLICATE_KEY'],
  ['63 an unknown type', '{"id":"x","type":"triple","left":"a","right":"b"}', 'TYPE_UNKNOWN'],
  ['63 no left', '{"id":"x","type":"pairwise_text","right":"b"}', 'FIELD_MISSING'],
  ['63 odd votes', row('x', ',"labels":[1,"0",null,2]'), 'FIELD_INVALID'],
  ['63 no votes', row('x', ',"labels":[]'), 'FIELD_INVALID'],
  ['64 a number beyond all', row('x', ',"x":1e999'), 'NUMBER_OUT_OF_RANGE'],
];

describe('hpsv3 batch on hostile rows', () => {
  it('reports each with its line, and scores those between', async () => {
    const lines = ROWS.flatMap(([, line], i) => [row(`good ${i}`), line]);
    const input = at('hostile.jsonl');
    writeFileSync(
      input,
      Buffer.concat(lines.flatMap((line) => [typeof line === 'string' ? Buffer.from(line) : line, Buffer.from('\n')])),
    );
    const { code, stderr } = await batch(text, input, at('hostile.out.jsonl'));
    expect(records('hostile.out.jsonl.errors.jsonl').map(({ line, code: error }) => [line, error])).toEqual(
      ROWS.map(([, , error], i) => [2 * i + 2, error]),
    );
    expect(records('hostile.out.jsonl').map(({ id }) => id)).toEqual(ROWS.map((_, i) => `good ${i}`));
    expect(code).toBe(6);
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  it('refuses the file for a repeated column, and writes nothing (66)', async () => {
    const own = tempFolder();
    writeFileSync(join(own, 'in.csv'), 'id,type,left,left\n1,pairwise_text,a,b\n');
    const { code } = await batch(text, join(own, 'in.csv'), join(own, 'out.csv'));
    expect(code).toBe(2);
    expect(readdirSync(own)).not.toContain('out.csv');
  });

  it('gives up the line whose quote is never closed, by its number, and scores those after it (66)', async () => {
    const own = tempFolder();
    writeFileSync(join(own, 'in.csv'), 'id,type,left,right\n1,pairwise_text,"a,b\n2,pairwise_text,a,b\n');
    const { code } = await batch(text, join(own, 'in.csv'), join(own, 'out.jsonl'));
    expect(code).toBe(6);
    const errors = readFileSync(join(own, 'out.jsonl.errors.jsonl'), 'utf8').trim().split('\n');
    expect(errors.map((line) => JSON.parse(line))).toEqual([expect.objectContaining({ line: 2, code: 'INVALID_CSV' })]);
    expect(JSON.parse(readFileSync(join(own, 'out.jsonl'), 'utf8'))).toMatchObject({ id: '2' });
  });

  it('refuses what only looks like a picture (72)', async () => {
    await writePicture(folder, 'good.png', 1);
    const files: readonly (readonly [string, string | Buffer])[] = [
      ['page.jpg', '<!doctype html><title>404</title>'],
      ['archive.jpg', Buffer.from('PK\x03\x04')],
      ['drawing.png', '<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'],
      ['large.png', Buffer.concat([readFileSync(at('good.png')), Buffer.alloc(LIMITS.imageBytes)])],
    ];
    for (const [name, content] of files) writeFileSync(at(name), content);
    const pairs = [...files.map(([name]) => name), 'good.png'].map((left) => {
      return { id: left, type: 'pair', left, right: 'good.png' };
    });
    const { code } = await batch(image, writeRows(folder, 'disguised.jsonl', pairs), at('disguised.out.jsonl'));
    expect(records('disguised.out.jsonl.errors.jsonl').map(({ id, code: error }) => [id, error])).toEqual(
      files.map(([name]) => [name, 'MEDIA_INVALID']),
    );
    expect(records('disguised.out.jsonl').map(({ id }) => id)).toEqual(['good.png']);
    expect(code).toBe(6);
  });
});

describe('hpsv3 batch among files and processes', () => {
  it('ends without a word where its reader leaves (106)', async () => {
    const input = writeRows(
      folder,
      'many.jsonl',
      Array.from({ length: 2000 }, (_, i) => row(`${i}`)),
    );
    const script = '"$@" | head -1 | wc -l';
    const args = [process.execPath, HPSV3, 'batch', '--model', text, '--input', input, '--output', '-', '-q'];
    const { code, stdout, stderr } = await collect(spawn('bash', ['-c', script, 'bash', ...args]));
    expect({ code, stdout: stdout.trim() }).toEqual({ code: 0, stdout: '1' });
    expect(stderr).not.toMatch(/EPIPE|^\s+at /m);
  });

  it('refuses outputs that are no file of their own, and takes odd names (107)', async () => {
    const own = tempFolder();
    const input = writeRows(own, 'a few rows.jsonl', [row('1')]);
    mkdirSync(join(own, 'folder'));
    writeFileSync(join(own, 'kept'), 'kept');
    symlinkSync('kept', join(own, 'link'));
    linkSync(input, join(own, 'same.jsonl'));
    for (const name of ['folder', 'link', 'same.jsonl', join('none', 'out.jsonl'), 'x'.repeat(256)]) {
      const { code, stderr } = await batch(text, input, join(own, name), '--force');
      expect([name, code]).toEqual([name, 2]);
      expect(stderr).toMatch(/OUTPUT_INVALID/);
    }
    expect(readFileSync(join(own, 'kept'), 'utf8')).toBe('kept');
    const odd = join(own, 'two\nlines 🙂.jsonl');
    expect((await batch(text, input, odd)).code).toBe(0);
    expect(JSON.parse(readFileSync(odd, 'utf8')).id).toBe('1');
  });

  it('goes on only with the model it was begun with (110)', async () => {
    const out = at('begun.jsonl');
    const args = ['batch', '--model', text, '--input', '-', '--output', out, '-q', '--batch-size', '4'];
    const child = spawn(process.execPath, [HPSV3, ...args]);
    const gone = collect(child);
    for (let i = 0; i < 200; i++) child.stdin.write(`${row(`${i}`)}\n`);
    while (
      (readdirSync(folder).includes('begun.jsonl.journal') ? readFileSync(`${out}.journal`).byteLength : 0) < 2000
    ) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    child.kill('SIGKILL');
    await gone;
    const input = writeRows(
      folder,
      'begun-rows.jsonl',
      Array.from({ length: 200 }, (_, i) => row(`${i}`)),
    );
    const { code, stdout } = await batch(image, input, out, '--resume', '--json');
    expect(code).toBe(2);
    expect(JSON.parse(stdout).error.message).toMatch(/begun with another models/);
    expect((await batch(text, input, out, '--resume')).code).toBe(0);
    expect(records('begun.jsonl')).toHaveLength(200);
  });
});
