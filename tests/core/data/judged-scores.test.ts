import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { readJudgedScores, rowWarnings } from '../../../src/core/data/judged-scores.js';
import type { BadRow } from '../../../src/core/data/rows.js';
import { tempFolder } from '../../helpers/temp.js';

let folder: string;
beforeEach(() => {
  folder = tempFolder();
});

const LABELS = 'id,type,left,right,label1\n1,pair,a,b,1\n2,pair,a,b,0\n';
const SCORES = '{"id":"1","logit":1.5}\n{"id":"2","logit":-1}\n';

/** Writes both files and reads them. */
function read(labels: string, scores: string, names = { labels: 'l.csv', scores: 's.jsonl' }) {
  const files = { labels: join(folder, names.labels), scores: join(folder, names.scores) };
  writeFileSync(files.labels, labels);
  writeFileSync(files.scores, scores);
  const refused: (BadRow & { file: string })[] = [];
  return readJudgedScores(files, { onRefused: (row, file) => refused.push({ file, ...row }) }).then((judged) => ({
    ...judged,
    refused,
  }));
}

describe('readJudgedScores', () => {
  it('puts scores to the ids of the labels in whatever order they come, repeats and strangers aside', async () => {
    const ids = ['3', 'x', '1', '3', 'y', 'x', '2'];
    const labels = `id,type,left,right,label1\n${['1', '2', '3', '4'].map((id) => `${id},pair,a,b,1\n`).join('')}`;
    const { joined, rows, refused } = await read(
      labels,
      ids.map((id, i) => `{"id":"${id}","logit":${i + 1}}\n`).join(''),
    );
    expect([...joined.logit]).toEqual([3, 7, 1]);
    expect([0, 1, 2].map((i) => joined.idAt(i))).toEqual(['1', '2', '3']);
    expect(rows.labelsOnly).toEqual({ count: 1, examples: ['4'] });
    expect(rows.scoresOnly).toEqual({ count: 2, examples: ['x', 'y'] });
    expect(refused.map(({ line }) => line)).toEqual([4, 6]);
  });

  it('reads labels and scores in different formats, and says which rows it refused, and why', async () => {
    const scores = 'id,logit,model\n1,1.5,\n2,x,\n3,,\n4,y,\n5,z,\n';
    const { joined, rows, refused } = await read(LABELS, scores, { labels: 'l.csv', scores: 's.csv' });
    expect([joined.count, [...joined.logit]]).toEqual([1, [1.5]]);
    expect(refused.map(({ file, line }) => `${file} ${line}`)).toEqual(['s.csv 3', 's.csv 4', 's.csv 5', 's.csv 6']);
    expect(rowWarnings({ ...rows, errors: 'report.json.errors.jsonl' })).toEqual([
      'Scores: 4 rows refused (3 FIELD_INVALID, 1 FIELD_MISSING): line 3: logit must be a number, not "x"; line 4: logit is missing; line 5: logit must be a number, not "y".',
      '1 judged rows have no score (2).',
      'The refused rows are in report.json.errors.jsonl.',
    ]);
  });

  it('says how votes are coded', async () => {
    const { joined, rows } = await read(LABELS.replace('b,0', 'b,2'), SCORES);
    expect(joined).toMatchObject({ votesLeft: Float64Array.of(1, 0) });
    expect(rowWarnings(rows)).toEqual(['Labels: Votes are coded 1/2: 1 is the left, 2 the right.']);
  });

  it.each([
    ['labels in CSV', LABELS, SCORES, { labels: 's.jsonl', scores: 'l.csv' }],
    [
      'labels in JSONL',
      '{"id":"1","type":"pair","left":"a","right":"b","labels":[1]}\n',
      SCORES,
      { labels: 's.jsonl', scores: 'l.jsonl' },
    ],
    ['scores in CSV', LABELS, 'id,logit\n1,2\n', { labels: 's.csv', scores: 'l.csv' }],
  ])('recognises files in each other’s place: %s', async (_name, labels, scores, names) => {
    await expect(read(scores, labels, names)).rejects.toMatchObject({
      code: 'USAGE',
      message: `${names.scores} has labels, and ${names.labels} scores`,
      hint: 'Swap what is given for `scores` and for `labels`.',
    });
  });

  it('shows why, where every row of a file is bad', async () => {
    await expect(read(LABELS, SCORES.replaceAll('logit', 'logits'))).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message:
        'no row has both a judgement and a score: s.jsonl: 2 rows refused (2 FIELD_MISSING): line 1: logit is missing; line 2: logit is missing',
    });
    await expect(read('id,type,left,right\n1,pair,a,b\n', SCORES)).rejects.toMatchObject({
      message: 'no row has both a judgement and a score: l.csv has 1 rows without a judgement',
    });
    await expect(read(LABELS, '')).rejects.toMatchObject({
      message: 'no row has both a judgement and a score: s.jsonl has no rows',
    });
  });

  it('names ids of both files, where none is in both', async () => {
    await expect(read(LABELS, SCORES.replaceAll('"id":"', '"id":"x'))).rejects.toMatchObject({
      message: 'no row has both a judgement and a score: no id is in both: l.csv has "1", "2", s.jsonl has "x1", "x2"',
    });
  });
});
