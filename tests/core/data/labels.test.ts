import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FileSource } from '../../../src/core/bytes/source.js';
import { type DataInput, fileInput } from '../../../src/core/data/input.js';
import { alignLogits, joinAbsolutes, joinPairs } from '../../../src/core/data/join.js';
import { toPlainRow } from '../../../src/core/data/jsonl.js';
import { type LabelTable, LabelTableBuilder, type PairLabelTable } from '../../../src/core/data/label-table.js';
import { type IgnoredFields, parseDataRow, parseScoreRow } from '../../../src/core/data/parse-row.js';
import { type Labels, readLabels } from '../../../src/core/data/read-labels.js';
import { readRows } from '../../../src/core/data/read-rows.js';
import { readScores } from '../../../src/core/data/read-scores.js';
import { RowCounts } from '../../../src/core/data/row-counts.js';
import { parseRowJson } from '../../../src/core/data/row-json.js';
import { RowError } from '../../../src/core/data/rows.js';
import { absoluteRowSchema, pairRowSchema, rowJsonSchemas, scoreRowSchema } from '../../../src/core/data/schema.js';
import { hasShared, SHARED } from '../../helpers/shared.js';
import { inPieces, memoryInput } from './helpers.js';

/** The slow way: every row through the strict parser. */
async function strictLabels(input: DataInput): Promise<Labels> {
  const counts = new RowCounts();
  const builder = new LabelTableBuilder(counts);
  for await (const batch of readRows(input, { ignored: counts.ignored })) {
    for (const result of batch) {
      if (result.row) builder.addRow(result.row, result.line);
      else counts.addBad(result);
    }
  }
  return { table: builder.finish(), report: counts.report() };
}

const plain = (table: LabelTable) => ({ ...table, ids: table.ids.texts() });

const ROWS = [
  '{"id":"a","type":"pair","left":"l","right":"r","labels":[1,0,0.5],"prompt_id":"p","groups":{"g":"x","h":"y"}}',
  '{ "type" : "pairwise_image" , "id":"b", "left":"l\\n\\u00e9", "right":"r", "context":"é\u2028", "label": "left", "task":"t"}\r',
  '{"id":"c","type":"pair","left":"l","right":"r","labels":[1.0,0.0],"groups":{"h":"é"}}',
  '{"id":"d","type":"pair","left":"l","right":"r","label":0.25}',
  '{"id":"e","type":"abs","content":"l","score":2}',
  '{"id":"a","type":"pair","left":"l","right":"r","labels":[1]}',
  '{"id":7,"type":"pair","left":{"image":"l"},"right":"r","labels":[1,1],"raters":["x","y"]}',
  '{"id":"f","type":"pair","left":"l","right":"r"}',
  '{"id":"g","type":"pair","left":"l","right":"r","labels":[1],"note":"unknown"}',
];

describe('readLabels', () => {
  it('puts votes, clusters and groups into columns', async () => {
    const { table, report } = await readLabels(memoryInput(ROWS.join('\n'), 'l.jsonl'));
    const { votesLeft, votesRight, ties, cluster, groups, task } = table as PairLabelTable;
    expect(table.ids.texts()).toEqual(['a', 'b', 'c', 'd', '7', 'g']);
    expect([...votesLeft]).toEqual([1.5, 1, 1, 0.25, 2, 1]);
    expect([...votesRight]).toEqual([1.5, 0, 1, 0.75, 0, 0]);
    expect([...ties]).toEqual([1, 0, 0, 0, 0, 0]);
    expect(cluster.names).toEqual(['p', 'b', 'c', 'd', '7', 'g']);
    expect([...groups.get('h')!.codes]).toEqual([0, -1, 1, -1, -1, -1]);
    expect(groups.get('h')!.names).toEqual(['y', 'é']);
    expect([...task.codes]).toEqual([-1, 0, -1, -1, -1, -1]);
    expect(report).toMatchObject({
      rows: 6,
      badRows: 1,
      badRowsByCode: { DUPLICATE_ID: 1 },
      otherKind: 1,
      unlabelled: 1,
      ignoredFields: { note: 1 },
    });
  });

  it('keeps the absolute rows when they are asked for', async () => {
    const { table } = await readLabels(memoryInput(ROWS.join('\n'), 'l.jsonl'), { kind: 'absolute' });
    expect(table).toMatchObject({ kind: 'absolute', count: 1, score: Float64Array.of(2) });
  });

  it('gives an empty table for an empty file', async () => {
    const { table } = await readLabels(memoryInput('', 'l.jsonl'));
    expect(table.count).toBe(0);
  });

  it('reads in any pieces what the strict parser reads, whatever is done to the bytes', async () => {
    const chosen = '{"id":"h","type":"pair","left":"l","right":"r","labels":[1],"propensity":0.25}';
    const base = Buffer.from(`${[...ROWS, chosen].join('\n')}\n`);
    const edit = fc.record({
      at: fc.nat(base.length - 1),
      bytes: fc.oneof(
        fc
          .constantFrom(
            '"',
            '\\',
            '{',
            '}',
            '[',
            ']',
            ',',
            ':',
            '\n',
            '0',
            '1',
            '.5',
            '5',
            ' ',
            '\0',
            '\\u0041',
            '\\ud800',
            'null',
          )
          .map((s) => Buffer.from(s)),
        fc.uint8Array({ minLength: 1, maxLength: 2 }).map((b) => Buffer.from(b)),
      ),
      removed: fc.nat(3),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { maxLength: 4 }), fc.integer({ min: 1, max: 900 }), async (edits, size) => {
        let bytes = base;
        for (const { at, bytes: inserted, removed } of edits) {
          bytes = Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(at + removed)]);
        }
        const fast = await readLabels(inPieces(bytes, size, 'l.jsonl'));
        const strict = await strictLabels(inPieces(bytes, size, 'l.jsonl'));
        expect(plain(fast.table)).toEqual(plain(strict.table));
        expect(fast.report).toEqual(strict.report);
      }),
      { numRuns: 1500, seed: 11 },
    );
  });
});

describe('readScores', () => {
  it('reads plain and full rows, and counts the bad ones', async () => {
    const text = `{"id":"a","logit":1.5}
{"id": "b", "logit": -2e-3, "score": 0.4, "winner": "right", "confidence": null, "model": "ff", "calibrated": false}
{"logit":0.25,"id":3}
{"id":"a","logit":9}
{"id":"c","logit":1e999}
{"id":"d","logit":"1"}
{"id":"e"}
{"id":"f","logit":1,"winner":"both"}
{"id":"g","logit":01}`;
    const { table, report } = await readScores(memoryInput(text, 's.jsonl'));
    expect(table.ids.texts()).toEqual(['a', 'b', '3', 'd']);
    expect([...table.logit]).toEqual([1.5, -0.002, 0.25, 1]);
    expect(report.badRowsByCode).toEqual({
      DUPLICATE_ID: 1,
      NUMBER_OUT_OF_RANGE: 1,
      FIELD_INVALID: 1,
      FIELD_MISSING: 1,
      INVALID_JSON: 1,
    });
  });

  it('reads back every double within the range of float32', async () => {
    const double = fc.double({ noNaN: true, min: -3.4e38, max: 3.4e38 });
    const values = fc.sample(
      double.filter((value) => value === 0 || Math.abs(value) > 1.2e-38),
      { numRuns: 500, seed: 3 },
    );
    const text = values.map((value, i) => `${JSON.stringify({ id: String(i), logit: value })}\n`).join('');
    const { table } = await readScores(memoryInput(text, 's.jsonl'));
    expect([...table.logit]).toEqual(values.map((value) => (Object.is(value, -0) ? 0 : value)));
  });

  it('takes a logit too small for float32 as none, and refuses one too large, in the fast way and the strict one', async () => {
    const rows = [5e-324, -1e-45, 1e-37, 3.4e38, 3.5e38, -1e308].map((logit, i) => `{"id":"${i}","logit":${logit}}`);
    for (const lines of [rows, rows.map((row) => row.replace('}', ',"winner":"left"}'))]) {
      const { table, report } = await readScores(memoryInput(`${lines.join('\n')}\n`, 's.jsonl'));
      expect([...table.logit]).toEqual([0, 0, 1e-37, 3.4e38]);
      expect(report.badRows).toBe(2);
    }
  });
});

describe('joinPairs', () => {
  const scores = '{"id":"c","logit":3}\n{"id":"zz","logit":9}\n{"id":"a","logit":1}\n';

  it('aligns scores with votes, and names what one file lacks', async () => {
    const { table } = await readLabels(memoryInput(ROWS.join('\n'), 'l.jsonl'));
    const joined = joinPairs(table as PairLabelTable, (await readScores(memoryInput(scores, 's.jsonl'))).table);
    expect(joined).toMatchObject({ count: 2, clusterCount: 2, clusterNames: ['p', 'c'] });
    expect([joined.idAt(0), joined.idAt(1)]).toEqual(['a', 'c']);
    expect([...joined.logit]).toEqual([1, 3]);
    expect([...joined.votesLeft]).toEqual([1.5, 1]);
    expect([...joined.groups.get('h')!.codes]).toEqual([0, 1]);
    expect(joined.report).toEqual({
      matched: 2,
      labelsOnly: { count: 4, examples: ['b', 'd', '7', 'g'] },
      scoresOnly: { count: 1, examples: ['zz'] },
    });
  });

  it('gives an ensemble NaN where a member has no score', async () => {
    const { table } = await readLabels(memoryInput(ROWS.join('\n'), 'l.jsonl'));
    const { table: member } = await readScores(memoryInput(scores, 's.jsonl'));
    expect([...alignLogits(table, member)]).toEqual([1, Number.NaN, 3, Number.NaN, Number.NaN, Number.NaN]);
  });
});

/** What the schemas and the parser both must say of a row. */
function parserAccepts(text: string, kind: 'data' | 'score'): boolean {
  const ignored: IgnoredFields = new Map();
  try {
    const fields = parseRowJson(text);
    if (kind === 'score') parseScoreRow(fields, ignored);
    else parseDataRow(fields, 1, ignored);
    return true;
  } catch (error) {
    if (error instanceof RowError) return false;
    throw error;
  }
}

const TURNS = '[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]';

describe('conversations', () => {
  const row = (text: string) => parseDataRow(parseRowJson(text), 1, new Map());

  it('are sides and items as lists of messages, and go back to the same', () => {
    const messages = JSON.parse(TURNS);
    const pair = row(`{"id":"a","type":"pair","left":${TURNS},"right":{"messages":${TURNS}},"labels":[0]}`);
    expect(pair).toMatchObject({ left: { messages }, right: { messages }, votes: [0] });
    expect(row(JSON.stringify(toPlainRow(pair)))).toEqual(pair);
    const item = row(`{"type":"text","messages":${TURNS}}`);
    expect(item).toMatchObject({ id: 'row-1', item: { messages } });
    expect(row(JSON.stringify(toPlainRow(item)))).toEqual(item);
  });

  it('chosen and rejected are left, right and a vote, by the fast and the strict reader alike', async () => {
    expect(row(`{"id":"a","type":"pair","chosen":${TURNS},"rejected":"no"}`)).toMatchObject({
      left: { messages: [{ role: 'user' }, { role: 'assistant' }] },
      right: 'no',
      votes: [1],
    });
    const lines = [
      `{"id":"a","type":"pair","chosen":${TURNS},"rejected":${TURNS}}`,
      `{"id":"b","type":"pair","chosen":"x","rejected":"y","labels":[0,1]}`,
      `{"id":"c","type":"pair","left":${TURNS},"right":${TURNS},"labels":[1]}`,
      `{"id":"d","type":"pair","chosen":"x"}`,
      `{"id":"e","type":"pair","left":[],"right":"x","labels":[1]}`,
      `{"id":"f","type":"pair","left":[{"role":"user"}],"right":"x","labels":[1]}`,
    ];
    const [fast, strict] = [memoryInput(lines.join('\n'), 'l.jsonl'), memoryInput(lines.join('\n'), 'l.jsonl')];
    const [found, expected] = [await readLabels(fast), await strictLabels(strict)];
    expect(plain(found.table)).toEqual(plain(expected.table));
    expect(found.report).toEqual(expected.report);
    expect(found.table.ids.texts()).toEqual(['a', 'b', 'c']);
  });
});

describe('the zod schemas', () => {
  const scalar = fc.constantFrom<unknown>(
    '',
    'x',
    'text',
    'image',
    'image_text',
    'left',
    0,
    1,
    0.5,
    -1,
    2,
    1.5,
    null,
    true,
    [],
    {},
  );
  const value = fc.oneof(
    scalar,
    fc.array(scalar, { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('image', 'text', 'fluency', 'quality', 'g'), scalar, { maxKeys: 2 }),
  );
  const changes = fc.dictionary(
    fc.constantFrom(
      'id',
      'type',
      'left',
      'right',
      'labels',
      'label',
      'raters',
      'groups',
      'modality',
      'item',
      'content',
      'text',
      'score',
      'ratings',
      'aux',
      'prompt_id',
      'propensity',
      'logit',
      'winner',
      'confidence',
      'calibrated',
      'other',
    ),
    value,
    { maxKeys: 3 },
  );
  const bases = [
    { id: 'a', type: 'pair', left: 'l', right: 'r', labels: [1, 0.5], raters: ['x', 'y'] },
    { id: 'a', type: 'pairwise_image', left: { image: 'l' }, right: 'r' },
    { id: 'a', type: 'abs', item: 'text', content: 'c', ratings: [1, 2] },
    { type: 'text', text: 't', task: 'coherence' },
    { type: 'image_text', image: 'i', text: 't', score: 1 },
  ];

  it('accept what the parser accepts, and refuse what it refuses', () => {
    const dataRow = pairRowSchema.or(absoluteRowSchema);
    fc.assert(
      fc.property(fc.constantFrom(...bases), changes, (base, change) => {
        const row = { ...base, ...change };
        expect(dataRow.safeParse(row).success).toBe(parserAccepts(JSON.stringify(row), 'data'));
      }),
      { numRuns: 6000, seed: 5 },
    );
    fc.assert(
      fc.property(changes, (change) => {
        const row = { id: 'a', logit: 1, ...change };
        expect(scoreRowSchema.safeParse(row).success).toBe(parserAccepts(JSON.stringify(row), 'score'));
      }),
      { numRuns: 2000, seed: 5 },
    );
  });

  it('are published as JSON Schema', () => {
    const { pair } = rowJsonSchemas();
    expect(pair).toMatchObject({ type: 'object', required: ['id'] });
  });
});

describe.skipIf(!hasShared)('real judgements', () => {
  const open = (name: string): DataInput => fileInput(FileSource.open(`${SHARED}data/${name}`));

  it.each([
    ['tifa-pairs', 'clip', 'pair'],
    ['t2v-alignment-pairs', 'gpt4v', 'pair'],
    ['tifa-abs', 'clip', 'absolute'],
  ])('%s is read and joined whole', async (folder, scorer, kind) => {
    const { table, report } = await readLabels(open(`${folder}/labels.jsonl`));
    const { table: scores } = await readScores(open(`${folder}/scores/${scorer}.jsonl`));
    const joined = table.kind === 'pair' ? joinPairs(table, scores) : joinAbsolutes(table, scores);
    expect([table.kind, report.badRows, report.ignoredFields]).toEqual([kind, 0, {}]);
    expect(joined.report).toMatchObject({ matched: table.count, labelsOnly: { count: 0 }, scoresOnly: { count: 0 } });
  });

  it('every row comes back as it was written', async () => {
    const text = readFileSync(`${SHARED}data/tifa-pairs/labels.jsonl`, 'utf8').trim().split('\n');
    let line = 0;
    for await (const batch of readRows(open('tifa-pairs/labels.jsonl'))) {
      for (const { row } of batch)
        expect(JSON.parse(JSON.stringify(toPlainRow(row!)))).toEqual(JSON.parse(text[line++]));
    }
    expect(line).toBe(text.length);
  });
});
