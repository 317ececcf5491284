import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemorySource } from '../../../src/core/bytes/source.js';
import { escapeFormula, unescapeFormula } from '../../../src/core/data/csv.js';
import { dataStats } from '../../../src/core/data/data-stats.js';
import { DATA_FORMATS, type DataFormat } from '../../../src/core/data/formats.js';
import { fileInput, streamInput } from '../../../src/core/data/input.js';
import { consensusData, convertData, splitData } from '../../../src/core/data/operations.js';
import { readRows } from '../../../src/core/data/read-rows.js';
import type { DataRow } from '../../../src/core/data/rows.js';
import { LIMITS } from '../../../src/core/limits.js';
import { allRows, goodRows, inPieces, MemorySink, memoryInput } from './helpers.js';

const golden = (name: string): Buffer => readFileSync(new URL(`../../golden/data/${name}`, import.meta.url));

/** Converts and reads back. */
async function roundTrip(rows: readonly DataRow[], format: DataFormat): Promise<DataRow[]> {
  const { formatJsonlRow } = await import('../../../src/core/data/jsonl.js');
  const sink = new MemorySink();
  await convertData({ input: memoryInput(rows.map(formatJsonlRow).join(''), 'in.jsonl'), sink, format });
  return goodRows(memoryInput(sink.bytes(), `out.${format}`));
}

const text = fc.oneof(
  fc.string({ minLength: 1 }).filter((s) => !s.includes('\0')),
  fc.constantFrom(
    "=cmd|'/c calc'!A1",
    '+1',
    '@SUM',
    '\tx',
    '\r',
    '＝1',
    "'=x",
    "''=x",
    "'",
    '-1.5',
    ' a ',
    'a"b',
    'a,b',
    'a\nb',
    'x\r',
    '1',
    '\uFEFFa',
    '\u2028',
    '😀',
  ),
);
const common = {
  id: text,
  groups: fc
    .uniqueArray(fc.tuple(fc.constantFrom('source', '__proto__', 'a b', 'x.y', '1'), text), {
      selector: ([name]) => name,
    })
    .map((entries) => new Map(entries)),
};
const withCluster = <T extends { id: string; promptId?: string }>(row: T): T & { promptId: string } => ({
  ...row,
  promptId: row.promptId ?? row.id,
});
const optionals = { context: text, task: text, modality: fc.constantFrom('image', 'image-text'), promptId: text };
const pairRow = fc
  .record(
    {
      kind: fc.constant('pair'),
      ...common,
      ...optionals,
      left: text,
      right: fc.oneof(text, fc.record({ image: text, text })),
      votes: fc.oneof(fc.array(fc.constantFrom(0, 1, 0.5), { maxLength: 4 }), fc.constant([0.7])),
    },
    { requiredKeys: ['kind', 'id', 'groups', 'left', 'right', 'votes'] },
  )
  .chain((row) =>
    fc.constantFrom(row, {
      ...row,
      ...(row.votes.length > 0 && { raters: (row.votes as number[]).map((_, i) => `r${i}`) }),
    }),
  )
  .map(withCluster) as fc.Arbitrary<DataRow>;
const absoluteRow = fc
  .record(
    {
      kind: fc.constant('absolute'),
      ...common,
      ...optionals,
      item: text,
      score: fc.double({ noNaN: true, noDefaultInfinity: true }).map((x) => x + 0),
      ratings: fc.array(
        fc.integer({ min: -5, max: 5 }).map((x) => x + 0),
        { maxLength: 3 },
      ),
      aux: fc.constant({ quality: 2, toxicity: 1 }),
    },
    { requiredKeys: ['kind', 'id', 'groups', 'item', 'ratings'] },
  )
  .map(withCluster) as fc.Arbitrary<DataRow>;

describe.each(DATA_FORMATS)('%s', (format) => {
  it('gives back every row that was written', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.oneof(pairRow, absoluteRow), { minLength: 1, maxLength: 6, selector: (row) => row.id }),
        async (rows) => {
          expect(await roundTrip(rows, format)).toEqual(rows);
        },
      ),
      { numRuns: 150, seed: 9 },
    );
  });
});

const HEADER = 'id,type,left,right,context,label1,label2,label3,prompt_id,group.source\n';

describe('readCsvRows', () => {
  it('reads the header of the format, with gaps in the votes', async () => {
    const csv = `\uFEFF${HEADER.replace('\n', '\r\n')}1,pair,a,b,"say ""x""\ny",1,,0.5,p,coco\r\n\r\n2,pair,a,b,,0,1,1.0,,\r\n`;
    for (const size of [1, 3, 1000]) {
      expect(await goodRows(inPieces(csv, size, 'l.csv'))).toEqual([
        {
          kind: 'pair',
          id: '1',
          left: 'a',
          right: 'b',
          context: 'say "x"\ny',
          promptId: 'p',
          groups: new Map([['source', 'coco']]),
          votes: [1, 0.5],
        },
        { kind: 'pair', id: '2', left: 'a', right: 'b', promptId: '2', groups: new Map(), votes: [0, 1, 1] },
      ]);
    }
  });

  it.each([
    ['66 a ragged row', '1,pair,a\n', 'COLUMNS_MISMATCH'],
    ['66 a row too wide', '1,pair,a,b,,1,1,1,p,x,y\n', 'COLUMNS_MISMATCH'],
    ['66 a stray quote', '1,pair,a"x,b,,1,1,1,p,x\n', 'INVALID_CSV'],
    ['66 text after a closing quote', '1,pair,"a" x,b,,1,1,1,p,x\n', 'INVALID_CSV'],
    ['66 a quote that is never closed', '1,pair,"a,b,,1,1,1,p,x\n', 'INVALID_CSV'],
    ['a vote that is text', '1,pair,a,b,,yes,1,1,p,x\n', 'FIELD_INVALID'],
    ['a vote of 2 among votes of 0', '1,pair,a,b,,2,1,0,p,x\n', 'FIELD_INVALID'],
    ['64 a vote of 1e999', '1,pair,a,b,,1e999,1,1,p,x\n', 'NUMBER_OUT_OF_RANGE'],
    ['60 a NUL', '1,pair,a\0,b,,1,1,1,p,x\n', 'FIELD_INVALID'],
    ['60 invalid UTF-8', Buffer.from('1,pair,a,b,\xff,1,1,1,p,x\n', 'latin1'), 'INVALID_UTF8'],
    ['no id', ',pair,a,b,,1,1,1,p,x\n', 'FIELD_MISSING'],
  ])('refuses %s and reads on', async (_name, bad, code) => {
    const csv = Buffer.concat([Buffer.from(HEADER), Buffer.from(bad), Buffer.from('9,pair,a,b,,1,1,1,p,x\n')]);
    const results = await allRows(memoryInput(csv, 'l.csv'));
    expect(results.find(({ row }) => !row)).toMatchObject({ code, line: 2 });
    expect(results.filter(({ row }) => row).map(({ row }) => row?.id)).toEqual(['9']);
  });

  it.each([
    ['66 a header with a quote that is never closed', '"id,type\n1,pair\n'],
    ['66 a repeated column', 'id,type,left,right,label1,label1\n'],
    ['a file without type', 'id,left,right\n'],
    ['a header that is not UTF-8', Buffer.from('id,type,\xff\n', 'latin1')],
    ['a vote column beyond the limit', `id,type,label${LIMITS.votes + 1}\n`],
  ])('refuses the file for %s', async (_name, csv) => {
    await expect(allRows(memoryInput(csv, 'l.csv'))).rejects.toMatchObject({ code: 'DATA_INVALID', exitCode: 2 });
  });

  it('takes a column __proto__ for an unknown one (66)', async () => {
    const [row] = await goodRows(memoryInput('id,type,left,right,__proto__\n1,pair,a,b,x\n', 'l.csv'));
    expect(row.id).toBe('1');
    expect(Object.getPrototypeOf(row)).toBe(Object.prototype);
  });

  it('keeps formulas from spreadsheets (67)', () => {
    for (const formula of ["=cmd|'/c calc'!A1", '+1', '-1+2', '-a', '@SUM', '\tx', '\rx', '＝1', '＋1', '－1', '＠x']) {
      expect(escapeFormula(formula)).toBe(`'${formula}`);
    }
    for (const plain of ["it's", '-5', '-0.5', '-.5e-7']) expect(escapeFormula(plain)).toBe(plain);
    expect(["'-5", "'-0.5"].map(unescapeFormula)).toEqual(['-5', '-0.5']); // as earlier versions wrote them
    fc.assert(fc.property(text, (value) => unescapeFormula(escapeFormula(value)) === value));
  });
});

describe('readParquetRows', () => {
  const names = ['snappy', 'gzip', 'brotli', 'zstd', 'lz4'].flatMap((codec) => [`${codec}-1`, `${codec}-2`]);

  it.each(names)('reads what pyarrow writes: %s', async (name) => {
    const rows = await goodRows(memoryInput(golden(`${name}.parquet`), 'l.parquet'));
    expect(rows).toHaveLength(300);
    expect(rows[7]).toEqual({
      kind: 'pair',
      id: '7',
      left: 'l7.jpg',
      right: 'r7.jpg',
      context: 'é ü \u2028',
      promptId: '1',
      groups: new Map([['source', 'draw']]),
      votes: [1, 0.5],
    });
    expect(rows[299]).toMatchObject({ promptId: '59', votes: [1, 0.5] });
    expect(rows[297]).toMatchObject({ votes: [1] });
  });

  it('reads votes that are a list', async () => {
    const rows = await goodRows(memoryInput(golden('list.parquet'), 'l.parquet'));
    expect(rows.map((row) => row.kind === 'pair' && row.votes)).toEqual([[1, 0.5], [0]]);
  });

  it.each(['delta-1', 'delta-2'])('reads texts that share their beginnings: %s', async (name) => {
    const rows = await goodRows(memoryInput(golden(`${name}.parquet`), 'l.parquet'));
    const contexts = ['a.jpg', 'a.png', undefined, 'ab/a3é.png', 'ab/a4.png', undefined];
    expect(rows.map(({ context }) => context)).toEqual(contexts);
    expect(rows.map(({ id }) => id)).toEqual(['0', '1', '2', '3', '4', '5']);
  });

  it('takes null members of a struct as absent, and refuses the rows whose text no other format may hold', async () => {
    const [first, second, ...bad] = await allRows(memoryInput(golden('odd.parquet'), 'l.parquet'));
    expect(first.row).toMatchObject({ left: { image: 'a' }, groups: new Map([['style', 't']]) });
    expect(second.row?.groups).toEqual(new Map());
    expect(bad).toEqual([
      { line: 3, code: 'FIELD_INVALID', message: 'right has a NUL character' },
      { line: 4, code: 'INVALID_UTF8', message: 'context is not valid UTF-8' },
    ]);
  });

  it.each([
    ['an empty file', Buffer.alloc(0)],
    ['magic only', Buffer.from('PAR1')],
    ['two magics', Buffer.from('PAR1PAR1')],
    ['a footer of 2^31', Buffer.concat([Buffer.from('PAR1xxxx'), Buffer.from([0, 0, 0, 0x80]), Buffer.from('PAR1')])],
    [
      'a footer of zeros',
      Buffer.concat([Buffer.from('PAR1'), Buffer.alloc(64), Buffer.from([64, 0, 0, 0]), Buffer.from('PAR1')]),
    ],
    ['JSON', Buffer.from('{"id":"1","type":"pair"}\n')],
    ['a file cut short', golden('snappy-1.parquet').subarray(0, 5000)],
  ])('refuses %s (68)', async (_name, bytes) => {
    await expect(allRows(memoryInput(bytes, 'l.parquet'))).rejects.toMatchObject({ code: 'DATA_INVALID', exitCode: 2 });
  });

  it.each(names)('refuses a flipped bit in a page of %s by its CRC (68)', async (name) => {
    const bytes = Buffer.from(golden(`${name}.parquet`));
    bytes[60] ^= 1;
    await expect(allRows(memoryInput(bytes, 'l.parquet'))).rejects.toMatchObject({ code: 'DATA_INVALID' });
  });

  it('survives any damage: rows, or DATA_INVALID, in bounded time and memory', async () => {
    const files = ['snappy-1', 'zstd-2', 'gzip-1', 'list', 'delta-1', 'delta-2', 'odd'].map((name) =>
      golden(`${name}.parquet`),
    );
    const edits = fc.array(
      fc.record({ at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), byte: fc.nat(255) }),
      { minLength: 1, maxLength: 6 },
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...files), edits, fc.boolean(), async (file, changes, inFooter) => {
        const bytes = Buffer.from(file);
        const from = inFooter ? bytes.length - 8 - bytes.readUInt32LE(bytes.length - 8) : 4;
        for (const { at, byte } of changes) bytes[from + Math.floor(at * (bytes.length - from))] = byte;
        await allRows(memoryInput(bytes, 'l.parquet')).catch((error) =>
          expect(error).toMatchObject({ code: 'DATA_INVALID' }),
        );
      }),
      { numRuns: 1500, seed: 2 },
    );
    expect(process.memoryUsage().rss).toBeLessThan(700 * 1024 * 1024);
  });

  it('cannot be read from a stream', async () => {
    const input = streamInput((async function* () {})(), 'l.parquet');
    await expect(allRows(input)).rejects.toMatchObject({ code: 'USAGE' });
  });
});

const LABELS = Array.from({ length: 200 }, (_, i) =>
  JSON.stringify({
    id: String(i),
    type: i % 50 === 49 ? 'abs' : 'pair',
    left: 'a',
    right: 'b',
    content: i % 50 === 49 ? 'c' : undefined,
    prompt_id: `p${i >> 2}`,
    labels: i % 50 === 49 ? undefined : [1, i % 2, 0.5],
    ratings: i % 50 === 49 ? [1, 2] : undefined,
    groups: { parity: i % 2 ? 'odd' : 'even' },
  }),
).join('\n');

describe('splitData', () => {
  it('puts every row in one part, and no cluster in two', async () => {
    const sinks = { train: new MemorySink(), val: new MemorySink(), test: new MemorySink() };
    const report = await splitData({
      input: memoryInput(`${LABELS}\nbad\n`, 'l.jsonl'),
      fractions: { train: 0.6, val: 0.2, test: 0.2 },
      seed: 3,
      format: 'csv',
      sinks,
    });
    const parts = await Promise.all(Object.values(sinks).map((sink) => goodRows(memoryInput(sink.bytes(), 'p.csv'))));
    expect(
      parts
        .flat()
        .map((row) => row.id)
        .sort(),
    ).toEqual(Array.from({ length: 200 }, (_, i) => String(i)).sort());
    const clusters = parts.map((rows) => new Set(rows.map((row) => row.promptId)));
    expect(clusters.reduce((sum, set) => sum + set.size, 0)).toBe(50);
    expect(report.input.badRows).toBe(1);
    expect(report.parts.train).toEqual({ rows: parts[0].length, clusters: clusters[0].size });
  });
});

describe('consensusData', () => {
  it('writes one answer a row', async () => {
    const sink = new MemorySink();
    const report = await consensusData({
      input: memoryInput(LABELS, 'l.jsonl'),
      sink,
      format: 'jsonl',
      method: 'majority',
    });
    const rows = await goodRows(memoryInput(sink.bytes(), 'c.jsonl'));
    expect(report).toMatchObject({ written: 200, disagreed: 0 });
    expect(rows.find(({ id }) => id === '1')).toMatchObject({ votes: [1] });
    expect(rows.find(({ id }) => id === '0')).toMatchObject({ votes: [0.5] });
    expect(rows.find(({ id }) => id === '49')).toMatchObject({ score: 1.5, ratings: [] });
  });
});

describe('convertData', () => {
  it('says that standard input cannot be read twice', async () => {
    const input = streamInput((async function* () {})(), '<stdin>');
    await expect(convertData({ input, sink: new MemorySink(), format: 'csv' })).rejects.toMatchObject({
      code: 'USAGE',
    });
  });
});

describe('dataStats', () => {
  it('counts types, votes, clusters, groups, agreement and bad rows', async () => {
    const stats = await dataStats(memoryInput(`${LABELS}\nbad\n${LABELS.split('\n')[0]}\n`, 'l.jsonl'));
    expect(stats).toMatchObject({
      input: { rows: 200, badRows: 2, badRowsByCode: { INVALID_JSON: 1, DUPLICATE_ID: 1 } },
      byType: { pair: 196, absolute: 4 },
      byModality: { unstated: 200 },
      clusters: { count: 50, largest: 4 },
      votes: { total: 588, perRow: { 3: 196 }, ties: 196, softLabels: 0 },
      groups: [{ name: 'parity', rows: 200, values: { even: 100, odd: 100 }, otherValues: 0 }],
    });
    expect(stats.agreement.mean).toBeCloseTo((100 / 3 + (96 * 2) / 3) / 196, 12);
  });

  it('has null, not NaN, for an empty file', async () => {
    const stats = await dataStats(fileInput(new MemorySource(new Uint8Array(0), 'l.jsonl')));
    expect(stats.agreement).toEqual({
      rows: 0,
      mean: null,
      krippendorffAlpha: null,
      fleissKappa: null,
      ratingsAlpha: { interval: null, ordinal: null },
    });
    expect(JSON.stringify(stats)).not.toContain('NaN');
  });
});

describe('a long CSV', () => {
  it('streams in bounded memory (65)', async () => {
    const line = Buffer.from(`1,pair,a,b,${'x'.repeat(990)},1,1,1,p,x\n`);
    const piece = Buffer.concat(Array.from({ length: 1000 }, () => line));
    async function* chunks(): AsyncGenerator<Uint8Array> {
      yield Buffer.from(HEADER);
      for (let i = 0; i < 60; i++) yield piece;
    }
    let rows = 0;
    let peak = 0;
    const before = process.memoryUsage().rss;
    for await (const batch of readRows(streamInput(chunks(), 'l.csv'))) {
      rows += batch.length;
      peak = Math.max(peak, process.memoryUsage().rss - before);
    }
    expect(rows).toBe(60_000);
    expect(peak).toBeLessThan(200 * 1024 * 1024);
  });
});
