import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { NewVote } from '../../src/core/labelling/vote.js';
import {
  collectLabels,
  type LabelAddress,
  type LabelOptions,
  type LabelReport,
} from '../../src/core/lifecycle/label/label.js';

const HASH = '0'.repeat(64);

export const voteId = (): string => `v_${randomBytes(12).toString('hex')}`;

/** A vote as a page sends it, and a log takes it. */
export const newVote = (about: Partial<NewVote>): NewVote => ({
  vote: voteId(),
  pair: '1',
  rater: 'r1',
  choice: 'left',
  shown: { first: 'left', seed: 0 },
  left_sha256: HASH,
  right_sha256: HASH,
  ms: 1000,
  visible_ms: 1000,
  media_ready_ms: 10,
  gold: false,
  repeat: false,
  replaces: null,
  at: '2026-01-01T00:00:00.000Z',
  ui: '1',
  consent: null,
  ...about,
});

/** The page, where the build has not made it: what the server sends is read from dist. */
export async function ensurePage(): Promise<void> {
  const made = new URL('../../dist/label-ui/label.css', import.meta.url);
  const sources = new URL('../../packages/label-ui/', import.meta.url);
  const newest = Math.max(
    ...readdirSync(sources, { recursive: true, encoding: 'utf8' }).map(
      (name) => statSync(new URL(name, sources)).mtimeMs,
    ),
  );
  if (existsSync(made) && statSync(made).mtimeMs > newest) return;
  execFileSync(process.execPath, [fileURLToPath(new URL('../../scripts/build-ui.js', import.meta.url))]);
}

export interface RunningSession extends LabelAddress {
  /** Ends the session as SIGTERM does. */
  stop(): Promise<LabelReport>;
}

/** A session in this process. */
export async function startSession(options: LabelOptions): Promise<RunningSession> {
  await ensurePage();
  const controller = new AbortController();
  return new Promise((resolve, reject) => {
    const ended = collectLabels({
      logLevel: 'error',
      ...options,
      signal: controller.signal,
      onListening: (address) =>
        resolve({
          ...address,
          stop: () => {
            controller.abort();
            return ended;
          },
        }),
    });
    ended.catch(reject);
  });
}

// biome-ignore lint/suspicious/noExplicitAny: answers of many shapes, whose fields the tests look at
type Json = any;

/** A client without a browser. */
export class Client {
  cookie = '';
  constructor(public url: string) {}

  async ask(
    path: string,
    body?: object,
    headers: Record<string, string> = {},
  ): Promise<{ status: number; body: Json; headers: Headers }> {
    const response = await fetch(`${this.url}${path}`, {
      method: body ? 'POST' : 'GET',
      headers: { cookie: this.cookie, ...(body ? { 'content-type': 'application/json' } : {}), ...headers },
      body: body && JSON.stringify(body),
    });
    const [cookie] = response.headers.getSetCookie();
    if (cookie) [this.cookie] = cookie.split(';');
    const text = await response.text();
    return { status: response.status, body: text.startsWith('{') ? JSON.parse(text) : text, headers: response.headers };
  }

  join = (link: string | null = null, consent: string | null = null) =>
    this.ask('/api/join', { token: link?.split('#join=')[1] ?? null, consent });

  /** @param about - fields that are not as they should be */
  async vote(answer: string, about: object = {}): Promise<{ status: number; body: Json; sent: Json }> {
    const { body: work } = await this.ask('/api/work');
    const [question] = work.questions;
    if (!question) return { status: 0, body: work, sent: null };
    const sent = {
      vote: voteId(),
      ticket: question.ticket,
      answer,
      shown: [question.first.sha256, question.second.sha256],
      ms: 1500,
      visible_ms: 1400,
      media_ready_ms: 20,
      ui: 'test',
      ...about,
    };
    const { status, body } = await this.ask('/api/votes', sent);
    return { status, body, sent };
  }
}

export const writeRows = (path: string, rows: readonly object[]): string => {
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return path;
};
