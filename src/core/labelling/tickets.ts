import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import type { Kind } from './ballots.js';
import { SIDES, type Side } from './vote.js';

/** What a rater was given to judge. */
export interface Task {
  readonly rater: string;
  readonly kind: Kind;
  /** Digest of the pair's id. */
  readonly pair: string;
  /** Which of its sides stands first. */
  readonly first: Side;
}

const KINDS: readonly Kind[] = ['pair', 'gold', 'repeat'];
const IV_BYTES = 12;
const TAG_BYTES = 16;
export const KEY_BYTES = 32;

/**
 * Tasks as opaque texts that pages hold and send back with the vote: encrypted, so that no page can tell gold from other pairs, or
 * left from right, and authenticated, so that none can be made up. They outlive a restart of the server.
 */
export class Tickets {
  constructor(private readonly key: Uint8Array) {}

  seal({ rater, kind, pair, first }: Task): string {
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.key, iv);
    // Of equal length whatever the kind and the side are: a length could tell them apart.
    const plain = `${kind[0]}${first[0]}${pair}${rater}`;
    const text = Buffer.concat([cipher.update(plain), cipher.final()]);
    return Buffer.concat([iv, cipher.getAuthTag(), text]).toString('base64url');
  }

  /** Null for anything that was not sealed with this key. */
  open(ticket: string): Task | null {
    const bytes = Buffer.from(ticket, 'base64url');
    if (bytes.length <= IV_BYTES + TAG_BYTES) return null;
    try {
      const decipher = createDecipheriv('aes-256-gcm', this.key, bytes.subarray(0, IV_BYTES));
      decipher.setAuthTag(bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES));
      const text = Buffer.concat([decipher.update(bytes.subarray(IV_BYTES + TAG_BYTES)), decipher.final()]);
      const plain = text.toString();
      const [kind, first] = [KINDS.find((one) => one[0] === plain[0]), SIDES.find((one) => one[0] === plain[1])];
      const rater = plain.slice(2 + DIGEST_LENGTH);
      return kind && first ? { rater, kind, pair: plain.slice(2, 2 + DIGEST_LENGTH), first } : null;
    } catch {
      return null;
    }
  }
}

const DIGEST_LENGTH = 22;
export const pairDigest = (id: string): string =>
  createHash('sha256').update(id).digest('base64url').slice(0, DIGEST_LENGTH);

/** Which side stands first: a coin for every rater and pair, the same whenever it is tossed. */
export function drawFirst(seed: number, rater: string, pair: string): Side {
  const digest = createHash('sha256')
    .update(JSON.stringify([seed, rater, pair]))
    .digest();
  return (digest[0] & 1) === 0 ? 'left' : 'right';
}

export const otherSide = (side: Side): Side => (side === 'left' ? 'right' : 'left');
