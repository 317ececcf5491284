import { join } from 'node:path';
import { parquetWriteFile } from 'hyparquet-writer';
import { describe, expect, it } from 'vitest';
import { FileSource, MemorySource } from '../../../src/core/bytes/source.js';
import { fileInput } from '../../../src/core/data/input.js';
import { formatJsonlRow } from '../../../src/core/data/jsonl.js';
import type { LayoutChoice } from '../../../src/core/data/layouts/apply.js';
import { parseFieldMap } from '../../../src/core/data/layouts/map.js';
import { LAYOUTS } from '../../../src/core/data/layouts/registry.js';
import { createLayoutWriter } from '../../../src/core/data/layouts/write.js';
import { readLabels } from '../../../src/core/data/read-labels.js';
import { readRows } from '../../../src/core/data/read-rows.js';
import type { DataRow, RowResult } from '../../../src/core/data/rows.js';
import { tempFolder } from '../../helpers/temp.js';

const source = (text: string, name = 'labels.jsonl') => fileInput(new MemorySource(Buffer.from(text), name));
const lines = (...records: readonly object[]): string =>
  records.map((record) => `${JSON.stringify(record)}\n`).join('');

async function read(input: ReturnType<typeof source>, choice: LayoutChoice = {}): Promise<RowResult<DataRow>[]> {
  const results: RowResult<DataRow>[] = [];
  for await (const batch of readRows(input, choice)) results.push(...batch);
  return results;
}

/** Rows as our own JSON, sides put back to the order of the file. */
async function rowsOf(input: ReturnType<typeof source>, choice?: LayoutChoice): Promise<Record<string, unknown>[]> {
  return (await read(input, choice)).map((result) => {
    expect(result).toHaveProperty('row');
    const { left, right, labels, label, groups, ...rest } = JSON.parse(formatJsonlRow(result.row!));
    const { first, ...others } = groups ?? {};
    const isSwapped = first === 'right';
    return JSON.parse(
      JSON.stringify({
        ...rest,
        left: isSwapped ? right : left,
        right: isSwapped ? left : right,
        labels: labels?.map((vote: number) => (isSwapped ? 1 - vote : vote)),
        label: label === undefined ? undefined : isSwapped ? 1 - label : label,
        groups: Object.keys(others).length > 0 ? others : undefined,
      }),
    );
  });
}

const chat = (text: string) => [
  { role: 'user', content: 'q' },
  { role: 'assistant', content: text },
];

/** A record of each layout after its published schema, and the rows it stands for. */
const SAMPLES: Record<string, { records: object[]; rows: object[] }> = {
  'chosen-rejected': {
    records: [
      { id: 7, prompt: 'q', chosen: chat('good'), rejected: chat('bad'), subset: 'chat', chosen_model: 'm' },
      { chosen: '\n\nHuman: q\n\nAssistant: yes', rejected: '\n\nHuman: q\n\nAssistant: no' },
    ],
    rows: [
      {
        ...{
          id: 'chat/7',
          type: 'pair',
          left: { messages: chat('good') },
          right: { messages: chat('bad') },
          labels: [1],
        },
        ...{ context: 'q', prompt_id: '8e35c2cd3bf6641b', groups: { subset: 'chat' } },
      },
      {
        ...{ id: 'row-2', type: 'pair', labels: [1], prompt_id: expect.stringMatching(/^[0-9a-f]{16}$/) },
        ...{ left: '\n\nHuman: q\n\nAssistant: yes', right: '\n\nHuman: q\n\nAssistant: no' },
      },
    ],
  },
  'rewardbench-2': {
    records: [{ id: 'r', prompt: 'q', chosen: ['a'], rejected: ['b', 'c'], num_correct: 1, subset: 'Ties' }],
    rows: ['b', 'c'].map((right, j) => ({
      ...{ id: `r#0-${j}`, type: 'pair', left: 'a', right, labels: [1], context: 'q', prompt_id: 'r' },
      groups: { subset: 'Ties' },
    })),
  },
  hpdv2: {
    records: [
      { prompt: 'a fox', image_path: ['a.jpg', 'b.jpg'], human_preference: [0, 1] },
      { prompt: 'an ox', image_path: ['a.jpg', 'b.jpg', 'c.jpg'], rank: [2, 1, 2] },
    ],
    rows: [
      pair('row-1', 'b.jpg', 'a.jpg', [1], 'a fox'),
      pair('row-2#1-0', 'b.jpg', 'a.jpg', [1], 'an ox'),
      pair('row-2#0-2', 'a.jpg', 'c.jpg', [0.5], 'an ox'),
      pair('row-2#1-2', 'b.jpg', 'c.jpg', [1], 'an ox'),
    ],
  },
  hpdv3: {
    records: [
      {
        prompt: 'a fox',
        choice_dist: [3, 1],
        confidence: 0.9,
        path1: 'a.jpg',
        path2: 'b.jpg',
        model1: 'x',
        model2: 'y',
      },
    ],
    rows: [{ ...pair('row-1', 'a.jpg', 'b.jpg', [1, 1, 1, 0], 'a fox'), groups: { model1: 'x', model2: 'y' } }],
  },
  'pick-a-pic': {
    records: [
      {
        ...{ ranking_id: 5, caption: 'a fox', label_0: 0.5, label_1: 0.5, has_label: true, user_id: 9 },
        ...{
          image_0_uid: 'u',
          image_1_uid: 'v',
          image_0_url: 'https://x.org/u.png',
          image_1_url: 'https://x.org/v.png',
        },
      },
    ],
    rows: [{ ...pair('5', 'https://x.org/u.png', 'https://x.org/v.png', [0.5], 'a fox'), raters: ['9'] }],
  },
  'imagereward-ranking': {
    records: [{ id: 'p1', prompt: 'a fox', generations: ['a.png', 'b.png'], ranking: [2, 1] }],
    rows: [{ ...pair('p1#1-0', 'b.png', 'a.png', [1], 'a fox'), prompt_id: 'p1' }],
  },
  imagereward: {
    records: [
      { image_path: 'a.png', prompt_id: 'p', prompt: 'a fox', classification: 'People', rank: 1, overall_rating: 6 },
    ],
    rows: [
      {
        ...{ id: 'a.png', type: 'abs', content: { image: 'a.png' }, score: 6, context: 'a fox', prompt_id: 'p' },
        groups: { classification: 'People', rank: '1' },
      },
    ],
  },
  'genai-bench': {
    records: [
      { prompt: 'a fox', left_video: 'a.mp4', right_video: 'b.mp4', vote_type: 'bothbad_vote', left_model: 'x' },
    ],
    rows: [
      {
        ...{ id: 'row-1', type: 'pair', left: { video: 'a.mp4' }, right: { video: 'b.mp4' }, labels: [0.5] },
        ...{ context: 'a fox', prompt_id: 'a fox', groups: { left_model: 'x' } },
      },
    ],
  },
  videoscore: {
    records: [
      {
        ...{ id: 'v', video: 'v.mp4', 'text prompt': 'a fox', 'visual quality': 3, 'temporal consistency': 2 },
        ...{ 'dynamic degree': 1, 'text-to-video alignment': 4, 'factual consistency': '2' },
      },
    ],
    rows: [
      ['visual quality', 3],
      ['temporal consistency', 2],
      ['dynamic degree', 1],
      ['text-to-video alignment', 4],
      ['factual consistency', 2],
    ].map(([task, score]) => ({
      ...{ id: `v#${String(task).replaceAll(' ', '-')}`, type: 'abs', content: { video: 'v.mp4' }, score },
      ...{ context: 'a fox', task, prompt_id: 'v' },
    })),
  },
  'chatbot-arena': {
    records: [
      {
        ...{ question_id: 'q', model_a: 'x', model_b: 'y', winner: 'model_b', judge: 'j', language: 'English' },
        ...{ conversation_a: chat('a'), conversation_b: chat('b') },
      },
    ],
    rows: [
      {
        ...{ id: 'q', type: 'pair', left: { messages: chat('a') }, right: { messages: chat('b') }, labels: [0] },
        ...{ raters: ['j'], groups: { language: 'English', model_a: 'x', model_b: 'y' } },
      },
    ],
  },
  'arena-answers': {
    records: [
      {
        ...{ id: 3, prompt: '["q","r"]', response_a: '["a","b"]', response_b: '["c"]', model_a: 'x', model_b: 'y' },
        ...{ winner_model_a: 0, winner_model_b: 0, winner_tie: 1 },
      },
    ],
    rows: [
      {
        ...{ id: '3', type: 'pair', left: 'a\nb', right: 'c', labels: [0.5], context: 'q\nr' },
        groups: { model_a: 'x', model_b: 'y' },
      },
    ],
  },
  'label-studio': {
    records: [
      {
        id: 1,
        data: { prompt: 'q', answer1: 'a', answer2: 'b' },
        annotations: [
          { completed_by: 4, result: [{ type: 'pairwise', value: { selected: 'right' } }], was_cancelled: false },
          { completed_by: { id: 5, email: 'e@x.org' }, result: [{ type: 'choices', value: { choices: ['tie'] } }] },
          { completed_by: 6, result: [{ type: 'pairwise', value: { selected: 'left' } }], was_cancelled: true },
        ],
      },
    ],
    rows: [{ id: '1', type: 'pair', left: 'a', right: 'b', labels: [0, 0.5], raters: ['4', 'e@x.org'], context: 'q' }],
  },
  argilla: {
    records: [
      {
        ...{ id: 'x', fields: { instruction: 'q', 'response-1': 'a', 'response-2': 'b' }, metadata: { source: 's' } },
        responses: {
          preference: [
            { value: 'response-2', user_id: 'u' },
            {
              value: [
                { value: 'response-1', rank: 1 },
                { value: 'response-2', rank: 2 },
              ],
              user_id: 'v',
            },
          ],
        },
      },
    ],
    rows: [
      {
        ...{ id: 'x', type: 'pair', left: 'a', right: 'b', labels: [0, 1], raters: ['u', 'v'], context: 'q' },
        groups: { source: 's' },
      },
    ],
  },
  mos: {
    records: [
      { wavname: 'a.wav', system: 'sys1', mos: 3.5 },
      { wavname: 'a.wav', rating: '4', listener: 'l1' },
    ],
    rows: [
      {
        id: 'a.wav',
        type: 'abs',
        content: { audio: 'a.wav' },
        score: 3.5,
        prompt_id: undefined,
        groups: { system: 'sys1' },
      },
      { id: 'a.wav#l1', type: 'abs', content: { audio: 'a.wav' }, ratings: [4], raters: ['l1'], prompt_id: 'a.wav' },
    ],
  },
  tifa: {
    records: [
      { text_id: 't', text: 'a fox', text_to_image_model: 'sd', image_path: 'a.png', worker_1: 3, worker_2: 4 },
    ],
    rows: [
      {
        ...{ id: 't/sd', type: 'abs', content: { image: 'a.png' }, ratings: [3, 4], context: 'a fox', prompt_id: 't' },
        groups: { text_to_image_model: 'sd' },
      },
    ],
  },
};

function pair(id: string, left: string, right: string, labels: number[], context: string) {
  return { id, type: 'pair', left: { image: left }, right: { image: right }, labels, context, prompt_id: context };
}

describe('a layout', () => {
  it('has a sample here, whichever it is', () => {
    expect(Object.keys(SAMPLES).sort()).toEqual(LAYOUTS.map(({ id }) => id).sort());
  });

  it.each(Object.entries(SAMPLES))('%s is recognised, and read into our rows', async (id, { records, rows }) => {
    const found = await rowsOf(source(lines(...records)));
    expect(found).toEqual(rows.map(withoutUndefined));
    expect(await rowsOf(source(lines(...records)), { layout: id })).toEqual(found);
  });

  it('tells records without ids apart that stand on one line, as arrays are written', async () => {
    const record = { prompt: 'a fox', path1: 'a.png', path2: 'b.png' };
    const array = (text: string) => rowsOf(source(text, 'test.json'));
    const ids = async (text: string) => (await array(text)).map((row) => (row as { id: string }).id);
    expect(await ids(JSON.stringify([record, record, record]))).toEqual(['row-1', 'row-1.2', 'row-1.3']);
    expect(await ids(`[\n${[record, record].map((one) => JSON.stringify(one)).join(',\n')}\n]`)).toEqual([
      'row-2',
      'row-3',
    ]);
    const own = { type: 'text', text: 'a' };
    expect(await ids(JSON.stringify([own, own]))).toEqual(['row-1', 'row-1.2']);
  });

  it('leaves a record out whose picture is none, and reads the rest', async () => {
    const records = [
      { image: { path: 1 }, jpg_0: 3, jpg_1: 'b.png', image_0_uid: 'x', image_1_uid: 'y', label_0: 1, label_1: 0 },
      {
        caption: 'x',
        jpg_0: { bytes: null, path: 'a.png' },
        jpg_1: { bytes: null, path: 'b.png' },
        image_0_uid: 'x',
        image_1_uid: 'y',
        label_0: 1,
        label_1: 0,
      },
    ];
    expect(await read(source(lines(...records)))).toMatchObject([
      {
        line: 1,
        code: 'FIELD_INVALID',
        message: expect.stringMatching(/^jpg_0 must be the path of a picture, or its bytes/),
      },
      { line: 2, row: { kind: 'pair' } },
    ]);
  });

  it('makes ties of equal ranks', async () => {
    const record = { id: 'p', prompt: 'q', generations: ['a.png', 'b.png', 'c.png'], ranking: [1, 2, 2] };
    const rows = await rowsOf(source(lines(record)));
    expect(rows.map((row) => (row as { labels: number[] }).labels)).toEqual([[1], [1], [0.5]]);
  });

  it('is told by name where it may be one of two, and asked for', async () => {
    const both = { path1: 'a.png', path2: 'b.png', chosen: 'a', rejected: 'b' };
    await expect(read(source(lines(both)))).rejects.toMatchObject({
      code: 'USAGE',
      message: 'labels.jsonl: may be laid out as chosen-rejected or as hpdv3',
    });
    expect(await rowsOf(source(lines(both)), { layout: 'hpdv3' })).toMatchObject([{ left: { image: 'a.png' } }]);
  });

  it('refuses records of the wrong shape in their places and reads the rest', async () => {
    const records = [
      { path1: 'a.png', path2: 'b.png', choice_dist: [1, 2, 3] },
      { path1: 'a.png', path2: 4 },
      { path1: 'a.png', path2: 'b.png', choice_dist: [4000, 1000] },
    ];
    expect(await read(source(lines(...records)))).toMatchObject([
      {
        line: 1,
        code: 'FIELD_INVALID',
        message: 'choice_dist must be the votes for each of two pictures, not [1,2,3]',
      },
      { line: 2, code: 'FIELD_INVALID' },
      { line: 3, row: { kind: 'pair' } },
    ]);
  });

  it('draws the side of the winner by id and seed, about half of them left', async () => {
    const records = Array.from({ length: 400 }, (_, i) => ({ chosen: `good ${i}`, rejected: `bad ${i}` }));
    const sides = async (seed: number) =>
      (await read(source(lines(...records)), { seed })).map(({ row }) => row?.groups.get('first'));
    const left = (await sides(0)).filter((side) => side === 'left').length;
    expect(left).toBeGreaterThan(160);
    expect(left).toBeLessThan(240);
    expect(await sides(0)).toEqual(await sides(0));
    expect(await sides(1)).not.toEqual(await sides(0));
  });

  it('says in the report of labels which it was', async () => {
    const { report } = await readLabels(source(lines({ chosen: 'a', rejected: 'b' })));
    expect(report).toMatchObject({ rows: 1, badRows: 0, layout: 'chosen-rejected' });
  });

  it('takes pictures out of tables by their bytes', async () => {
    const path = join(tempFolder(), 'pairs.parquet');
    const bytes = Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 1, 2);
    parquetWriteFile({
      filename: path,
      columnData: [
        ...['jpg_0', 'jpg_1'].map((name) => ({ name, data: [bytes], type: 'BYTE_ARRAY' as const })),
        ...['image_0_uid', 'image_1_uid', 'caption'].map((name) => ({ name, data: ['x'], type: 'STRING' as const })),
        ...['label_0', 'label_1'].map((name, i) => ({ name, data: [1 - i], type: 'DOUBLE' as const })),
      ],
    });
    const file = FileSource.open(path);
    const image = `data:;base64,${Buffer.from(bytes).toString('base64')}`;
    expect(await rowsOf(fileInput(file))).toEqual([{ ...pair('row-1', image, image, [1], 'x') }]);
    file.close();
  });
});

describe('a map of columns', () => {
  const choice = { map: parseFieldMap('left=data.a,right=data.b,context=q,label=human,group.source=origin') };

  it('reads any other file', async () => {
    const record = { data: { a: 'x', b: 'y' }, q: 'why', human: 0, origin: 'web' };
    expect(await rowsOf(source(lines(record)), choice)).toEqual(
      [
        {
          id: 'row-1',
          type: 'pair',
          left: 'x',
          right: 'y',
          label: undefined,
          labels: [0],
          context: 'why',
          groups: { source: 'web' },
        },
      ].map(withoutUndefined),
    );
    const csv = 'answer_a,answer_b\nx,y\n';
    expect(await rowsOf(source(csv, 'a.csv'), { map: parseFieldMap('left=answer_a,right=answer_b') })).toMatchObject([
      { left: 'x', right: 'y' },
    ]);
  });

  it('names a column that is not there', async () => {
    await expect(read(source(lines({ data: {}, q: 'x', human: 1 })), choice)).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: 'labels.jsonl: has no column "origin", which is mapped',
    });
  });

  it.each(['left', 'left=a=b', 'side=a', 'left.smell=a', 'left=a,left=b'])('refuses %s', (text) => {
    expect(() => parseFieldMap(text)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });
});

describe('rows in the layouts of others', () => {
  const ours = lines(
    {
      id: '1',
      type: 'pair',
      left: 'a',
      right: 'b',
      labels: [0, 0, 1],
      raters: ['x', 'y', 'z'],
      context: 'q',
      prompt_id: 'p',
    },
    { id: '2', type: 'pair', left: 'c', right: 'd', labels: [1] },
  );

  async function written(layout: 'chosen-rejected' | 'label-studio'): Promise<string> {
    let text = '';
    const write = async (bytes: Uint8Array): Promise<void> => {
      text += Buffer.from(bytes).toString();
    };
    const writer = createLayoutWriter({ write }, layout);
    for (const { row } of await read(source(ours))) await writer.write(row!);
    await writer.finish();
    return text;
  }

  it('come back from Label Studio as they were', async () => {
    const back = await rowsOf(source(await written('label-studio'), 'tasks.json'));
    expect(back).toEqual([
      {
        id: '1',
        type: 'pair',
        left: 'a',
        right: 'b',
        labels: [0, 0, 1],
        raters: ['x', 'y', 'z'],
        context: 'q',
        prompt_id: 'p',
      },
      { id: '2', type: 'pair', left: 'c', right: 'd', labels: [1], raters: ['1'] },
    ]);
  });

  it('name the chosen side, and refuse what has none', async () => {
    expect(JSON.parse((await written('chosen-rejected')).split('\n')[0])).toEqual({
      ...{ id: '1', prompt: 'q', prompt_id: 'p', chosen: 'b', rejected: 'a' },
    });
    const writer = createLayoutWriter({ write: async () => undefined }, 'chosen-rejected');
    const [{ row }] = await read(source(lines({ id: '1', type: 'pair', left: 'a', right: 'b', labels: [0, 1] })));
    await expect(writer.write(row!)).rejects.toMatchObject({ code: 'FIELD_INVALID' });
  });
});

function withoutUndefined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, part]) => part !== undefined)) as T;
}
