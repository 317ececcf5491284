import { appendFileSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type AppendFile, AppendLog } from '../../../src/core/labelling/append-log.js';
import type { NewVote } from '../../../src/core/labelling/vote.js';
import { formatVotes, readVotes, VoteLog } from '../../../src/core/labelling/vote-log.js';
import { newVote } from '../../helpers/labelling.js';
import { tempFolder } from '../../helpers/temp.js';

const votes = (count: number): NewVote[] => Array.from({ length: count }, (_, i) => newVote({ pair: `${i}` }));

async function logOf(count: number): Promise<string> {
  const path = join(tempFolder(), 'votes.jsonl');
  writeFileSync(path, '');
  const log = await VoteLog.open(path, await readVotes(path));
  await Promise.all(votes(count).map((vote) => log.add(vote)));
  await log.close();
  return path;
}

it('a log holds what was added, in order, each line bound to the one before it', async () => {
  const path = await logOf(50);
  const { votes: read, tornBytes } = await readVotes(path);
  expect(read.map(({ seq, pair }) => [seq, pair])).toEqual(Array.from({ length: 50 }, (_, i) => [i + 1, `${i}`]));
  expect(tornBytes).toBe(0);
  expect(new Set(read.map(({ prev }) => prev)).size).toBe(50);
  expect(readFileSync(path, 'utf8')).toBe(formatVotes(votes(50).map((vote, i) => ({ ...vote, vote: read[i].vote }))));
});

it('goes on after a line that a killed writer left, at whatever byte it was cut', async () => {
  const path = await logOf(3);
  const whole = readFileSync(path);
  const start = whole.lastIndexOf('\n', whole.length - 2) + 1;
  for (let cut = start; cut < whole.length; cut += 37) {
    writeFileSync(path, whole.subarray(0, cut));
    const read = await readVotes(path);
    expect(read.votes).toHaveLength(2);
    expect(read.tornBytes).toBe(cut - start);
    const log = await VoteLog.open(path, read);
    await log.add(newVote({ pair: 'next' }));
    await log.close();
    expect((await readVotes(path)).votes.map(({ pair }) => pair)).toEqual(['0', '1', 'next']);
  }
});

it.each([
  ['changed', (lines: string[]) => lines.with(1, lines[1].replace('"choice":"left"', '"choice":"right"'))],
  ['removed', (lines: string[]) => lines.toSpliced(1, 1)],
  ['put twice', (lines: string[]) => lines.toSpliced(1, 0, lines[1])],
  ['exchanged', (lines: string[]) => [lines[1], lines[0], ...lines.slice(2)]],
])('a log with a line %s is refused', async (_, damage) => {
  const path = await logOf(4);
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  writeFileSync(path, `${damage(lines).join('\n')}\n`);
  await expect(readVotes(path)).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' });
});

it('a line that is no vote is refused by its number', async () => {
  const path = await logOf(1);
  appendFileSync(path, '{"schema":"hpsv3/vote@1","seq":2}\n');
  await expect(readVotes(path)).rejects.toMatchObject({
    code: 'DATA_INVALID',
    message: expect.stringContaining('line 2'),
  });
  truncateSync(path, 0);
  expect((await readVotes(path)).votes).toEqual([]);
});

/** A file in memory of which the n-th call fails, as a full disk does: half of the bytes may have been written. */
class FailingFile implements AppendFile {
  content = Buffer.alloc(0);
  calls = 0;
  constructor(public failing: (call: number) => boolean) {}

  private fail(): void {
    if (this.failing(this.calls++)) throw Object.assign(new Error('full'), { code: 'ENOSPC' });
  }
  async write(bytes: Uint8Array, offset: number, length: number, position: number) {
    const some = Math.ceil(length / 2);
    const part = bytes.subarray(offset, offset + some);
    this.content = Buffer.concat([this.content.subarray(0, position), part]);
    this.fail();
    return { bytesWritten: some };
  }
  async datasync() {
    this.fail();
  }
  async truncate(length: number) {
    this.fail();
    this.content = this.content.subarray(0, length);
  }
  async close() {}
}

it('whatever call fails, what was acknowledged is in the log, and what was not is not, or can be sent again', async () => {
  for (let failing = 0; failing < 24; failing++) {
    const file = new FailingFile((call) => call === failing);
    const log = VoteLog.over(new AppendLog(file, 'votes.jsonl', 0));
    const acknowledged: string[] = [];
    for (const vote of votes(4)) {
      const sent = log.add(vote).then(() => acknowledged.push(vote.vote));
      await sent.catch(async (error) => {
        expect(error).toMatchObject({ code: 'OUTPUT_WRITE_FAILED' });
        await log.add(vote); // the page tries again
        acknowledged.push(vote.vote);
      });
    }
    const path = join(tempFolder(), 'votes.jsonl');
    writeFileSync(path, file.content);
    const read = await readVotes(path);
    expect(read.tornBytes).toBe(0);
    expect(read.votes.map(({ vote }) => vote)).toEqual(acknowledged);
  }
});

it('of votes that are written together, all fail together and the log goes on', async () => {
  const file = new FailingFile((call) => call === 3);
  const log = VoteLog.over(new AppendLog(file, 'votes.jsonl', 0));
  const outcomes = await Promise.allSettled(votes(5).map((vote) => log.add(vote)));
  expect(new Set(outcomes.map(({ status }) => status))).toEqual(new Set(['rejected']));
  expect((await log.add(newVote({}))).seq).toBe(1);
});
