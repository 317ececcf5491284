/** What the page asks for, and of whom: the server, or the file that it is packed in. */
import type {
  AdminFigures,
  Answer,
  RaterFigures,
  SentVote,
  ShownPart,
  ShownQuestion,
  ShownSide,
  Work,
} from '../../../src/core/labelling/wire.js';

export type { AdminFigures, Answer, RaterFigures, SentVote, ShownPart, ShownQuestion as Question, ShownSide, Work };

export interface Me {
  readonly rater: string | null;
  readonly role: 'rater' | 'admin' | null;
  /** Whether one may begin without a link. */
  readonly open: boolean;
  /** What is still to be agreed to. */
  readonly consent: { readonly version: string; readonly text: string } | null;
}

export interface Backend {
  /** Of a page that is a file: its votes have to be saved by hand. */
  readonly save: (() => Promise<void>) | null;
  me(): Promise<Me>;
  join(token: string | null, consent: string | null): Promise<void>;
  agree(consent: string): Promise<void>;
  work(): Promise<Work>;
  vote(vote: SentVote): Promise<void>;
  undo(vote: string): Promise<void>;
  mediaUrl(sha256: string): string;
}

/** Version of the page, kept with each vote. */
export const UI_VERSION = '1.0';

export const newVoteId = (): string => {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `v_${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
};

/** What the server says no to; `status` 0 where it does not answer at all. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

async function ask<T>(path: string, body?: object): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, {
      method: body ? 'POST' : 'GET',
      headers: body ? { 'content-type': 'application/json' } : {},
      body: body && JSON.stringify(body),
      cache: 'no-store',
    });
  } catch {
    throw new Refused(0, 'UNREACHABLE', 'the server does not answer');
  }
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer as T;
  throw new Refused(response.status, answer.code ?? 'UNKNOWN', answer.detail ?? `status ${response.status}`);
}

export const httpBackend: Backend = {
  save: null,
  me: () => ask<Me>('/api/me'),
  join: (token, consent) => ask('/api/join', { token, consent }),
  agree: (consent) => ask('/api/consent', { consent }),
  work: () => ask<Work>('/api/work'),
  vote: (vote) => ask('/api/votes', vote),
  undo: (vote) => ask('/api/undo', { vote }),
  mediaUrl: (sha256) => `/m/${sha256}`,
};

export interface AdminBackend {
  figures(): Promise<AdminFigures>;
  invite(): Promise<string>;
  /** Lets a rater go on who was paused. */
  resume(rater: string): Promise<void>;
}

export const adminBackend: AdminBackend = {
  figures: () => ask<AdminFigures>('/admin/api/figures'),
  invite: async () => (await ask<{ token: string }>('/admin/api/invite', {})).token,
  resume: (rater) => ask('/admin/api/resume', { rater }),
};

/** A secret in the address, behind the #: it is sent to the server once and never logged. */
export function takeToken(): string | null {
  const [, token] = /^#join=([\w-]{20,128})$/.exec(location.hash) ?? [];
  if (token) history.replaceState(null, '', location.pathname);
  return token ?? null;
}
