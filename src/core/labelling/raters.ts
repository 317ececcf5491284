import { createHash, randomBytes } from 'node:crypto';
import { basename } from 'node:path';
import { FileSource } from '../bytes/source.js';
import { readJsonLines } from '../data/json-lines.js';
import { sha256 } from '../documents/parts.js';
import { HpsError } from '../errors.js';
import * as z from '../zod.js';
import { AppendLog } from './append-log.js';
import { RATER_ID } from './vote.js';

export const ROLES = ['rater', 'admin'] as const;
export type Role = (typeof ROLES)[number];

/** What happened to raters: nothing in it says who somebody is, and no secret stands in it but as its hash. */
const eventSchema = z.discriminatedUnion('event', [
  z.strictObject({
    event: z.literal('invite'),
    role: z.enum(ROLES),
    /** Null for whoever comes: the name is given then. */
    rater: z.string().regex(RATER_ID).nullable(),
    token_sha256: sha256,
    /** Milliseconds since 1970, from which on it is not taken. */
    not_after: z.number(),
  }),
  z.strictObject({
    event: z.literal('join'),
    role: z.enum(ROLES),
    rater: z.string().regex(RATER_ID).nullable(),
    /** Of the invitation that is used up by it; null where none was needed. */
    token_sha256: sha256.nullable(),
    cookie_sha256: sha256,
  }),
  z.strictObject({ event: z.literal('consent'), rater: z.string().regex(RATER_ID), consent: z.string() }),
  z.strictObject({
    event: z.literal('resume'),
    rater: z.string().regex(RATER_ID),
    /** Number of the last vote whose answer on gold does not count against the rater any more. */
    seq: z.int().min(0),
  }),
]);
export type RaterEvent = z.infer<typeof eventSchema>;

/** Who a cookie is. */
export interface Visitor {
  readonly role: Role;
  /** Null for an administrator. */
  readonly rater: string | null;
}

/** Secrets of 256 bits, as long as is needed and no longer. */
const newSecret = (): string => randomBytes(32).toString('base64url');
const hashOf = (secret: string): string => createHash('sha256').update(secret).digest('hex');

/** Invitations are good for this long. */
export const INVITATION_MS = 14 * 24 * 3600 * 1000;

/** The events of a file. A last line without newline was never acknowledged. @throws HpsError DATA_INVALID */
export async function readRaters(path: string): Promise<{ events: RaterEvent[]; length: number }> {
  const source = FileSource.open(path);
  try {
    const events: RaterEvent[] = [];
    let length = 0;
    for await (const { value, end, line } of readJsonLines(source)) {
      const parsed = eventSchema.safeParse(value);
      if (!parsed.success) {
        throw new HpsError('DATA_INVALID', `${basename(path)}, line ${line}: is no event of a rater`, {
          hint: 'Take the file from a backup.',
          details: { file: basename(path), line },
        });
      }
      events.push(parsed.data);
      length = end;
    }
    return { events, length };
  } finally {
    source.close();
  }
}

export const formatEvents = (events: readonly RaterEvent[]): string =>
  events.map((event) => `${JSON.stringify(event)}\n`).join('');

/** Who takes part in a session, by invitations and cookies of which only hashes are kept. */
export class Raters {
  private readonly invitations = new Map<string, Extract<RaterEvent, { event: 'invite' }>>();
  private readonly cookies = new Map<string, Visitor>();
  private readonly consents = new Map<string, string>();
  private readonly resumptions = new Map<string, number>();
  private readonly names = new Set<string>();

  private constructor(
    private readonly log: AppendLog,
    events: readonly RaterEvent[],
    /** Names that votes have. */
    known: Iterable<string>,
    private readonly now: () => number,
  ) {
    for (const name of known) this.names.add(name);
    for (const event of events) this.apply(event);
  }

  static async open(path: string, known: Iterable<string>, now = Date.now): Promise<Raters> {
    const { events, length } = await readRaters(path);
    return new Raters(await AppendLog.open(path, length), events, known, now);
  }

  /** Who sends this cookie; null for nobody. */
  visitor = (cookie: string | undefined): Visitor | null =>
    cookie === undefined ? null : (this.cookies.get(hashOf(cookie)) ?? null);

  consentOf = (rater: string): string | null => this.consents.get(rater) ?? null;

  /** Whether somebody has come by this name. */
  get joined(): ReadonlySet<string> {
    return new Set([...this.cookies.values()].flatMap(({ rater }) => rater ?? []));
  }

  /** A secret that lets one person in, once. */
  async invite(role: Role, rater: string | null): Promise<string> {
    const token = newSecret();
    await this.add({
      event: 'invite',
      role,
      rater,
      token_sha256: hashOf(token),
      not_after: this.now() + INVITATION_MS,
    });
    return token;
  }

  /** Makes the visitor a cookie; null for an invitation that is not there, has ended, or was used. */
  async join(token: string): Promise<{ readonly cookie: string; readonly visitor: Visitor } | null> {
    const found = this.invitations.get(hashOf(token));
    if (!found || found.not_after <= this.now()) return null;
    this.invitations.delete(found.token_sha256); // before anything is awaited: once is once
    try {
      return await this.enter(found.role, found.rater, found.token_sha256);
    } catch (error) {
      this.invitations.set(found.token_sha256, found);
      throw error;
    }
  }

  /** Lets somebody in without an invitation. */
  joinOpenly = () => this.enter('rater', null, null);

  async agree(rater: string, consent: string): Promise<void> {
    if (this.consents.get(rater) !== consent) await this.add({ event: 'consent', rater, consent });
  }

  /** Raters who were paused and may go on, each with the last vote whose answer on gold does not count any more. */
  get resumed(): ReadonlyMap<string, number> {
    return this.resumptions;
  }

  resume = (rater: string, seq: number): Promise<void> => this.add({ event: 'resume', rater, seq });

  close(): Promise<void> {
    return this.log.close();
  }

  private async enter(role: Role, named: string | null, tokenSha256: string | null) {
    const rater = role === 'admin' ? null : (named ?? this.freeName());
    const cookie = newSecret();
    await this.add({ event: 'join', role, rater, token_sha256: tokenSha256, cookie_sha256: hashOf(cookie) });
    return { cookie, visitor: { role, rater } };
  }

  private freeName(): string {
    let n = 1;
    while (this.names.has(`r${n}`)) n++;
    this.names.add(`r${n}`); // two may come at once
    return `r${n}`;
  }

  private async add(event: RaterEvent): Promise<void> {
    await this.log.append(() => `${JSON.stringify(event)}\n`);
    this.apply(event);
  }

  private apply(event: RaterEvent): void {
    if ('rater' in event && event.rater !== null) this.names.add(event.rater);
    if (event.event === 'invite') this.invitations.set(event.token_sha256, event);
    else if (event.event === 'consent') this.consents.set(event.rater, event.consent);
    else if (event.event === 'resume') this.resumptions.set(event.rater, event.seq);
    else {
      if (event.token_sha256 !== null) this.invitations.delete(event.token_sha256);
      this.cookies.set(event.cookie_sha256, { role: event.role, rater: event.rater });
    }
  }
}
