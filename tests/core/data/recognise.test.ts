import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { streamInput } from '../../../src/core/data/input.js';
import { readRows } from '../../../src/core/data/read-rows.js';
import { readScores } from '../../../src/core/data/read-scores.js';
import type { DataRow, RowResult } from '../../../src/core/data/rows.js';
import { LIMITS } from '../../../src/core/limits.js';
import { allRows, inPieces, memoryInput } from './helpers.js';

const HEADER = ['id', 'type', 'left', 'right', 'label1'];
const table = (delimiter: string, end = '\n'): string =>
  [HEADER, ['1', 'pair', 'a, b', 'b', '1'], ['2', 'pair', 'a', 'b', '0']]
    .map((row) => row.map((cell) => (cell.includes(delimiter) ? `"${cell}"` : cell)).join(delimiter) + end)
    .join('');
const JSONL = '{"id":"1","type":"pair","left":"a","right":"b"}\n{"id":"2","type":"pair","left":"a","right":"b"}\n';

const idsOf = (results: readonly RowResult<DataRow>[]) => results.map((result) => result.row?.id ?? result);

/** As a pipe brings it: the rest follows only when the first line was taken. */
async function* slowly(text: string): AsyncGenerator<Uint8Array> {
  for (const line of text.split(/(?<=\n)/)) yield Buffer.from(line);
}

describe('a CSV as spreadsheets write it', () => {
  it.each([
    ['semicolons', table(';')],
    ['tabs', table('\t')],
    ['bars', table('|')],
    ['a line sep=', `sep=;\r\n${table(';', '\r\n')}`],
    ['a quoted line sep=', `"sep=,"\n${table(',')}`],
    ['a byte order mark', `\uFEFF${table(';')}`],
    ['carriage returns only', table(',', '\r')],
  ])('is read with %s', async (_name, csv) => {
    for (const size of [1, 1000]) expect(idsOf(await allRows(inPieces(csv, size, 'l.csv')))).toEqual(['1', '2']);
  });

  it('has the lines of the file, whatever stands before the header', async () => {
    const [, , bad] = await allRows(memoryInput(`sep=;\n${table(';')}3;pair\n`, 'l.csv'));
    expect(bad).toMatchObject({ line: 5, code: 'COLUMNS_MISMATCH' });
  });

  it.each([
    ['UTF-16', Buffer.from(`\uFEFF${table(';')}`, 'utf16le')],
    ['UTF-16 without a mark', Buffer.from(table(';'), 'utf16le')],
  ])('is named for what it is in %s', async (_name, bytes) => {
    await expect(allRows(memoryInput(bytes, 'l.csv'))).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: 'l.csv: text in UTF-16, not in UTF-8; rows are due: JSONL, CSV or Parquet',
      hint: expect.stringContaining('CSV UTF-8'),
    });
  });
});

describe('recogniseRows', () => {
  it('tells the format of a stream, or of a file whose name says none, by its content', async () => {
    for (const text of [table(','), table(';'), JSONL, `[${JSONL.trim().replace('\n', ',')}]`]) {
      expect(idsOf(await allRows(memoryInput(text, 'labels')))).toEqual(['1', '2']);
      expect(idsOf(await allRows(streamInput(slowly(text), 'stdin')))).toEqual(['1', '2']);
    }
  });

  it('refuses in one sentence what is a table, but none of rows', async () => {
    const text = 'prompt,better,worse\nx,y,z\n';
    for (const name of ['stdin', 'l.csv']) {
      await expect(allRows(memoryInput(text, name))).rejects.toMatchObject({
        message: `${name}: the header has no column "type"`,
      });
    }
    await expect(allRows(memoryInput(text, 'l.jsonl'))).rejects.toMatchObject({
      message: 'l.jsonl: is CSV, not JSONL',
    });
  });

  it.each([
    ['JSONL', 'l.csv', JSONL, 'is JSONL, not CSV'],
    ['JSONL', 'l.parquet', JSONL, 'is JSONL, not Parquet'],
    ['CSV', 'l.jsonl', table(','), 'is CSV, not JSONL'],
    ['Parquet', 'l.jsonl', 'PAR1', 'is Parquet, not JSONL'],
    [
      'a checkpoint',
      'l.jsonl',
      Buffer.from('\x10\0\0\0\0\0\0\0{"w":{"dtype":"F32"', 'latin1'),
      'a safetensors checkpoint',
    ],
    ['a model', 'l', Buffer.from([8, 8, 0x12, 7]), 'an ONNX model'],
    ['a SavedModel', 'l', Buffer.from([8, 1, 0x12, 200, 1, 0x0a]), 'a TensorFlow SavedModel'],
    ['a pointer', 'l.jsonl', 'version https://git-lfs.github.com/spec/v1\n', 'a git-lfs pointer'],
    ['a web page', 'l.csv', '<!doctype html>\n<p>', 'a web page'],
    ['a picture', 'l.csv', Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), 'a media file'],
  ])('says what %s is that is given as %s', async (_what, name, content, words) => {
    await expect(allRows(memoryInput(content, name))).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringContaining(`${name}: ${words}`),
    });
  });

  it('does not take a file for another because its first line is damaged', async () => {
    for (const first of ['\x80\x02', '\x08\x07', '[', 'id,type', '{']) {
      const results = await allRows(
        memoryInput(Buffer.concat([Buffer.from(`${first}x\n`, 'latin1'), Buffer.from(JSONL)]), 'l.jsonl'),
      );
      expect(results.filter(({ row }) => row).map(({ line }) => line)).toEqual([2, 3]);
    }
  });

  it('reads scores in every format', async () => {
    const csv = 'id;logit;calibrated;calibrated_value;model\n1;-1.5;true;0.25;ff\n2;x;;;\n';
    const { table: scores, report } = await readScores(memoryInput(csv, 's.csv'));
    expect([[...scores.logit], scores.ids.texts(), scores.models]).toEqual([[-1.5], ['1'], ['ff']]);
    expect(report.badRowExamples).toMatchObject([{ line: 3, message: 'logit must be a number, not "x"' }]);
  });
});

describe('JSON that is not a row a line', () => {
  const rows = [
    '{"id":"1","type":"pair","left":"a","right":"{"}',
    '{"id":"2","type":"abs","content":"é"}',
    '{"id":"3","type":"abs","content":{"text":"x"}}',
  ];
  const PRETTY = rows.map((row) => JSON.stringify(JSON.parse(row), null, 2));

  it.each([
    ['an array in a line', `[${rows.join(',')}]`, [1, 1, 1]],
    ['an array over lines', `[\n${rows.join(',\n')}\n]\n`, [2, 3, 4]],
    ['an array, indented', `\uFEFF [${PRETTY.join(' , ')}]`, [1, 6, 10]],
    ['objects over lines', `${PRETTY.join('\n')}\n`, [1, 7, 12]],
    ['an empty array', '[]', []],
  ])('is read: %s', async (_name, text, lines) => {
    for (const size of [1, 7, 1000]) {
      const results = await allRows(inPieces(text, size, 'l.json'));
      expect(idsOf(results)).toEqual(lines.map((_, i) => String(i + 1)));
      expect(results.map(({ line }) => line)).toEqual(lines);
    }
  });

  it.each([
    ['a quote too few', 0, '"1,'],
    ['a brace too few', 0, '"1"', '{"id":"1","type":"pair","left":"a","right":"b"'],
    ['a word', 1, 'x'],
    ['a number', 1, '5'],
    ['a NaN', 1, '{"id":NaN}'],
    ['half a row', 2, '{"id":"3","ty'],
  ])('gives up one row for %s', async (_name, place, _found, whole = _found) => {
    const damaged = rows.map((row, i) =>
      i === place ? (whole.startsWith('"') ? row.replace(`"${i + 1}"`, whole) : whole) : row,
    );
    for (const text of [`[${damaged.join(',')}]`, `[\n${damaged.join(',\n')}\n]`]) {
      for (const size of [1, 1000]) {
        const results = await allRows(inPieces(text, size, 'l.json'));
        expect(results.map(({ row }) => row?.id ?? null)).toEqual(
          ['1', '2', '3'].map((id, i) => (i === place ? null : id)),
        );
      }
    }
  });

  it('reports an array that is cut short', async () => {
    const results = await allRows(memoryInput(`[${rows[0]},\n${rows[1]},\n`, 'l.json'));
    expect(idsOf(results)).toEqual([
      '1',
      '2',
      { line: 3, code: 'INVALID_JSON', message: 'the array is not closed: the file may be cut short' },
    ]);
  });

  it('gives up a row beyond the limit, in linear time and bounded memory', async () => {
    const long = `{"id":"x","type":"abs","content":"${'{"'.repeat(100)}${'y'.repeat(LIMITS.rowBytes)}"}`;
    const results = await allRows(inPieces(`[${long},${rows[1]}]`, 1 << 20, 'l.json'));
    expect(results.filter(({ row }) => row).map(({ row }) => row?.id)).toEqual(['2']);
    expect(results.some((result) => !result.row && result.code === 'ROW_TOO_LARGE')).toBe(true);
  });
});

describe('compressed rows', () => {
  it.each([
    ['gzip', 'l.csv.gz', gzipSync(table(','))],
    ['gzip under a name that does not say so', 'l.csv', gzipSync(table(','))],
    ['two gzip members', 'l.jsonl.gz', Buffer.concat(JSONL.split(/(?<=\n)/).map((line) => gzipSync(line)))],
  ])('are read: %s', async (_name, name, bytes) => {
    for (const size of [1, 1000]) expect(idsOf(await allRows(inPieces(bytes, size, name)))).toEqual(['1', '2']);
  });

  it('are refused where they are cut short or damaged', async () => {
    const bytes = gzipSync(JSONL.repeat(50));
    const damaged = Buffer.from(bytes);
    damaged[bytes.length - 6] ^= 1; // of the CRC-32
    for (const bad of [bytes.subarray(0, bytes.length - 9), damaged]) {
      await expect(allRows(memoryInput(bad, 'l.jsonl.gz'))).rejects.toMatchObject({
        code: 'DATA_INVALID',
        exitCode: 2,
      });
    }
  });

  it('are refused where they inflate beyond all proportion', async () => {
    const member = gzipSync(Buffer.alloc(1 << 24));
    const bomb = Array.from({ length: LIMITS.rowsInflatedFromBytes / (1 << 24) + 1 }, () => member);
    await expect(allRows(memoryInput(Buffer.concat(bomb), 'l.jsonl.gz'))).rejects.toMatchObject({
      message: expect.stringContaining(`more than ${LIMITS.rowsRatio} times its size`),
    });
  });

  const golden = (name: string): Buffer => readFileSync(new URL(`../../golden/data/${name}`, import.meta.url));

  it('are read as zstd, whatever its frames', async () => {
    const bytes = golden('rows.jsonl.zst');
    for (const size of [1, 1000, 1 << 20]) {
      const results = await allRows(inPieces(bytes, size, 'rows.jsonl.zst'));
      expect(results.map(({ row }) => row?.id)).toEqual(Array.from({ length: 20_000 }, (_, i) => `${i}`));
    }
  });

  it.each([
    ['cut short', golden('rows.jsonl.zst').subarray(0, 2000), 'it is cut short'],
    ['cut within its last frame', golden('rows.jsonl.zst').subarray(0, -3), 'it is cut short'],
    [
      'followed by something else',
      Buffer.concat([golden('rows.jsonl.zst'), Buffer.from('{"id":"1"}\n')]),
      'no zstd frame',
    ],
    ['written with a window of 2 GiB', golden('window.jsonl.zst'), 'a window of 2147483648 bytes is over 134217728'],
  ])('are refused as zstd %s', async (_name, bytes, words) => {
    await expect(allRows(memoryInput(bytes, 'rows.jsonl.zst'))).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringContaining(words),
    });
  });

  it('cannot be Parquet', async () => {
    await expect(allRows(memoryInput(gzipSync('PAR1'), 'l.parquet.gz'))).rejects.toMatchObject({ code: 'USAGE' });
  });
});

describe('codings of votes', () => {
  const pairs = (votes: readonly unknown[], field = 'labels'): string =>
    votes
      .map((vote, i) => `${JSON.stringify({ id: `${i}`, type: 'pair', left: 'a', right: 'b', [field]: vote })}\n`)
      .join('');
  const votesOf = async (text: string, name = 'l.jsonl') =>
    (await allRows(memoryInput(text, name))).map((result) => (result.row?.kind === 'pair' ? result.row.votes : result));

  it.each([
    ['1 and 2', [[1], [2, 1], [1]]],
    ['"1" and "2"', [['1'], ['2', '1'], ['1']]],
    ['A and B', [['A'], ['b', 'A'], ['a']]],
    ['left and right', [['left'], ['right', 'left'], ['Left']]],
    ['chosen and rejected', [['chosen'], ['rejected', 'chosen'], ['chosen']]],
  ])('are recognised where the whole file has them: %s', async (_name, votes) => {
    expect(await votesOf(pairs(votes))).toEqual([[1], [0, 1], [1]]);
    const single = pairs(
      votes.map(([first]) => first),
      'label',
    );
    expect(await votesOf(single)).toEqual([[1], [0], [1]]);
    const csv = `id,type,left,right,label1,label2\n${votes.map((row, i) => `${i},pair,a,b,${row[0]},${row[1] ?? ''}\n`).join('')}`;
    expect(await votesOf(csv, 'l.csv')).toEqual([[1], [0, 1], [1]]);
  });

  it('know ties by their word', async () => {
    expect(await votesOf(pairs([['A', 'tie'], ['B']]))).toEqual([[1, 0.5], [0]]);
  });

  it('are left alone where the file mixes them, and the rows refused say so', async () => {
    const [first, second, third] = await votesOf(pairs([[1], [2], [0]]));
    expect([first, third]).toEqual([[1], [0]]);
    expect(second).toMatchObject({
      line: 2,
      message: 'labels each vote must be 1, 0 or 0.5, not 2 (the file mixes codings: 1, 2, 0)',
    });
  });

  it('are recognised past votes that mean nothing in any', async () => {
    expect(await votesOf(pairs([[1], [2], [7]]))).toEqual([[1], [0], expect.objectContaining({ line: 3 })]);
  });

  it('are not told from a stream, which cannot be looked through', async () => {
    const results: RowResult<DataRow>[] = [];
    for await (const batch of readRows(streamInput(slowly(pairs([[1], [2]])), 'stdin'))) results.push(...batch);
    expect(results[1]).toMatchObject({ line: 2, message: expect.stringContaining('in files, not in streams') });
  });
});
