import { createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { p256 } from '@noble/curves/nist.js';
import { sha256Hex } from '../bytes/hash.js';
import { parseJson } from '../bytes/json.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import * as z from '../zod.js';

/** The file a signature is written to. */
export const SIGNATURE_FILE = 'model.sig';

const MEDIA_TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json';
const PAYLOAD_TYPE = 'application/vnd.in-toto+json';
const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1';
const PREDICATE_TYPE = 'https://model_signing/signature/v1.0';
/** Excluded by the specification (6.2), at the top of the folder. */
const ALWAYS_IGNORED = ['.git', '.gitattributes', '.github', '.gitignore'];

/** A file that is signed. */
export interface SignedResource {
  /** From the folder that is signed, with `/`. */
  readonly name: string;
  /** SHA-256, hexadecimal. */
  readonly digest: string;
}

/** Names of elliptic curves as OpenSSL has them, and the hash that goes with each. */
const CURVES: Readonly<Record<string, string>> = { prime256v1: 'sha256', secp384r1: 'sha384', secp521r1: 'sha512' };

/**
 * The hash for signatures of a key.
 * @throws HpsError CREDENTIALS_INVALID for a key of another kind than elliptic, or on another curve
 */
export function hashOfKey(key: KeyObject, file: string): string {
  const curve = key.asymmetricKeyType === 'ec' ? key.asymmetricKeyDetails?.namedCurve : undefined;
  const hash = curve === undefined ? undefined : CURVES[curve];
  if (hash !== undefined) return hash;
  throw new HpsError(
    'CREDENTIALS_INVALID',
    `${file}: a key of the kind ${curve ?? key.asymmetricKeyType ?? 'secret'} signs no model`,
    {
      hint: 'Make one with `hpsv3 release keygen`: elliptic, on the curve P-256.',
      details: { file, kind: curve ?? key.asymmetricKeyType },
    },
  );
}

/** By what a signature names its key: the hash of its PEM. */
const hintOf = (publicKey: KeyObject): string =>
  sha256Hex(Buffer.from(publicKey.export({ type: 'spki', format: 'pem' }) as string));

/**
 * Signs files as the OpenSSF Model Signing specification 1.0 says: the hashes of all files, as an in-toto statement in a DSSE envelope in a
 * Sigstore bundle, with a key and without any service. On P-256 the same files and key give the same signature (RFC 6979).
 *
 * @param name - what the statement calls the model
 * @param ignored - paths that are left out, besides those of the specification
 * @returns the text of `model.sig`
 */
export function signResources(
  resources: readonly SignedResource[],
  { name, key, ignored }: { readonly name: string; readonly key: KeyObject; readonly ignored: readonly string[] },
): string {
  const hash = hashOfKey(key, 'the key');
  const sorted = [...resources].sort(byCodePoints);
  const statement = {
    _type: STATEMENT_TYPE,
    subject: [{ name, digest: { sha256: rootDigest(sorted.map(({ digest }) => digest)) } }],
    predicateType: PREDICATE_TYPE,
    predicate: {
      serialization: {
        method: 'files',
        hash_type: 'sha256',
        allow_symlinks: false,
        ignore_paths: [...ALWAYS_IGNORED, ...ignored].sort(),
      },
      resources: sorted.map((resource) => ({ name: resource.name, algorithm: 'sha256', digest: resource.digest })),
    },
  };
  const payload = Buffer.from(JSON.stringify(statement));
  const bundle = {
    mediaType: MEDIA_TYPE,
    verificationMaterial: { publicKey: { hint: hintOf(createPublicKey(key)) }, tlogEntries: [] },
    dsseEnvelope: {
      payload: payload.toString('base64'),
      payloadType: PAYLOAD_TYPE,
      signatures: [{ sig: ecdsa(preAuthentication(payload), key, hash).toString('base64'), keyid: '' }],
    },
  };
  return `${JSON.stringify(bundle, null, 2)}\n`;
}

/** In DER. OpenSSL signs with a random number, and an archive with such a signature would never be the same twice. */
function ecdsa(message: Uint8Array, key: KeyObject, hash: string): Buffer {
  if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') return sign(hash, message, key);
  const secret = Buffer.from(key.export({ format: 'jwk' }).d as string, 'base64url');
  return Buffer.from(p256.sign(message, secret, { format: 'der', lowS: false }));
}

/** What a signature states of a model; whether it is true, `checkSignature` finds. */
export interface SignedStatement {
  readonly resources: readonly SignedResource[];
  readonly ignored: readonly string[];
  /** How the signature can be proven: by a key, a chain of certificates, or a certificate and a transparency log. */
  readonly method: 'key' | 'certificate' | 'sigstore';
  /** Of the bytes that are signed. */
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
  readonly hint: string | null;
}

const base64 = z.string().refine((text) => Buffer.from(text, 'base64').toString('base64') === text, 'is not base64');
const material = z.looseObject({
  publicKey: z.looseObject({ hint: z.string().nullish(), rawBytes: z.string().optional() }).optional(),
  x509CertificateChain: z.looseObject({ certificates: z.array(z.looseObject({ rawBytes: base64 })).min(1) }).optional(),
  certificate: z.looseObject({ rawBytes: base64 }).optional(),
  tlogEntries: z.array(z.looseObject({})).optional(),
});
const bundleSchema = z.looseObject({
  mediaType: z.literal(MEDIA_TYPE),
  verificationMaterial: material,
  dsseEnvelope: z.strictObject({
    payload: base64,
    payloadType: z.literal(PAYLOAD_TYPE),
    signatures: z.array(z.strictObject({ sig: base64, keyid: z.literal('').nullish() })).length(1),
  }),
});
const hex = z.string().regex(/^[0-9a-f]+$/);
const plainPath = z
  .string()
  .min(1)
  .refine((path) => path.split('/').every((part) => !['', '.', '..'].includes(part)), 'is not a plain relative path');
const statementSchema = z.looseObject({
  _type: z.literal(STATEMENT_TYPE),
  subject: z.array(z.looseObject({ name: z.string(), digest: z.looseObject({ sha256: hex }) })).length(1),
  predicateType: z.literal(PREDICATE_TYPE),
  predicate: z.looseObject({
    serialization: z.looseObject({
      method: z.enum(['files', 'shards']),
      hash_type: z.string(),
      allow_symlinks: z.boolean(),
      ignore_paths: z.array(z.string()).optional(),
    }),
    resources: z.array(z.looseObject({ name: plainPath, digest: hex, algorithm: z.string() })).min(1),
  }),
});

/**
 * Reads a signature of the specification.
 *
 * @param file - what errors call it
 * @throws HpsError SIGNATURE_INVALID for anything that breaks the specification, whose parts disagree, or that serializes otherwise than by
 *   files and SHA-256
 */
export function readSignature(bytes: Uint8Array, file: string): SignedStatement {
  const bundle = parsed(bundleSchema, bytes, file);
  const { verificationMaterial, dsseEnvelope } = bundle;
  const payload = Buffer.from(dsseEnvelope.payload, 'base64');
  const { subject, predicate } = parsed(statementSchema, payload, file);
  const { method, hash_type: hashType, allow_symlinks: links, ignore_paths: ignored = [] } = predicate.serialization;
  if (
    method !== 'files' ||
    hashType !== 'sha256' ||
    predicate.resources.some(({ algorithm }) => algorithm !== 'sha256')
  ) {
    throw invalid(file, `is made by ${method} and ${hashType}: only files and sha256 are checked here`);
  }
  if (links) throw invalid(file, 'is made over symbolic links');
  const resources = predicate.resources.map(({ name, digest }) => ({ name, digest }));
  if (new Set(resources.map(({ name }) => name)).size < resources.length) throw invalid(file, 'names a file twice');
  if (rootDigest(resources.map(({ digest }) => digest)) !== subject[0].digest.sha256) {
    throw invalid(file, 'its hashes do not come to the hash of its subject');
  }
  return {
    resources,
    ignored,
    method: methodOf(verificationMaterial, file),
    payload,
    signature: Buffer.from(dsseEnvelope.signatures[0].sig, 'base64'),
    hint: verificationMaterial.publicKey?.hint ?? null,
  };
}

function methodOf(given: z.output<typeof material>, file: string): SignedStatement['method'] {
  if (given.publicKey) return 'key';
  if (given.x509CertificateChain) return 'certificate';
  if (!given.certificate) throw invalid(file, 'verificationMaterial: names neither a key nor a certificate');
  if (!given.tlogEntries?.length)
    throw invalid(file, 'verificationMaterial: a certificate of Sigstore needs tlogEntries');
  return 'sigstore';
}

/**
 * Whether a signature was made with the private part of a key, over what it states.
 * @throws HpsError CREDENTIALS_INVALID for a key that signs no models
 */
export function checkSignature(
  { payload, signature, hint }: SignedStatement,
  publicKey: KeyObject,
  file: string,
): boolean {
  const hash = hashOfKey(publicKey, file);
  if (hint !== null && hint !== hintOf(publicKey)) return false;
  return verify(hash, preAuthentication(payload), publicKey, signature);
}

/** Whether a path is left out of a signature: by the specification, or by the signature itself. */
export const isIgnored = (path: string, ignored: readonly string[]): boolean =>
  [...ALWAYS_IGNORED, ...ignored].some((one) => path === one || path.startsWith(`${one}/`));

/** DSSE's pre-authentication encoding. */
const preAuthentication = (payload: Uint8Array): Uint8Array =>
  Buffer.concat([Buffer.from(`DSSEv1 ${PAYLOAD_TYPE.length} ${PAYLOAD_TYPE} ${payload.byteLength} `), payload]);

const rootDigest = (digests: readonly string[]): string => {
  const hash = createHash('sha256');
  for (const digest of digests) hash.update(digest, 'hex');
  return hash.digest('hex');
};

/** The order that UTF-8 bytes have, which is that of code points. */
const byCodePoints = (a: SignedResource, b: SignedResource): number =>
  Buffer.compare(Buffer.from(a.name), Buffer.from(b.name));

function parsed<S extends z.ZodType>(schema: S, bytes: Uint8Array, file: string): z.output<S> {
  let value: unknown;
  try {
    value = parseJson(bytes, { name: file, maxBytes: LIMITS.reportBytes });
  } catch (error) {
    if (error instanceof HpsError) throw invalid(file, 'is not JSON');
    throw error;
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw invalid(file, `${issue.path.map(String).join('.') || 'the root'}: ${issue.message}`);
}

const invalid = (file: string, rule: string): HpsError =>
  new HpsError('SIGNATURE_INVALID', `${file}: ${rule}`, {
    hint: 'A signature is what `hpsv3 release sign`, or another program for OpenSSF Model Signing 1.0, wrote.',
    details: { file, rule },
  });
