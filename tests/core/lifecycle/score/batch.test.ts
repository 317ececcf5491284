import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { formatBatch } from '../../../../src/core/cli/render-batch.js';
import { type BatchOptions, runBatch } from '../../../../src/core/lifecycle/score/batch.js';
import { embedFile } from '../../../../src/core/lifecycle/score/embed.js';
import type { Progress } from '../../../../src/core/run.js';
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

  it('refuses a file without rows, a shard of it too', async () => {
    const none = writeRows(folder, 'none.jsonl', []);
    for (const shard of [undefined, { index: 0, count: 2 }])
      await expect(run(none, { out: join(folder, 'no.jsonl'), shard })).rejects.toMatchObject({
        code: 'DATA_INVALID',
        message: 'none.jsonl: has no rows',
      });
    expect(readdirSync(folder).filter((name) => name.startsWith('no.jsonl'))).toEqual([]);
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

describe('a run that gives no row a score', () => {
  const bad = () => {
    const path = join(folder, 'bad.jsonl');
    writeFileSync(path, 'x\ny\n');
    return path;
  };

  it('writes the reasons and no empty file, and leaves an earlier one as it was', async () => {
    const target = join(folder, 'earlier.csv');
    writeFileSync(target, 'earlier');
    const report = await run(bad(), { out: target, force: true });
    expect(report).toMatchObject({ rows: 2, failed: 2, out: null, sha256: null, manifest: null, rowsPerSecond: null });
    expect(report.errors).toBe('earlier.csv.errors.jsonl');
    expect(readdirSync(folder).filter((name) => name.startsWith('earlier'))).toEqual(['earlier.csv', report.errors]);
    expect(readFileSync(target, 'utf8')).toBe('earlier');
    expect(formatBatch(report)).toMatch(
      /^0 rows scored: [^,]+ on cpu, 1 session\.\n2 rows failed .*\nNo scores were written, only earlier\.csv\.errors\.jsonl: mend the rows, .* --force .*\.$/,
    );
  });

  it('writes the file all the same where it is a shard, which a merge looks for', async () => {
    const shard = { index: 0, count: 1 };
    const report = await run(bad(), { out: join(folder, 'part.jsonl'), shard });
    expect(report).toMatchObject({ failed: 2, out: 'part.jsonl', manifest: 'part.jsonl.manifest.json' });
  });

  it('embeds as little', async () => {
    const target = join(folder, 'none.npy');
    const options = { batchSize: 2, force: true, streams: { stdin: process.stdin, stdout: process.stdout as never } };
    const embed = (input: string) => embedFile({ model, input, out: target, ...options });
    const report = await embed(bad());
    expect(report).toMatchObject({ out: null, rows: 0, failed: 2, errors: 'none.npy.errors.jsonl' });
    expect(readdirSync(folder).filter((name) => name.startsWith('none.npy'))).toEqual([report.errors]);
    await expect(embed(writeRows(folder, 'none.jsonl', []))).rejects.toMatchObject({
      message: 'none.jsonl: has no rows',
    });
  });
});

it('says of a total that it is a guess', async () => {
  const seen: Progress[] = [];
  await run(writeRows(folder, 'rows.jsonl', ROWS), { force: true, onProgress: (progress) => seen.push(progress) });
  expect(seen.at(-1)).toMatchObject({ stage: 'Scoring', done: 2, total: 2, isEstimate: true });
});
