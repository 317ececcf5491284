import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { statSync } from 'node:fs';
import { basename } from 'node:path';
import { readWhole } from '../documents/read-whole.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { hashOfKey } from './model-signing.js';

/** What others may do with a file: anything is too much for a private key. */
const OTHERS = 0o077;

/** A new key pair on the curve P-256, as PEM. */
export function newKeyPair(): { readonly privateKey: string; readonly publicKey: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }) as string,
  };
}

/**
 * Reads a private key that signs models.
 * @throws HpsError CREDENTIALS_INVALID for a key that others can read, a key that is protected by a password, one of another kind, or what
 *   is no key
 */
export function readPrivateKey(path: string): KeyObject {
  const name = basename(path);
  const text = readPem(path);
  const { mode } = statSync(path);
  if (process.platform !== 'win32' && (mode & OTHERS) !== 0) {
    throw invalidKey(
      name,
      `can be read or written by others (mode ${(mode & 0o777).toString(8)})`,
      `Run \`chmod 600\` on it.`,
    );
  }
  return checked(name, () => createPrivateKey(text));
}

/** Reads a public key, or the public part of a certificate. @throws HpsError CREDENTIALS_INVALID as `readPrivateKey` */
export function readPublicKey(path: string): KeyObject {
  const name = basename(path);
  const text = readPem(path);
  if (/PRIVATE KEY/.test(text)) {
    throw invalidKey(name, 'is a private key', 'Give the public key: a private one stays where it was made.');
  }
  return checked(name, () => createPublicKey(text));
}

function checked(name: string, open: () => KeyObject): KeyObject {
  let key: KeyObject;
  try {
    key = open();
  } catch {
    throw invalidKey(name, 'is no key in PEM, or is protected by a password', 'Make one with `hpsv3 release keygen`.');
  }
  hashOfKey(key, name);
  return key;
}

const readPem = (path: string): string =>
  Buffer.from(
    readWhole(path, {
      limit: LIMITS.configBytes,
      what: 'a key',
      hint: 'Make one with `hpsv3 release keygen`.',
      code: 'CREDENTIALS_INVALID',
    }).bytes,
  ).toString();

const invalidKey = (file: string, rule: string, hint: string): HpsError =>
  new HpsError('CREDENTIALS_INVALID', `${file}: ${rule}`, { hint, details: { file, rule } });
