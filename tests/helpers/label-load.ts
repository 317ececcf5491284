import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'vitest';
import { Random } from '../../src/core/bytes/random.js';
import { readVotes } from '../../src/core/labelling/vote-log.js';
import { HPSV3 } from './cli.js';
import { Client, ensurePage, voteId, writeRows } from './labelling.js';
import { tempFolder } from './temp.js';

interface Served {
  readonly child: ChildProcess;
  readonly url: string;
}

/** `hpsv3 label` in a process of its own. */
export async function serveLabels(args: readonly string[], shell?: string): Promise<Served> {
  await ensurePage();
  const words = [HPSV3, 'label', ...args, '--port', '0'];
  const child = shell
    ? spawn('bash', ['-c', `${shell}; exec "$0" "$@"`, process.execPath, ...words], {
        stdio: ['ignore', 'ignore', 'pipe'],
      })
    : spawn(process.execPath, words, { stdio: ['ignore', 'ignore', 'pipe'] });
  const url = await new Promise<string>((resolve, reject) => {
    let log = '';
    child.stderr!.on('data', (chunk) => {
      log += chunk;
      const [, found] = /Listening on (\S+)/.exec(log) ?? [];
      if (found) resolve(found);
    });
    child.once('exit', () => reject(new Error(log)));
  });
  return { child, url };
}

export const ended = (child: ChildProcess): Promise<number | null> =>
  child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve(child.exitCode)
    : new Promise((resolve) => child.once('exit', resolve));

const rowsOf = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ id: `${i}`, type: 'pair', left: `left ${i}`, right: `right ${i}` }));

/**
 * Raters vote while the server is killed at random moments and started again; a vote that was not acknowledged is sent again, as the
 * page does.
 */
export async function killWhileVoting({ kills, raters, seed }: { kills: number; raters: number; seed: string }) {
  const folder = tempFolder();
  const out = join(folder, 'out');
  const args = [
    '--pairs',
    writeRows(join(folder, 'pairs.jsonl'), rowsOf(20 * kills + 100)),
    '--out',
    out,
    ...['--votes-per-pair', '1000', '--repeat-share', '0'],
  ];
  const random = new Random(seed);
  const acknowledged = new Map<string, string>();
  const sent = new Set<string>();
  const clients: Client[] = [];
  const pending = new Map<Client, object>();
  let done = 0;
  for (; done <= kills; done++) {
    const { child, url } = await serveLabels(args);
    let isDown = false;
    while (clients.length < raters) clients.push(new Client(url));
    const after = random.uniform(20, 250);
    const voting = clients.map(async (client, i) => {
      client.url = url;
      try {
        if (client.cookie === '') await client.join();
        for (let n = 0; !isDown && n < 20; n++) {
          let body = pending.get(client) as { vote: string; answer: string } | undefined;
          if (!body) {
            const [question] = (await client.ask('/api/work')).body.questions;
            const answer = ['first', 'second', 'tie'][(i + n) % 3];
            const shown = [question.first.sha256, question.second.sha256];
            body = {
              vote: voteId(),
              ticket: question.ticket,
              answer,
              shown,
              ms: 1,
              visible_ms: 1,
              media_ready_ms: 1,
              ui: 't',
            } as never;
          }
          pending.set(client, body!);
          sent.add(body!.vote);
          const answer = await client.ask('/api/votes', body);
          if (answer.status !== 200) throw new Error(JSON.stringify(answer.body));
          acknowledged.set(body!.vote, body!.answer);
          pending.delete(client);
        }
      } catch (error) {
        if (!isDown) throw error; // the server was there
      }
    });
    if (done === kills) {
      await Promise.all(voting); // the last one is left to work
      child.kill('SIGTERM');
      await ended(child);
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, after));
    isDown = true;
    child.kill('SIGKILL');
    await ended(child);
    await Promise.all(voting);
  }
  const { votes, tornBytes } = await readVotes(join(out, 'votes.jsonl'));
  const ids = votes.map(({ vote }) => vote);
  expect(tornBytes).toBe(0);
  expect(new Set(ids).size).toBe(ids.length); // none twice
  expect([...acknowledged.keys()].filter((id) => !ids.includes(id))).toEqual([]);
  expect(ids.filter((id) => !sent.has(id))).toEqual([]);
  const labels = readFileSync(join(out, 'labels.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(labels.flatMap((row) => row.labels)).toHaveLength(ids.length);
  return { kills: done, sent: sent.size, acknowledged: acknowledged.size };
}

/** Milliseconds from a vote to its acknowledgement, by raters who vote at once, each 100 ms after the one before: thirty times as fast as people. */
export async function latencies({ raters, votes }: { raters: number; votes: number }) {
  const folder = tempFolder();
  const out = join(folder, 'out');
  const pairs = writeRows(join(folder, 'pairs.jsonl'), rowsOf(votes + 2 * raters)); // each has two before it
  const { child, url } = await serveLabels([
    '--pairs',
    pairs,
    '--out',
    out,
    '--votes-per-pair',
    '1',
    '--repeat-share',
    '0',
  ]);
  try {
    const program = fileURLToPath(new URL('label-raters.js', import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [program, url, `${raters}`, `${votes}`, '100']);
    const times = JSON.parse(stdout) as { readonly p50: number; readonly p95: number; readonly p99: number };
    return { ...times, votes: (await readVotes(join(out, 'votes.jsonl'))).votes.length };
  } finally {
    child.kill('SIGTERM');
    await ended(child);
  }
}
