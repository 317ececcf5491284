import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { checkSignature, readSignature, signResources } from '../../../src/core/bundle/model-signing.js';
import { newKeyPair, readPrivateKey, readPublicKey } from '../../../src/core/bundle/signing-keys.js';
import { sha256Hex } from '../../../src/core/bytes/hash.js';
import { tempFolder } from '../../helpers/temp.js';

/** Made by PyPI model-signing, see make.py there. */
const GOLDEN = fileURLToPath(new URL('../../golden/model-signing/', import.meta.url));
const FILES = ['a.txt', 'sub.txt', 'sub/b.bin'];
const digestOf = (name: string) => sha256Hex(readFileSync(join(GOLDEN, 'model', name)));
const resources = FILES.map((name) => ({ name, digest: digestOf(name) }));

const pair = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });
const signed = (key: KeyObject) => signResources(resources, { name: 'model', key, ignored: ['model.sig'] });

describe('a signature of the reference implementation', () => {
  it.each(['p256', 'p384', 'p521'])('is read and proven with its key: %s', (name) => {
    const statement = readSignature(readFileSync(`${GOLDEN}${name}.sig`), `${name}.sig`);
    expect([...statement.resources].sort((a, b) => (a.name < b.name ? -1 : 1))).toEqual(resources);
    expect(statement.method).toBe('key');
    expect(checkSignature(statement, readPublicKey(`${GOLDEN}${name}.pub`), name)).toBe(true);
  });

  it('is not proven with the key of another', () => {
    const statement = readSignature(readFileSync(`${GOLDEN}p256.sig`), 'p256.sig');
    expect(checkSignature(statement, pair().publicKey, 'other')).toBe(false);
    expect(checkSignature({ ...statement, hint: null }, pair().publicKey, 'other')).toBe(false);
  });
});

describe('our signature', () => {
  it('is proven with the public key, and is the same for the same files and key', () => {
    const { privateKey, publicKey } = pair();
    const text = signed(privateKey);
    expect(signed(privateKey)).toBe(text);
    const statement = readSignature(Buffer.from(text), 'model.sig');
    expect(statement).toMatchObject({ method: 'key', resources });
    expect(checkSignature(statement, publicKey, 'key')).toBe(true);
  });

  it('is proven on the larger curves as well', () => {
    for (const namedCurve of ['P-384', 'P-521']) {
      const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve });
      const statement = readSignature(Buffer.from(signed(privateKey)), 'model.sig');
      expect(checkSignature(statement, publicKey, 'key')).toBe(true);
    }
  });

  it('is refused or not proven with any bit of it flipped', () => {
    const { privateKey, publicKey } = pair();
    const bytes = Buffer.from(signed(privateKey));
    const passed: number[] = [];
    for (let i = 0; i < bytes.length; i++) {
      const flipped = Buffer.from(bytes);
      flipped[i] ^= 1 << (i % 8);
      try {
        if (checkSignature(readSignature(flipped, 'model.sig'), publicKey, 'key')) passed.push(i);
      } catch (error) {
        expect(error).toMatchObject({ code: 'SIGNATURE_INVALID' });
      }
    }
    // What is left are names of fields that the specification does not need, and spaces between them.
    const text = bytes.toString();
    for (const i of passed) expect(text.slice(Math.max(0, i - 15), i + 15)).toMatch(/\s|hint|keyid|tlogEntries/);
  });
});

describe('a damaged or foreign signature', () => {
  const bundle = () => JSON.parse(signed(pair().privateKey));
  const payloadOf = (given: { dsseEnvelope: { payload: string } }) =>
    JSON.parse(Buffer.from(given.dsseEnvelope.payload, 'base64').toString());
  const withPayload = (change: (statement: ReturnType<typeof payloadOf>) => void) => {
    const given = bundle();
    const statement = payloadOf(given);
    change(statement);
    given.dsseEnvelope.payload = Buffer.from(JSON.stringify(statement)).toString('base64');
    return given;
  };
  it.each<[string, () => unknown]>([
    ['without an envelope', () => ({ ...bundle(), dsseEnvelope: undefined })],
    ['without verification material', () => ({ ...bundle(), verificationMaterial: undefined })],
    ['without a key or certificate', () => ({ ...bundle(), verificationMaterial: { tlogEntries: [] } })],
    [
      'of Sigstore without a log',
      () => ({ ...bundle(), verificationMaterial: { certificate: { rawBytes: 'AAAA' }, tlogEntries: [] } }),
    ],
    ['of another media type', () => ({ ...bundle(), mediaType: 'application/json' })],
    [
      'with two signatures',
      () => {
        const given = bundle();
        given.dsseEnvelope.signatures.push(given.dsseEnvelope.signatures[0]);
        return given;
      },
    ],
    ['with another predicate', () => withPayload((one) => (one.predicateType = 'https://example.com/wrong'))],
    ['with no files', () => withPayload((one) => (one.predicate.resources = []))],
    ['with a name that leads out', () => withPayload((one) => (one.predicate.resources[0].name = '../a'))],
    ['with a file twice', () => withPayload((one) => one.predicate.resources.push(one.predicate.resources[0]))],
    ['whose hashes do not come to its subject', () => withPayload((one) => (one.subject[0].digest.sha256 = '00'))],
    ['over links', () => withPayload((one) => (one.predicate.serialization.allow_symlinks = true))],
    ['by shards', () => withPayload((one) => (one.predicate.serialization.method = 'shards'))],
  ])('is refused: %s', (_, make) => {
    expect(() => readSignature(Buffer.from(JSON.stringify(make())), 'model.sig')).toThrow(
      expect.objectContaining({ code: 'SIGNATURE_INVALID' }),
    );
  });

  it('is not proven where its statement was changed', () => {
    const { privateKey, publicKey } = pair();
    const given = JSON.parse(signed(privateKey));
    const statement = payloadOf(given);
    statement.subject[0].name = 'another';
    given.dsseEnvelope.payload = Buffer.from(JSON.stringify(statement)).toString('base64');
    const read = readSignature(Buffer.from(JSON.stringify(given)), 'model.sig');
    expect(checkSignature(read, publicKey, 'key')).toBe(false);
  });
});

describe('keys', () => {
  const write = (name: string, pem: string, mode = 0o600) => {
    const path = join(tempFolder(), name);
    writeFileSync(path, pem);
    chmodSync(path, mode);
    return path;
  };
  const pem = (key: KeyObject) => key.export({ type: 'pkcs8', format: 'pem' }) as string;

  it('are made for each other', () => {
    const { privateKey, publicKey } = newKeyPair();
    const key = readPrivateKey(write('key.pem', privateKey));
    expect(createPublicKey(key).equals(readPublicKey(write('key.pub', publicKey)))).toBe(true);
  });

  it.skipIf(process.platform === 'win32').each([0o640, 0o604, 0o644])(
    'are refused where others may read them: %o',
    (mode) => {
      const path = write('key.pem', newKeyPair().privateKey, mode);
      expect(() => readPrivateKey(path)).toThrow(expect.objectContaining({ code: 'CREDENTIALS_INVALID' }));
    },
  );

  it.each<[string, () => string]>([
    ['Ed25519', () => pem(generateKeyPairSync('ed25519').privateKey)],
    ['RSA', () => pem(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey)],
    ['another curve', () => pem(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey)],
    ['no key', () => 'text'],
    ['a public key', () => newKeyPair().publicKey],
    [
      'a password',
      () =>
        generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
          type: 'pkcs8',
          format: 'pem',
          cipher: 'aes-256-cbc',
          passphrase: 'secret',
        }) as string,
    ],
  ])('are refused: %s', (_, make) => {
    expect(() => readPrivateKey(write('key.pem', make()))).toThrow(
      expect.objectContaining({ code: 'CREDENTIALS_INVALID' }),
    );
  });

  it('are refused as public ones where they are private', () => {
    expect(() => readPublicKey(write('key.pem', newKeyPair().privateKey))).toThrow(
      expect.objectContaining({ code: 'CREDENTIALS_INVALID' }),
    );
  });
});
