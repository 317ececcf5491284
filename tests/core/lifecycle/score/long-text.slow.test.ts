import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { runBatch } from '../../../../src/core/lifecycle/score/batch.js';
import { embedFile } from '../../../../src/core/lifecycle/score/embed.js';
import { tinyModel, writeRows } from '../../../helpers/scoring.js';
import { sharedFolder } from '../../../helpers/temp.js';

const folder = sharedFolder();
const windows = { window: '60t', stride: '60t' };
const textOf = (characters: number): string => 'Some words make a sentence. '.repeat(characters / 28);
const row = (id: string, characters: number) => ({ id, type: 'abs', item: 'text', content: textOf(characters) });
let model = '';
beforeAll(async () => {
  model = await tinyModel(folder, 'text', 'item');
});

describe('texts of megabytes', () => {
  it('are scored to their end, or refused in a line each, beside which others are scored', async () => {
    const input = writeRows(folder, 'rows.jsonl', [
      row('10 MB', 10e6),
      row('7 MB', 7e6),
      row('1 MB', 1e6),
      row('one', 28),
    ]);
    const out = join(folder, 'out.jsonl');
    const report = await runBatch({ models: [model], input, out, windows });
    expect(report).toMatchObject({ rows: 4, failed: 2, failedByCode: { ROW_TOO_LARGE: 1, MEDIA_INVALID: 1 } });
    const lines = readFileSync(`${out}.errors.jsonl`, 'utf8').trim().split('\n');
    expect(lines.map((line) => JSON.parse(line).message)).toEqual([
      expect.stringContaining('bytes'),
      expect.stringContaining('20001 windows'),
    ]);
    const [megabyte, one] = readFileSync(out, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const { count, curve } = megabyte.windows;
    expect({ count, end: curve.at(-1).end }).toEqual({
      count: Math.ceil(Math.floor(1e6 / 28) / 2),
      end: textOf(1e6).trim().length,
    });
    expect(one.windows.count).toBe(1);
    const embedded = await embedFile({ model, input, out: join(folder, 'out.npy'), windows, force: true });
    expect(embedded).toMatchObject({ rows: 2, failed: 2 });
  });

  it('are left when the signal says so', async () => {
    const input = writeRows(folder, 'stopped.jsonl', [row('half', 5e5)]);
    const out = join(folder, 'stopped-out.jsonl');
    const controller = new AbortController();
    let turns = 0;
    const turning = setInterval(() => turns++ === 20 && controller.abort(new Error('enough')), 10); // this thread is free
    const run = runBatch({
      models: [model],
      input,
      out,
      windows: { window: '60t', stride: '2t' },
      signal: controller.signal,
    });
    await expect(run).rejects.toThrow('enough');
    clearInterval(turning);
    expect(existsSync(out)).toBe(false);
  });
});
