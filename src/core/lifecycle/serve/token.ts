import { existsSync } from 'node:fs';
import { withAtomicOutput } from '../../bytes/output.js';
import { formatDocument } from '../../documents/define.js';
import { HpsError } from '../../errors.js';
import type { Scope } from '../../serving/scopes.js';
import { newToken, readTokens } from '../../serving/tokens.js';

export interface NewTokenOptions {
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** Path of the token file; made where there is none. */
  readonly tokens: string;
  /** ISO date, or date and time. */
  readonly notAfter?: string;
  readonly rowsPerMinute?: number;
}

export interface NewTokenReport {
  readonly name: string;
  /** Shown once: the file holds its hash alone. */
  readonly token: string;
  readonly scopes: readonly Scope[];
  readonly notAfter: string | null;
}

/**
 * Makes a token and adds its hash to a file of tokens. Several may have one name, so that a new one is there before the old one goes.
 * @throws HpsError CONFIG_INVALID for a file that is none of tokens, USAGE for a date that is none
 */
export async function createToken(options: NewTokenOptions): Promise<NewTokenReport> {
  const { name, scopes, tokens: path, notAfter, rowsPerMinute } = options;
  if (notAfter !== undefined && Number.isNaN(Date.parse(notAfter))) {
    throw new HpsError('USAGE', `${JSON.stringify(notAfter)} is not a date`, { hint: 'Write it as 2027-01-31.' });
  }
  const { token, entry } = newToken({ name, scopes: [...scopes], not_after: notAfter, rows_per_minute: rowsPerMinute });
  const before = existsSync(path) ? readTokens(path) : [];
  await withAtomicOutput(path, { force: true }, (output) =>
    output.writeFile(output.name, formatDocument({ schema: 'hpsv3/tokens@1', tokens: [...before, entry] })),
  );
  return { name, token, scopes, notAfter: notAfter ?? null };
}
