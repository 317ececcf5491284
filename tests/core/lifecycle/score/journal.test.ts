import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Journal, readJournal, scoreLinesOf } from '../../../../src/core/lifecycle/score/journal.js';
import { tempFolder } from '../../../helpers/temp.js';

const IDENTITY = { tool: '9.9.9', models: 'a', batchSize: 16, shard: null, invented: null };

/** Resumes, under `IDENTITY`, a journal that was begun with another header. */
async function resume(header: object): Promise<void> {
  const path = join(tempFolder(), 'scores.jsonl.journal');
  writeFileSync(path, `${JSON.stringify(header)}\n`);
  await (await Journal.resume(path, IDENTITY)).close();
}

const begun = (identity: object, version = 1) => ({ schema: `hpsv3/batch-journal@${version}`, identity });

describe('a journal', () => {
  const score = { id: 'a,"line":7', row: 1, logit: 1, score: 0.5, calibrated: false, model: 'm' } as const;
  const error = { line: 2, id: null, code: 'DATA_INVALID', message: 'no' };
  const entries = [
    { line: 1, crc: 1, score },
    { line: 2, crc: 2, error },
    { line: 3, crc: 3, score: { ...score, row: 3 } },
  ];
  const lines = (row: number): string =>
    `{"id":"a,\\"line\\":7","logit":1,"score":0.5,"calibrated":false,"row":${row},"model":"m"}\n`;

  async function textOf(path: string): Promise<string> {
    const parts: Buffer[] = [];
    for await (const part of scoreLinesOf(path)) parts.push(part);
    return Buffer.concat(parts).toString();
  }

  it('gives back what was appended, and the lines of its scores', async () => {
    const path = join(tempFolder(), 'scores.jsonl.journal');
    const journal = Journal.begin(path, IDENTITY);
    await journal.append(entries);
    await journal.close();
    const read: unknown[] = [];
    for await (const entry of readJournal(path)) read.push(entry);
    expect(read).toEqual(entries);
    expect(await textOf(path)).toBe(lines(1) + lines(3));
  });

  it('has the same lines where an earlier version wrote it', async () => {
    const path = join(tempFolder(), 'scores.jsonl.journal');
    const old = { line: 1, crc: 1, score: { ...score, runtime: { threads: 1 } } };
    writeFileSync(path, `${JSON.stringify(begun(IDENTITY))}\n${JSON.stringify(old)}\n${JSON.stringify(entries[1])}\n`);
    expect(await textOf(path)).toBe(lines(1));
  });

  it('says which line is damaged, and that it cannot be written', async () => {
    const path = join(tempFolder(), 'scores.jsonl.journal');
    writeFileSync(path, `${JSON.stringify(begun(IDENTITY))}\n{"line":\n`);
    await expect(textOf(path)).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringContaining('line 2'),
    });
    const journal = Journal.begin(join(path, 'no', 'folder'), IDENTITY);
    await journal.append(entries);
    await expect(journal.flush()).rejects.toMatchObject({ code: expect.stringMatching(/^OUTPUT_/) });
  });
});

describe('a journal that another version began', () => {
  it('is resumed, though that version named less', async () => {
    await resume(begun({ tool: '0.1.0', models: 'a', batchSize: 16, shard: null }));
  });

  it('is refused where the results would differ', async () => {
    await expect(resume(begun({ tool: '0.1.0', models: 'b', batchSize: 16 }))).rejects.toMatchObject({
      code: 'USAGE',
      details: { changed: { models: { begun: 'b', now: 'a' } } },
    });
    await expect(resume(begun({ ...IDENTITY, invented: 'yes' }))).rejects.toMatchObject({ code: 'USAGE' });
  });

  it('is told from a damaged one where a newer version began it', async () => {
    await expect(resume(begun(IDENTITY, 2))).rejects.toMatchObject({ code: 'MADE_BY_NEWER', exitCode: 2 });
    await expect(resume({ schema: 'hpsv3/batch-journal@1' })).rejects.toMatchObject({ code: 'DATA_INVALID' });
  });
});
