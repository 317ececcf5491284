import { describe, expect, it } from 'vitest';
import { streamInput } from '../../../src/core/data/input.js';
import { LIMITS } from '../../../src/core/limits.js';
import { allRows, goodRows, inPieces, memoryInput } from './helpers.js';

const row = (fields: string): string => `{"id":"1","type":"pair","left":"a","right":"b",${fields}}`;
const GOOD = row('"labels":[1]');

describe('readJsonlRows', () => {
  it('reads pairs in every spelling of the type', async () => {
    const text = ['pair', 'pairwise_image', 'pairwise_text', 'pairwise_audio', 'pairwise_video', 'pairwise_image_text']
      .map((type, i) => `{"id":${i},"type":"${type}","left":"a","right":"b"}`)
      .join('\n');
    const rows = await goodRows(memoryInput(text, 'p.jsonl'));
    expect(rows.map((r) => r.modality)).toEqual([undefined, 'image', 'text', 'audio', 'video', 'image-text']);
    expect(rows.map((r) => r.id)).toEqual(['0', '1', '2', '3', '4', '5']);
  });

  it('reads the examples of the format', async () => {
    const text = `{"id":"1","type":"pair","left":"a.jpg","right":"b.jpg","context":"Which looks cleaner?","labels":[1,0,1,1,0]}
{"id":"2","type":"abs","item":"text","content":"A vibrant sunrise.","score":0.7,"ratings":[1,4],"aux":{"quality":3,"fluency":1}}
{"type":"text","text":"A text","task":"coherence"}
{"id":"4","type":"pairwise_image_text","left":{"image":"a","text":"b"},"right":{"image":"c","text":"d"},"label":"left"}`;
    const rows = await goodRows(memoryInput(text, 'p.jsonl'));
    expect(rows).toEqual([
      {
        kind: 'pair',
        id: '1',
        left: 'a.jpg',
        right: 'b.jpg',
        context: 'Which looks cleaner?',
        promptId: '1',
        groups: new Map(),
        votes: [1, 0, 1, 1, 0],
      },
      {
        kind: 'absolute',
        id: '2',
        modality: 'text',
        item: 'A vibrant sunrise.',
        score: 0.7,
        ratings: [1, 4],
        aux: { quality: 3, fluency: 1 },
        promptId: '2',
        groups: new Map(),
      },
      {
        kind: 'absolute',
        id: 'row-3',
        modality: 'text',
        item: 'A text',
        task: 'coherence',
        ratings: [],
        promptId: 'row-3',
        groups: new Map(),
      },
      {
        kind: 'pair',
        id: '4',
        modality: 'image-text',
        left: { image: 'a', text: 'b' },
        right: { image: 'c', text: 'd' },
        promptId: '4',
        groups: new Map(),
        votes: [1],
      },
    ]);
  });

  it('takes a byte order mark, CRLF, U+2028, blank lines and a missing last newline (60)', async () => {
    const text = `\uFEFF${GOOD}\r\n\r\n  \n${row('"context":"a\u2028b","labels":[0]')}`;
    for (const size of [1, 2, 7, 1000]) {
      const results = await allRows(inPieces(text, size));
      expect(results.map(({ line }) => line)).toEqual([1, 4]);
      expect(results[1].row?.context).toBe('a\u2028b');
    }
  });

  it('keeps -0, subnormals, and integers beyond 2^53 in ids (64)', async () => {
    const text = `{"id":9007199254740993,"type":"abs","content":"x","score":-0}\n{"id":"s","type":"abs","content":"x","score":1e-320}`;
    const rows = await goodRows(memoryInput(text, 'p.jsonl'));
    expect(rows[0].id).toBe('9007199254740993');
    expect(rows.map((r) => r.kind === 'absolute' && r.score)).toEqual([-0, 1e-320]);
  });

  it('keeps __proto__ as an ordinary name', async () => {
    const [read] = await goodRows(memoryInput(row('"groups":{"__proto__":"x"},"__proto__":{"polluted":1}'), 'p.jsonl'));
    expect([...read.groups]).toEqual([['__proto__', 'x']]);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it('takes a number in text for the number', async () => {
    const [pair] = await goodRows(memoryInput(row('"labels":["1"," 0 ","0.50"]'), 'p.jsonl'));
    expect(pair).toMatchObject({ votes: [1, 0, 0.5] });
    const text = '{"id":"1","type":"abs","content":"x","score":"-1e-3","ratings":["2"],"aux":{"quality":"3"}}';
    const [item] = await goodRows(memoryInput(text, 'p.jsonl'));
    expect(item).toMatchObject({ score: -0.001, ratings: [2], aux: { quality: 3 } });
    const [comma] = await allRows(memoryInput(text.replace('-1e-3', '0,75'), 'p.jsonl'));
    expect(comma).toMatchObject({ message: 'score must be a number with a point, not "0,75"' });
  });

  it('takes null for an absent group or part of an item, as tables have it', async () => {
    const text = row('"groups":{"a":null,"b":"x"},"labels":[1]').replace(
      '"left":"a"',
      '"left":{"image":"a","text":null}',
    );
    const [read] = await goodRows(memoryInput(text, 'p.jsonl'));
    expect(read).toMatchObject({ left: { image: 'a' }, groups: new Map([['b', 'x']]) });
  });

  it('takes null for an absent field, and counts nothing of it', async () => {
    const [read] = await goodRows(memoryInput(row('"task":null,"prompt_id":null,"labels":[1]'), 'p.jsonl'));
    expect(read).toEqual({
      kind: 'pair',
      id: '1',
      left: 'a',
      right: 'b',
      promptId: '1',
      groups: new Map(),
      votes: [1],
    });
  });

  it.each([
    ['60 invalid UTF-8', Buffer.from([...Buffer.from('{"id":"'), 0xff, ...Buffer.from('"}')]), 'INVALID_UTF8'],
    [
      '60 an overlong encoding',
      Buffer.from([...Buffer.from('{"id":"'), 0xc0, 0xaf, ...Buffer.from('"}')]),
      'INVALID_UTF8',
    ],
    ['60 half a surrogate pair', row('"context":"\\ud800"'), 'INVALID_UTF8'],
    ['60 a NUL byte', row('"context":"a\0b"'), 'INVALID_JSON'],
    ['60 an escaped NUL', row('"context":"a\\u0000b"'), 'FIELD_INVALID'],
    ['62 a depth bomb', '['.repeat(1_000_000), 'ROW_TOO_DEEP'],
    ['62 depth 66', row(`"x":${'['.repeat(65)}${']'.repeat(65)}`), 'ROW_TOO_DEEP'],
    ['63 a repeated key', row('"id":"2"'), 'DUPLICATE_KEY'],
    ['63 a key repeated through an escape', row('"\\u0069d":"2"'), 'DUPLICATE_KEY'],
    ['63 an unknown type', '{"id":"1","type":"triple"}', 'TYPE_UNKNOWN'],
    ['63 the type constructor', '{"id":"1","type":"constructor"}', 'TYPE_UNKNOWN'],
    ['63 no left', '{"id":"1","type":"pair","right":"b"}', 'FIELD_MISSING'],
    ['63 odd votes', row('"labels":[1,"0",null,2]'), 'FIELD_INVALID'],
    ['63 no votes in labels', row('"labels":[]'), 'FIELD_INVALID'],
    ['labels and label', row('"labels":[1],"label":1'), 'FIELD_INVALID'],
    ['a soft label beyond 1', row('"label":1.5'), 'FIELD_INVALID'],
    ['too many votes', row(`"labels":[${Array(LIMITS.votes + 1).fill(1)}]`), 'FIELD_INVALID'],
    ['raters without votes', row('"raters":["a"]'), 'FIELD_INVALID'],
    ['a rater twice', row('"labels":[1,0],"raters":["a","a"]'), 'FIELD_INVALID'],
    ['a group that is a number', row('"groups":{"a":1}'), 'FIELD_INVALID'],
    ['a huge integer in a group', row('"groups":{"a":90071992547409931}'), 'FIELD_INVALID'],
    ['two modalities', '{"id":"1","type":"pairwise_image","modality":"text","left":"a","right":"b"}', 'FIELD_INVALID'],
    ['64 1e999', row('"x":1e999'), 'NUMBER_OUT_OF_RANGE'],
    ['64 an integer of 400 digits', row(`"x":${'9'.repeat(400)}`), 'NUMBER_OUT_OF_RANGE'],
    ['an array', '[1]', 'NOT_AN_OBJECT'],
    ['NaN', row('"x":NaN'), 'INVALID_JSON'],
    ['a trailing comma', `${GOOD.slice(0, -1)},}`, 'INVALID_JSON'],
    ['two objects', `${GOOD}${GOOD}`, 'INVALID_JSON'],
    ['a cut row', GOOD.slice(0, 20), 'INVALID_JSON'],
    ['a cut escape', '{"id":"\\', 'INVALID_JSON'],
    ['aux beyond its classes', '{"id":"1","type":"abs","content":"x","aux":{"fluency":2}}', 'FIELD_INVALID'],
  ])('refuses %s and reads on', async (_name, bad, code) => {
    const bytes = Buffer.concat([Buffer.from(bad), Buffer.from(`\n${GOOD}\n`)]);
    const results = await allRows(memoryInput(bytes, 'p.jsonl'));
    expect(results).toMatchObject([
      { line: 1, code },
      { line: 2, row: { id: '1' } },
    ]);
  });

  it('refuses a row over the limit without keeping it (61)', async () => {
    const piece = Buffer.alloc(1024 * 1024, 0x61);
    const pieces = 256;
    async function* chunks(): AsyncGenerator<Uint8Array> {
      yield Buffer.from(`${GOOD}\n"`);
      for (let i = 0; i < pieces; i++) yield piece;
      yield Buffer.from(`"\n${GOOD}\n`);
    }
    const before = process.memoryUsage().rss;
    const results = await allRows(streamInput(chunks(), '<stdin>'));
    expect(results).toMatchObject([{ line: 1 }, { line: 2, code: 'ROW_TOO_LARGE' }, { line: 3, row: { id: '1' } }]);
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1024 * 1024);
  });

  it('names field, rule and value', async () => {
    const [result] = await allRows(memoryInput(row('"labels":[1,"yes"]'), 'p.jsonl'));
    expect(result).toMatchObject({ message: 'labels each vote must be 1, 0 or 0.5, not "yes"' });
  });
});
