import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { parseJson } from '../bytes/json.js';
import { defineDocument } from '../documents/define.js';
import { sha256 } from '../documents/parts.js';
import { readWhole } from '../documents/read-whole.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import * as z from '../zod.js';
import { RequestError } from './failure.js';
import { SCOPES, type Scope } from './scopes.js';

const tokenSchema = z.strictObject({
  name: z.string().min(1).max(64),
  /** Of the token's text: the token itself is nowhere but with its owner. */
  sha256,
  scopes: z.array(z.enum(SCOPES)).min(1),
  /** ISO date, or date and time, from which on it is no longer taken. */
  not_after: z
    .string()
    .refine((text) => !Number.isNaN(Date.parse(text)), 'must be a date')
    .optional(),
  /** Rows a minute; more get 429. */
  rows_per_minute: z.int().positive().optional(),
});
export type TokenEntry = z.infer<typeof tokenSchema>;

export const tokensDocument = defineDocument('hpsv3/tokens@1', z.strictObject({ tokens: z.array(tokenSchema) }), {
  what: 'a file of tokens',
  made: 'hpsv3 serve token new',
  limit: LIMITS.configBytes,
});

/** Who asks: the name of a token, or the address where there are none. */
export interface Client {
  readonly name: string;
  readonly rowsPerMinute: number | null;
}

/** What a token begins with, so that scanners for secrets find one that has leaked. */
const PREFIX = 'hpsv3_';

/** A new token, and what of it may be kept. */
export function newToken(about: Omit<TokenEntry, 'sha256'>): { readonly token: string; readonly entry: TokenEntry } {
  const token = `${PREFIX}${randomBytes(32).toString('base64url')}`;
  return { token, entry: { ...about, sha256: hashOf(token).toString('hex') } };
}

/** Entries of a token file, also of one that is a bare list. @throws HpsError CONFIG_INVALID, FILE_NOT_FOUND */
export function readTokens(path: string): TokenEntry[] {
  const { name, bytes } = readWhole(path, {
    limit: LIMITS.configBytes,
    what: 'a file of tokens',
    made: tokensDocument.made,
  });
  const value = parseJson(bytes, { name });
  const parsed = Array.isArray(value) ? z.array(tokenSchema).safeParse(value) : tokensDocument.schema.safeParse(value);
  if (parsed.success) return 'tokens' in parsed.data ? [...parsed.data.tokens] : parsed.data;
  const [{ path: at, message }] = parsed.error.issues;
  throw new HpsError(
    'CONFIG_INVALID',
    `${name}: not a file of tokens: ${at.map(String).join('.') || 'the root'}: ${message}`,
    {
      hint: 'Write one with `hpsv3 serve token new NAME`.',
      details: { file: name },
    },
  );
}

/** The tokens that a server takes now. */
export class Tokens {
  constructor(private entries: readonly TokenEntry[]) {}

  /** From now on these alone are taken. */
  replace(entries: readonly TokenEntry[]): void {
    this.entries = entries;
  }

  /**
   * Who sends a request.
   * @param inPath - a token that stands in the path, for clients that can set no header
   * @throws RequestError UNAUTHENTICATED, FORBIDDEN
   */
  check(request: IncomingMessage, scope: Scope, inPath?: string): Client {
    const token = inPath ?? tokenOf(request);
    const hash = hashOf(token);
    // Every entry is compared, and in constant time: how long it takes says nothing of which one is near.
    const found = this.entries.filter((entry) => timingSafeEqual(Buffer.from(entry.sha256, 'hex'), hash));
    const live = found.find(({ not_after }) => not_after === undefined || Date.now() < Date.parse(not_after));
    if (!live) throw unauthenticated(found.length > 0 ? 'the token has expired' : 'the token is not known');
    if (!live.scopes.includes(scope)) {
      throw new RequestError('FORBIDDEN', `the token ${live.name} is not good for scope ${scope}`, {
        'www-authenticate': `Bearer realm="hpsv3", error="insufficient_scope", scope="${scope}"`,
      });
    }
    return { name: live.name, rowsPerMinute: live.rows_per_minute ?? null };
  }
}

const hashOf = (token: string): Buffer => createHash('sha256').update(token).digest();

/** `Authorization: Bearer TOKEN`, or `api-key: TOKEN`; of either one, and never from the query. */
function tokenOf({ headers, rawHeaders }: IncomingMessage): string {
  const names = rawHeaders.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
  const given = names.filter((name) => name === 'authorization' || name === 'api-key');
  if (given.length === 0) throw unauthenticated('a token is needed: Authorization: Bearer …');
  if (given.length > 1) throw unauthenticated('more than one token is given');
  const [name] = given;
  if (name === 'api-key') return String(headers[name]);
  const [, token] = /^bearer +([^\s,]+)$/i.exec(headers.authorization ?? '') ?? [];
  if (token === undefined) throw unauthenticated('the Authorization header is not Bearer and a token');
  return token;
}

const unauthenticated = (why: string): RequestError =>
  new RequestError('UNAUTHENTICATED', why, { 'www-authenticate': 'Bearer realm="hpsv3"' });
