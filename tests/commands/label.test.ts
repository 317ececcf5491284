import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readVotes } from '../../src/core/labelling/vote-log.js';
import { hpsv3 } from '../helpers/cli.js';
import { drawPairs, writeJudged } from '../helpers/judged.js';
import { ended, killWhileVoting, serveLabels } from '../helpers/label-load.js';
import { Client, writeRows } from '../helpers/labelling.js';
import { tempFolder } from '../helpers/temp.js';

it('2 kills while votes are cast: what was acknowledged is in the log, and nothing twice', async () => {
  expect(await killWhileVoting({ kills: 2, raters: 3, seed: 'fast' })).toMatchObject({ kills: 2 });
});

it.skipIf(process.platform === 'win32')(
  'a disk that is full answers 507, and takes the vote when it is not',
  async () => {
    const folder = tempFolder();
    const rows = Array.from({ length: 8 }, (_, i) => ({ id: `${i}`, type: 'pair', left: `l${i}`, right: `r${i}` }));
    const out = join(folder, 'out');
    const args = ['--pairs', writeRows(join(folder, 'pairs.jsonl'), rows), '--out', out, '--repeat-share', '0'];
    // No file may grow beyond 2 KiB: the log has room for three votes.
    const first = await serveLabels(args, 'ulimit -f 2');
    const client = new Client(first.url);
    await client.join();
    const answers = [];
    for (let i = 0; i < 6; i++) answers.push(await client.vote('first'));
    const refused = answers.find(({ status }) => status !== 200)!;
    expect([refused.status, refused.body.code]).toEqual([507, 'OUTPUT_WRITE_FAILED']);
    const taken = answers.filter(({ status }) => status === 200).length;
    expect(taken).toBeGreaterThan(0);
    first.child.kill('SIGKILL');
    await ended(first.child);
    expect((await readVotes(join(out, 'votes.jsonl'))).votes).toHaveLength(taken);
    const second = await serveLabels(args);
    client.url = second.url;
    expect((await client.ask('/api/votes', refused.sent)).body).toMatchObject({ seq: taken + 1, again: false });
    second.child.kill('SIGTERM');
    await ended(second.child);
  },
);

it('labels that were collected are read by stats, calibrate and evaluate without a refused row', async () => {
  const folder = tempFolder();
  writeJudged(folder, drawPairs({ prompts: 40, truth: 0.6 }));
  const [labels, scores] = ['labels.jsonl', 'scores.jsonl'].map((name) => join(folder, name));
  const out = join(folder, 'out');
  const { child, url } = await serveLabels([
    '--pairs',
    labels,
    '--out',
    out,
    '--votes-per-pair',
    '2',
    '--repeat-share',
    '0',
  ]);
  const clients = [new Client(url), new Client(url)];
  for (const client of clients) await client.join();
  const answers = ['first', 'second', 'tie', 'both_bad', 'first'];
  for (let i = 0; ; i++) {
    const sent = await Promise.all(clients.map((client, at) => client.vote(answers[(i + at) % 5])));
    if (sent.every(({ status }) => status === 0)) break;
  }
  child.kill('SIGTERM');
  expect(await ended(child)).toBe(0);
  for (const file of ['labels.jsonl', 'labels.csv']) {
    const path = join(out, file);
    const stats = JSON.parse((await hpsv3(['data', 'stats', path, '--json'])).stdout);
    expect(stats.input).toMatchObject({ badRows: 0, otherKind: 0 });
    for (const args of [
      [
        'calibrate',
        '--scores',
        scores,
        '--labels',
        path,
        '--method',
        'platt',
        '--resamples',
        '100',
        '--out',
        join(folder, `${file}.cal.json`),
        '--json',
      ],
      ['evaluate', '--scores', scores, '--labels', path, '--resamples', '100', '--json'],
    ]) {
      const { code, stdout, stderr } = await hpsv3(args);
      expect([args[0], code === 0 ? '' : stdout + stderr]).toEqual([args[0], '']);
      expect(stdout).not.toMatch(/"badRows": [1-9]/);
    }
  }
});

it('ends with a report, and goes on without the file of pairs', async () => {
  const folder = tempFolder();
  const out = join(folder, 'out');
  const pairs = writeRows(join(folder, 'pairs.jsonl'), [{ id: 'a', type: 'pair', left: 'x', right: 'y' }]);
  const { child } = await serveLabels(['--pairs', pairs, '--out', out]);
  child.kill('SIGTERM');
  await ended(child);
  writeFileSync(pairs, '');
  const again = await serveLabels(['--out', out]);
  again.child.kill('SIGTERM');
  expect(await ended(again.child)).toBe(0);
  const merged = await hpsv3(['label', 'merge', '--out', out, '--json']);
  expect(JSON.parse(merged.stdout)).toMatchObject({ schema: 'hpsv3/label-merge@1', merged: [], figures: { pairs: 1 } });
  expect((await hpsv3(['label', 'forget', out, 'nobody'])).code).toBe(2);
  expect((await hpsv3(['label', 'merge', '--out', folder])).code).toBe(2);
  expect((await hpsv3(['label', '--pairs', pairs, '--out', out, '--raters', '3', '--invite'])).code).toBe(2);
  expect(readFileSync(join(out, 'labels.jsonl'), 'utf8')).toBe('');
});
