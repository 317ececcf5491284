import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, describe, expect, it } from 'vitest';
import { FileSource } from '../../../src/core/bytes/source.js';
import { fileInput } from '../../../src/core/data/input.js';
import { readRows } from '../../../src/core/data/read-rows.js';
import { readVotes } from '../../../src/core/labelling/vote-log.js';
import { forgetRater } from '../../../src/core/lifecycle/label/forget.js';
import type { LabelOptions } from '../../../src/core/lifecycle/label/label.js';
import { mergeLabels } from '../../../src/core/lifecycle/label/merge.js';
import { encodeWav } from '../../../src/core/media/encode-wav.js';
import { Client, type RunningSession, startSession, voteId, writeRows } from '../../helpers/labelling.js';
import { tempFolder } from '../../helpers/temp.js';

const running: RunningSession[] = [];
afterEach(async () => {
  for (const session of running.splice(0)) await session.stop().catch(() => undefined);
});

const TEXTS = Array.from({ length: 12 }, (_, i) => ({
  ...{ id: `p${i}`, type: 'pair', left: `left ${i}`, right: `right ${i}`, context: 'Which looks cleaner?' },
  ...(i % 2 ? { groups: { source: i % 4 === 1 ? 'a' : 'b' } } : {}),
}));

async function open(options: Partial<LabelOptions> = {}, rows: readonly object[] = TEXTS) {
  const folder = tempFolder();
  const pairs = options.pairs ?? writeRows(join(folder, 'pairs.jsonl'), rows);
  const out = options.out ?? join(folder, 'session');
  const session = await startSession({ repeatShare: 0, ...options, pairs, out });
  running.push(session);
  return { folder, out, pairs, session, client: new Client(session.url) };
}

const png = (colour: string): Promise<Buffer> =>
  sharp({ create: { width: 40, height: 30, channels: 3, background: colour } })
    .png()
    .toBuffer();

const lines = (path: string) =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));

it('takes votes of two raters, undo among them, and writes the labels as the formats have them', async () => {
  const { session, client, out } = await open({ votesPerPair: 2 });
  const other = new Client(session.url);
  await Promise.all([client.join(), other.join()]);
  const answers = [
    'first',
    'second',
    'tie',
    'both_bad',
    'skip',
    'first',
    'second',
    'tie',
    'both_bad',
    'first',
    'second',
    'tie',
  ];
  for (const answer of answers) {
    expect((await client.vote(answer)).status).toBe(200);
    expect((await other.vote(answer)).status).toBe(200);
  }
  const undone = await client.ask('/api/undo', { vote: voteId() });
  expect(undone.status).toBe(200);
  expect((await client.vote('first')).status).toBe(200);
  expect((await client.ask('/api/work')).body).toMatchObject({ questions: [], done: 12, canUndo: true });
  const report = await session.stop();
  expect(report.figures).toMatchObject({ pairs: 12, withdrawn: 0, raters: [{ rater: 'r1' }, { rater: 'r2' }] });

  const { votes } = await readVotes(join(out, 'votes.jsonl'));
  expect(votes.map(({ seq }) => seq)).toEqual(Array.from({ length: 26 }, (_, i) => i + 1));
  expect(votes.at(-1)).toMatchObject({ rater: 'r1', replaces: null });
  expect(votes.at(-2)).toMatchObject({
    choice: 'undo',
    replaces: votes.filter(({ rater }) => rater === 'r1')[11].vote,
  });

  const labels = lines(join(out, 'labels.jsonl'));
  expect(Object.keys(labels[0]).slice(0, 7)).toEqual(['id', 'type', 'left', 'right', 'context', 'labels', 'raters']);
  for (const row of labels) {
    const standing = votes.filter(({ pair, choice }) => pair === row.id && choice !== 'skip' && choice !== 'undo');
    expect(row.raters.length).toBe(row.labels.length);
    row.raters.forEach((rater: string, i: number) => {
      const vote = standing.filter((each) => each.rater === rater).at(-1)!;
      expect(row.labels[i]).toBe({ left: 1, right: 0, tie: 0.5, both_bad: 0.5 }[vote.choice as 'left']);
    });
  }
  const [header] = readFileSync(join(out, 'labels.csv'), 'utf8').split('\n');
  expect(header).toMatch(/^id,type,left,right,context,label1,label2\b/);
  // All forms say the same, read by the layouts of `data convert`.
  const own = await labelsIn(join(out, 'labels.jsonl'));
  expect(own.rows.length).toBe(labels.length);
  for (const name of ['labels.csv', 'label-studio.json', 'argilla.jsonl']) {
    const read = await labelsIn(join(out, name));
    expect([name, read.bad]).toEqual([name, 0]);
    expect([name, read.rows.filter(({ votes: all }) => all.length > 0)]).toEqual([name, own.rows]);
  }
  const arena = await labelsIn(join(out, 'arena.jsonl'));
  expect(arena).toMatchObject({ bad: 0 });
  expect(arena.rows).toHaveLength(labels.flatMap((row) => row.labels).length);
});

async function labelsIn(path: string) {
  const source = FileSource.open(path);
  try {
    const rows: { id: string; votes: readonly number[]; raters: readonly string[]; bothBad?: string }[] = [];
    let bad = 0;
    for await (const batch of readRows(fileInput(source)))
      for (const { row } of batch) {
        if (row?.kind !== 'pair') bad++;
        else rows.push({ id: row.id, votes: row.votes, raters: row.raters ?? [], bothBad: row.groups.get('both_bad') });
      }
    return { rows, bad };
  } finally {
    source.close();
  }
}

describe('a session that ends', () => {
  it('goes on where it was, with the pairs it had and more, and not with others', async () => {
    const first = await open({ votesPerPair: 1 });
    await first.client.join();
    const { sent } = await first.client.vote('first');
    const [before] = (await first.client.ask('/api/work')).body.questions;
    await first.session.stop();
    running.length = 0;

    const more = writeRows(first.pairs, [...TEXTS, { id: 'new', type: 'pair', left: 'a', right: 'b' }]);
    const again = await open({ votesPerPair: 1, out: first.out, pairs: more });
    const client = new Client(again.session.url);
    client.cookie = first.client.cookie; // the browser was closed
    expect((await client.ask('/api/me')).body.rater).toBe('r1');
    const { body } = await client.ask('/api/work');
    expect(body).toMatchObject({ done: 1, due: 12 });
    expect(body.questions[0].first).toEqual(before.first); // the side that was drawn
    // What was sent before, and perhaps not heard of.
    expect((await client.ask('/api/votes', sent)).body).toMatchObject({ vote: sent.vote, seq: 1, again: true });
    await again.session.stop();
    running.length = 0;

    writeRows(
      first.pairs,
      TEXTS.map((row) => ({ ...row, left: `${row.left}!` })),
    );
    await expect(open({ out: first.out, pairs: first.pairs })).rejects.toMatchObject({ code: 'DATA_INVALID' });
    await expect(open({ out: first.out, pairs: more, seed: 7 })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  it('is one process at a time, and a log that somebody changed is refused', async () => {
    const { out, pairs, session, client } = await open();
    await expect(startSession({ pairs, out })).rejects.toMatchObject({ code: 'OUTPUT_BUSY' });
    await client.join();
    await client.vote('first');
    await client.vote('second');
    await session.stop();
    const path = join(out, 'votes.jsonl');
    writeFileSync(
      path,
      readFileSync(path, 'utf8').replace('"choice":"left"', '"choice":"right"').replace('"ms":1500', '"ms":1501'),
    );
    await expect(startSession({ pairs, out })).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' });
  });

  it('leaves out a vote that was being written, and says so', async () => {
    const { out, pairs, session, client } = await open();
    await client.join();
    await client.vote('first');
    await session.stop();
    appendFileSync(join(out, 'votes.jsonl'), '{"schema":"hpsv3/vote@1","seq":2,"vo');
    const again = await startSession({ pairs, out });
    const report = await again.stop();
    expect(report.warnings[0]).toContain('being written');
    expect(report.figures.votes).toBe(1);
  });
});

describe('votes that are not as they should be', () => {
  it('are refused, and the log stays as it was', async () => {
    const { client, session, out } = await open();
    const other = new Client(session.url);
    await Promise.all([client.join(), other.join()]);
    const { sent } = await client.vote('first');
    const [question] = (await client.ask('/api/work')).body.questions;
    const [others] = (await other.ask('/api/work')).body.questions;
    const next = {
      ...sent,
      vote: voteId(),
      ticket: question.ticket,
      shown: [question.first.sha256, question.second.sha256],
    };
    const cases: [object, number, string][] = [
      [{ ...sent, answer: 'second' }, 409, 'VOTE_REUSED'],
      [{ ...next, vote: sent.vote }, 409, 'VOTE_REUSED'],
      [{ ...next, ticket: others.ticket }, 403, 'TICKET_UNKNOWN'],
      [{ ...next, ticket: `${question.ticket.slice(0, -3)}AAA` }, 403, 'TICKET_UNKNOWN'],
      [{ ...next, ticket: '' }, 403, 'TICKET_UNKNOWN'],
      [{ ...next, shown: next.shown.toReversed() }, 409, 'SHOWN_OTHERWISE'],
      [{ ...next, vote: 'v_short' }, 400, 'REQUEST_INVALID'],
      [{ ...next, answer: 'left' }, 400, 'REQUEST_INVALID'],
      [{ ...next, ms: -1 }, 400, 'REQUEST_INVALID'],
      [{ ...next, rater: 'r2' }, 400, 'REQUEST_INVALID'],
      [{ ...next, __proto__: null, gold: true }, 400, 'REQUEST_INVALID'],
    ];
    for (const [body, status, code] of cases) {
      const answer = await client.ask('/api/votes', body);
      expect([answer.status, answer.body.code]).toEqual([status, code]);
    }
    // Another rater's vote, sent by this one.
    const { sent: theirs } = await other.vote('tie');
    expect((await client.ask('/api/votes', theirs)).status).toBe(403);
    // No JSON, too much of it, none at all.
    for (const [body, status] of [
      ['x', 400],
      ['', 400],
      [`{"vote":"${'v'.repeat(100_000)}"}`, 413],
    ] as const) {
      const headers = { 'content-type': 'application/json', cookie: client.cookie };
      expect((await fetch(`${session.url}/api/votes`, { method: 'POST', body, headers })).status).toBe(status);
    }
    const plain = { 'content-type': 'text/plain', cookie: client.cookie };
    expect(
      (await fetch(`${session.url}/api/votes`, { method: 'POST', body: JSON.stringify(next), headers: plain })).status,
    ).toBe(415);
    expect((await readVotes(join(out, 'votes.jsonl'))).votes).toHaveLength(2);
  });

  it('come twice, at once or later, and count once; the last word on a pair counts, with what was before it', async () => {
    const { client, out } = await open();
    await client.join();
    const [question, second] = (await client.ask('/api/work')).body.questions;
    const sent = {
      ...{
        vote: voteId(),
        ticket: question.ticket,
        answer: 'first',
        shown: [question.first.sha256, question.second.sha256],
      },
      ...{ ms: 1, visible_ms: 1, media_ready_ms: 0, ui: 'test' },
    };
    const answers = await Promise.all(Array.from({ length: 5 }, () => client.ask('/api/votes', sent)));
    expect(answers.map(({ body }) => [body.seq, body.again]).sort()).toEqual([[1, false], ...Array(4).fill([1, true])]);
    // Another tab has the same question, and another opinion.
    expect((await client.ask('/api/votes', { ...sent, vote: voteId(), answer: 'tie' })).body.seq).toBe(2);
    const { votes } = await readVotes(join(out, 'votes.jsonl'));
    expect(votes.map(({ replaces }) => replaces)).toEqual([null, sent.vote]);
    expect((await client.ask('/api/work')).body).toMatchObject({ done: 1, questions: [{ ticket: second.ticket }, {}] });
    // Undo once is once.
    const undo = { vote: voteId() };
    expect((await client.ask('/api/undo', undo)).body.again).toBe(false);
    expect((await client.ask('/api/undo', undo)).body.again).toBe(true);
    expect((await client.ask('/api/undo', { vote: voteId() })).body.code).toBe('NOTHING_TO_UNDO');
  });
});

describe('who may do what', () => {
  it('other pages, other names of this machine and strangers may nothing', async () => {
    const { session, client } = await open();
    await client.join();
    const port = new URL(session.url).port;
    const origin = { origin: 'https://evil.example' };
    expect((await client.ask('/api/undo', { vote: voteId() }, origin)).status).toBe(403);
    expect((await client.ask('/api/work', undefined, origin)).status).toBe(403);
    expect((await client.ask('/api/me', undefined, { origin: `http://127.0.0.1:${port}` })).status).toBe(200);
    const { default: http } = await import('node:http');
    const status = await new Promise((resolve, reject) => {
      const request = http.get(
        { host: '127.0.0.1', port, path: '/api/me', headers: { host: 'rebound.example' } },
        (response) => {
          response.resume();
          resolve(response.statusCode);
        },
      );
      request.on('error', reject);
    });
    expect(status).toBe(403);
    const stranger = new Client(session.url);
    for (const path of ['/api/work', '/admin/api/figures', '/admin/files/labels.jsonl', `/m/${'0'.repeat(64)}`]) {
      expect((await stranger.ask(path)).status).toBe(401);
      stranger.cookie = `hpsv3_label_x=y; ${'a'.repeat(100)}`;
    }
    expect((await client.ask('/admin/api/figures')).status).toBe(403);
    expect((await client.ask('/admin/api/invite', {})).status).toBe(403);
  });

  it('links let one person in once, as who they are for', async () => {
    const { session } = await open({ raters: 3 });
    expect(session.raters.map(({ rater }) => rater)).toEqual(['r1', 'r2', 'r3']);
    const [first, second] = [new Client(session.url), new Client(session.url)];
    expect((await first.join()).status).toBe(401);
    expect((await first.join('#join=nonsense-nonsense-nonsense')).status).toBe(403);
    const joined = await first.join(session.raters[1].url);
    expect(joined.body).toEqual({ role: 'rater', rater: 'r2' });
    expect(joined.headers.getSetCookie()[0]).toMatch(/; Path=\/; HttpOnly; SameSite=Strict; /);
    expect((await second.join(session.raters[1].url)).status).toBe(403);
    expect((await first.vote('first')).status).toBe(200);
    const admin = new Client(session.url);
    expect((await admin.join(session.admin)).body).toEqual({ role: 'admin', rater: null });
    expect((await admin.ask('/api/work')).status).toBe(403);
    const figures = await admin.ask('/admin/api/figures');
    expect(figures.body).toMatchObject({ votes: 1, canInvite: false, raters: [{ rater: 'r2', votes: 1 }] });
    const file = await admin.ask('/admin/files/labels.csv');
    expect(file.headers.get('content-disposition')).toBe('attachment; filename="labels.csv"');
    for (const name of ['votes.jsonl', '.key', '..%2f.key', 'raters.jsonl']) {
      expect((await admin.ask(`/admin/files/${name}`)).status).toBe(404);
    }
  });

  it('an administrator invites, and a listener that others reach needs links', async () => {
    const { session, pairs, folder } = await open({ invite: true });
    const admin = new Client(session.url);
    await admin.join(session.admin);
    const { token } = (await admin.ask('/admin/api/invite', {})).body;
    const rater = new Client(session.url);
    expect((await rater.join(`#join=${token}`)).body.rater).toBe('r1');
    await expect(startSession({ pairs, out: join(folder, 'other'), host: '0.0.0.0' })).rejects.toMatchObject({
      code: 'USAGE',
    });
  });

  it('nothing is asked before the rater has agreed, and votes name what was agreed to', async () => {
    const folder = tempFolder();
    writeFileSync(join(folder, 'consent.txt'), 'We keep your votes.\n');
    const { client, out } = await open({ consent: join(folder, 'consent.txt') });
    await client.join();
    expect((await client.ask('/api/work')).status).toBe(403);
    const { consent } = (await client.ask('/api/me')).body;
    expect(consent.text).toBe('We keep your votes.');
    expect((await client.ask('/api/consent', { consent: 'c0' })).status).toBe(400);
    expect((await client.ask('/api/consent', { consent: consent.version })).status).toBe(200);
    await client.vote('first');
    expect((await readVotes(join(out, 'votes.jsonl'))).votes[0].consent).toBe(consent.version);
    expect(readFileSync(join(out, 'raters.jsonl'), 'utf8')).not.toContain(client.cookie.split('=')[1]);
  });
});

describe('media', () => {
  async function withMedia() {
    const folder = tempFolder();
    mkdirSync(join(folder, 'media'));
    const put = (name: string, bytes: Uint8Array | string): string => {
      writeFileSync(join(folder, 'media', name), bytes);
      return `media/${name}`;
    };
    writeFileSync(join(folder, 'secret.png'), await png('black'));
    const tone = encodeWav(
      Float32Array.from({ length: 8000 }, (_, i) => Math.sin(i / 10)),
      16_000,
    );
    const good = {
      id: 'good',
      type: 'pair',
      left: put('a.png', await png('red')),
      right: put('b.jpg', await png('blue')),
    };
    const rows = [
      { id: 'gone', type: 'pair', left: 'media/none.png', right: good.right },
      { id: 'page', type: 'pair', left: put('page.png', '<html><script>alert(1)</script>'), right: good.right },
      {
        id: 'svg',
        type: 'pair',
        left: { image: put('x.svg', '<svg xmlns="http://www.w3.org/2000/svg"/>') },
        right: { image: good.right },
      },
      { id: 'cut', type: 'pair', left: put('cut.png', (await png('red')).subarray(0, 60)), right: good.right },
      { id: 'out', type: 'pair', left: '../secret.png', right: good.right },
      { id: 'absolute', type: 'pair', left: '/etc/hostname.png', right: good.right },
      { id: 'remote', type: 'pair', left: 'https://example.org/a.png', right: good.right },
      good,
      { id: 'sound', type: 'pair', left: put('a.wav', tone), right: put('b.wav', tone) },
    ];
    const pairs = writeRows(join(folder, 'pairs.jsonl'), rows);
    return { ...(await open({ votesPerPair: 1, pairs, out: join(folder, 'session') })), folder };
  }

  it('that cannot be shown withdraw their pairs, each with its reason; the others are asked', async () => {
    const { client, session } = await withMedia();
    await client.join();
    expect((await client.ask('/api/work')).body.questions).toHaveLength(2);
    await client.vote('first');
    await client.vote('second');
    expect((await client.ask('/api/work')).body).toMatchObject({ due: 0, questions: [] });
    const { withdrawn, figures } = await session.stop();
    expect(Object.keys(withdrawn).sort()).toEqual(['absolute', 'cut', 'gone', 'out', 'page', 'remote', 'svg']);
    expect(Object.values(withdrawn).join(' ')).not.toContain(tempFolder().split('/')[1]);
    expect(figures).toMatchObject({ withdrawn: 7, votes: 2 });
  });

  it('come by their hash alone, with the type of their bytes, whole or a range of them', async () => {
    const { client, folder } = await withMedia();
    await client.join();
    const { questions } = (await client.ask('/api/work')).body;
    const [{ media }] = [...questions[0].first.parts, ...questions[1].first.parts];
    const get = (path: string, headers = {}) =>
      fetch(`${client.url}${path}`, { headers: { cookie: client.cookie, ...headers } });
    const whole = await get(`/m/${media}`);
    const bytes = Buffer.from(await whole.arrayBuffer());
    expect([whole.status, whole.headers.get('content-type'), whole.headers.get('x-content-type-options')]).toEqual([
      200,
      'image/png',
      'nosniff',
    ]);
    const part = await get(`/m/${media}`, { range: 'bytes=10-19' });
    expect([part.status, part.headers.get('content-range')]).toEqual([206, `bytes 10-19/${bytes.length}`]);
    expect(Buffer.from(await part.arrayBuffer())).toEqual(bytes.subarray(10, 20));
    expect(Buffer.from(await (await get(`/m/${media}`, { range: 'bytes=-5' })).arrayBuffer())).toEqual(
      bytes.subarray(-5),
    );
    expect((await get(`/m/${media}`, { range: 'bytes=99999-' })).status).toBe(416);
    for (const path of [
      '/m/../label.json',
      '/m/%2e%2e%2flabel.json',
      '/m/..%2f..%2fetc%2fpasswd',
      '/m/media%2fa.png',
      `/m/${'0'.repeat(64)}`,
      '/m/%00',
      '/m/',
    ]) {
      expect([path, (await get(path)).status]).toEqual([path, 404]);
    }
    // Changed after it was looked at: what would be shown is not what the vote would say.
    for (const name of ['a.png', 'b.jpg']) writeFileSync(join(folder, 'media', name), await png('green'));
    expect((await get(`/m/${media}`)).status).toBe(404);
  });

  it('that go while a pair is looked at: the vote is refused, and the pair withdrawn with the next question', async () => {
    const { client, folder } = await withMedia();
    await client.join();
    await client.ask('/api/work');
    for (const name of ['a.png', 'b.jpg', 'a.wav']) rmSync(join(folder, 'media', name));
    expect((await client.ask('/api/work')).body).toMatchObject({ questions: [], due: 0 });
    expect(existsSync(join(folder, 'session', 'votes.jsonl'))).toBe(true);
  });
});

it('shows several pictures of an item beside those of the other, in their order', async () => {
  const folder = tempFolder();
  const colours = ['red', 'green', 'blue', 'black'];
  for (const colour of colours) writeFileSync(join(folder, `${colour}.png`), await png(colour));
  const sides = [
    { images: ['red.png', 'green.png'], text: 'two views' },
    { images: ['blue.png', 'black.png', 'red.png'] },
  ];
  const rows = [
    { id: '1', type: 'pair', left: sides[0], right: sides[1] },
    { id: 'broken', type: 'pair', left: sides[0], right: { images: ['red.png', 'none.png'] } },
  ];
  const pairs = writeRows(join(folder, 'pairs.jsonl'), rows);
  const { session, client, out } = await open({ votesPerPair: 1, pairs, out: join(folder, 'session') });
  await client.join();
  const [{ first, second }, ...others] = (await client.ask('/api/work')).body.questions;
  expect(others).toEqual([]); // one picture of the other pair is missing
  const kinds = [first, second].map(({ parts }) => parts.map(({ kind }: { kind: string }) => kind).join(' '));
  expect(kinds.sort()).toEqual(['image image image', 'image image text']);
  const [two, three] = [first, second].sort((a, b) => a.parts[2].kind.length - b.parts[2].kind.length);
  expect(two.parts[2]).toEqual({ kind: 'text', text: 'two views' });
  expect(three.parts[2].media).toBe(two.parts[0].media);
  expect((await client.vote('first')).status).toBe(200);
  const { withdrawn } = await session.stop();
  expect(Object.keys(withdrawn)).toEqual(['broken']);
  // As they were given, in a file of lines and in a table.
  expect(lines(join(out, 'labels.jsonl'))[0]).toMatchObject({ left: sides[0], right: sides[1] });
  expect(await labelsIn(join(out, 'labels.csv'))).toMatchObject({ bad: 0, rows: [{ id: '1' }] });
});

it('an administrator lets a rater go on who was paused, and a restart does not pause it again', async () => {
  const gold = Array.from({ length: 12 }, (_, i) => ({
    ...{ id: `g${i}`, type: 'pair', left: `good ${i}`, right: `bad ${i}`, labels: [1, 1] },
  }));
  const folder = tempFolder();
  const options = { gold: writeRows(join(folder, 'gold.jsonl'), gold), goldShare: 0.9, votesPerPair: 1 };
  const { session, client, out, pairs } = await open(options);
  await client.join();
  const work = async () => (await client.ask('/api/work')).body;
  for (let i = 0; i < 40 && !(await work()).paused; i++) {
    const [{ first }] = (await work()).questions;
    await client.vote(first.parts[0].text.startsWith('good') ? 'second' : 'first');
  }
  expect(await work()).toMatchObject({ paused: true, questions: [] });
  const admin = new Client(session.url);
  await admin.join(session.admin);
  expect((await client.ask('/admin/api/resume', { rater: 'r1' })).status).toBe(403);
  expect((await admin.ask('/admin/api/resume', { rater: 'nobody' })).status).toBe(404);
  expect((await admin.ask('/admin/api/resume', { rater: 'r1' })).status).toBe(200);
  expect((await admin.ask('/admin/api/resume', { rater: 'r1' })).status).toBe(404);
  expect(await work()).toMatchObject({ paused: false });
  expect((await work()).questions.length).toBeGreaterThan(0);
  const { cookie } = client;
  await session.stop();
  const again = await open({ ...options, out, pairs });
  again.client.cookie = cookie;
  expect((await again.client.ask('/api/work')).body).toMatchObject({ paused: false });
  expect((await again.session.stop()).figures.raters[0]).toMatchObject({ paused: false, gold: { wrong: 0 } });
});

it('forgets a rater: no name, no time of day, no way in; the votes still count', async () => {
  const { session, client, out } = await open({ votesPerPair: 2 });
  const other = new Client(session.url);
  await client.join();
  await other.join();
  for (let i = 0; i < 5; i++) {
    await client.vote('first');
    await other.vote('first');
  }
  await expect(forgetRater({ session: out, rater: 'r1' })).rejects.toMatchObject({ code: 'OUTPUT_BUSY' });
  const before = await session.stop();
  expect(await forgetRater({ session: out, rater: 'r1' })).toMatchObject({ votes: 5 });
  const { votes } = await readVotes(join(out, 'votes.jsonl'));
  expect(votes.filter(({ rater }) => rater === null).every(({ at }) => at.endsWith('T00:00:00.000Z'))).toBe(true);
  for (const name of [
    'votes.jsonl',
    'labels.jsonl',
    'labels.csv',
    'raters.jsonl',
    'label-studio.json',
    'argilla.jsonl',
    'arena.jsonl',
  ]) {
    expect([name, /"r1"(?!,"to_name")/.test(readFileSync(join(out, name), 'utf8'))]).toEqual([name, false]);
  }
  const after = await mergeLabels({ session: out, files: [] });
  expect(after.figures.votes).toBe(before.figures.votes);
  expect(after.figures.alpha).toEqual(before.figures.alpha);
  expect((await labelsIn(join(out, 'labels.jsonl'))).bad).toBe(0);
  await expect(forgetRater({ session: out, rater: 'r1' })).rejects.toMatchObject({ code: 'USAGE' });
});

it('texts that look like markup, right to left, or very long go to the page as they are, under a policy that runs nothing', async () => {
  const hostile = [
    '<img src=x onerror=alert(1)>',
    '</script><script>alert(1)</script>',
    'javascript:alert(1)',
    'שלום عليكم \u202e',
    'x'.repeat(200_000),
  ];
  const rows = hostile.map((text, i) => ({
    id: text.slice(0, 50) + i,
    type: 'pair',
    left: text,
    right: `${text} `,
    context: text,
    task: text.slice(0, 30),
  }));
  const { client, session } = await open({ votesPerPair: 1 }, rows);
  await client.join();
  for (const _ of hostile) expect((await client.vote('first')).status).toBe(200);
  const page = await fetch(session.url);
  expect(page.headers.get('content-security-policy')).toMatch(
    /^default-src 'none'; script-src 'self'; style-src 'self';/,
  );
  expect(await page.text()).not.toMatch(/<script(?! type="module" src="label.js">)/);
});

it('asks the pairs of a queue, in its order, and writes how likely each was chosen', async () => {
  const folder = tempFolder();
  const by = writeRows(join(folder, 'queue.jsonl'), [
    { id: 'p7', rank: 1, propensity: 0.25 },
    { id: 'p2', rank: 2, propensity: 1 },
    { id: 'nowhere', rank: 3 },
  ]);
  const { client, session, out } = await open({ by, votesPerPair: 1 });
  await client.join();
  const first = await client.vote('tie');
  const second = await client.vote('tie');
  expect([first.sent.ticket, second.sent.ticket].length).toBe(2);
  expect((await client.ask('/api/work')).body).toMatchObject({ due: 0 });
  const { figures, warnings } = await session.stop();
  expect(figures.pairs).toBe(2);
  expect(warnings.join(' ')).toContain('1 of 3 ids');
  const propensities = () => lines(join(out, 'labels.jsonl')).map(({ id, propensity }) => [id, propensity]);
  expect(propensities().sort()).toEqual([
    ['p2', 1],
    ['p7', 0.25],
  ]);
  await mergeLabels({ session: out, files: [] });
  expect(propensities()).toHaveLength(2);
  expect(propensities().sort()[1]).toEqual(['p7', 0.25]);
  await expect(open({ by: writeRows(join(folder, 'bad.jsonl'), [{ rank: 1 }]) })).rejects.toMatchObject({
    code: 'DATA_INVALID',
  });
});

it('a file without pairs, and one of items, is refused', async () => {
  await expect(open({}, [{ id: '1', type: 'abs', content: 'x', score: 1 }])).rejects.toMatchObject({
    code: 'DATA_INVALID',
  });
  await expect(open({}, [{ id: '1' }])).rejects.toMatchObject({ code: 'DATA_INVALID' });
});
