import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type BatchOptions, runBatch } from '../../../../src/core/lifecycle/score/batch.js';
import { tinyModel, writeRows } from '../../../helpers/scoring.js';
import { sharedFolder } from '../../../helpers/temp.js';

const folder = sharedFolder();
const out = join(folder, 'out.jsonl');
const journal = `${out}.journal`;
let model = '';
beforeAll(async () => {
  model = await tinyModel(folder, 'text');
}, 60_000);
afterEach(() => vi.unstubAllEnvs());

const ROWS = [
  { id: '1', type: 'pair', left: 'a', right: 'b' },
  { id: '2', type: 'pair', left: 'c', right: 'd' },
];

const run = (input: string, options: Partial<BatchOptions> = {}) =>
  runBatch({
    models: [model],
    input,
    out,
    batchSize: 2,
    resume: false,
    force: false,
    streams: { stdin: process.stdin, stdout: process.stdout },
    ...options,
  } as BatchOptions);

describe('an attempt that fails before a row is scored', () => {
  it('leaves no journal, so that the next needs neither --resume nor --force', async () => {
    const csv = join(folder, 'twice.csv');
    writeFileSync(csv, 'id,id,left\n1,2,3\n');
    await expect(run(csv)).rejects.toMatchObject({ code: 'DATA_INVALID' });
    await expect(run(join(folder, 'absent.jsonl'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    expect(existsSync(journal)).toBe(false);
    expect(await run(writeRows(folder, 'rows.jsonl', ROWS))).toMatchObject({ rows: 2, failed: 0 });
    expect(existsSync(journal)).toBe(false);
  });

  it('leaves the journal of an unfinished run as it is, though it was to begin anew', async () => {
    writeFileSync(journal, '{"schema":"x"}\n');
    await expect(run(join(folder, 'absent.jsonl'), { force: true })).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    expect(existsSync(journal)).toBe(true);
    expect(await run(writeRows(folder, 'rows.jsonl', ROWS), { force: true })).toMatchObject({ rows: 2 });
    expect(existsSync(journal)).toBe(false);
  });

  it('writes an empty output where there is no row', async () => {
    expect(await run(writeRows(folder, 'none.jsonl', []), { force: true })).toMatchObject({ rows: 0 });
    expect(existsSync(journal)).toBe(false);
  });

  it('says that temporary files cannot be written, exit 74', async () => {
    vi.stubEnv('TMPDIR', join(folder, 'nowhere'));
    await expect(run(writeRows(folder, 'rows.jsonl', ROWS), { force: true })).rejects.toMatchObject({
      code: 'OUTPUT_WRITE_FAILED',
      exitCode: 74,
      message: 'temporary files cannot be written into nowhere (TMPDIR): there is no such folder',
    });
    expect(existsSync(journal)).toBe(false);
  });
});
