import { HpsError } from '../../errors.js';
import { type Credentials, encodeStrictly, signGet } from './sigv4.js';

/** How objects are asked for. */
export interface S3Access {
  readonly region: string;
  /** Of a compatible store; null for Amazon's. */
  readonly endpoint: URL | null;
  /** Null asks for public objects. */
  readonly credentials: Credentials | null;
}

const REGION = /^[a-z0-9-]{1,64}$/;
const DEFAULT_REGION = 'us-east-1';

/**
 * What the environment says, in the variables of Amazon's own tools: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
 * AWS_SESSION_TOKEN, AWS_REGION, AWS_DEFAULT_REGION, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL.
 * @throws HpsError USAGE for a region or an endpoint that is none
 */
export function s3AccessFromEnvironment(env: Readonly<Record<string, string | undefined>>): S3Access {
  const region = env.AWS_REGION || env.AWS_DEFAULT_REGION || DEFAULT_REGION;
  if (!REGION.test(region))
    throw invalidVariable('AWS_REGION', 'is not a region', 'Set it to a name such as eu-west-1.');
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN: token } = env;
  const sessionToken = token || undefined;
  const credentials = accessKeyId && secretAccessKey ? { accessKeyId, secretAccessKey, sessionToken } : null;
  return { region, endpoint: parseEndpoint(env.AWS_ENDPOINT_URL_S3 || env.AWS_ENDPOINT_URL), credentials };
}

function parseEndpoint(text: string | undefined): URL | null {
  if (text === undefined || text === '') return null;
  const url = URL.canParse(text) ? new URL(text) : null;
  const plain = url && (url.protocol === 'https:' || url.protocol === 'http:') && url.username + url.password === '';
  if (plain && url.search + url.hash === '') return url;
  throw invalidVariable(
    'AWS_ENDPOINT_URL_S3',
    'is not the address of a store',
    'Set it to https://HOST or http://HOST:PORT.',
  );
}

const invalidVariable = (variable: string, rule: string, hint: string): HpsError =>
  new HpsError('USAGE', `environment variable ${variable}: ${rule}`, { hint, details: { variable } });

/** Path style: a bucket with dots in its name has no certificate as a host. */
export function objectUrl({ endpoint, region }: S3Access, bucket: string, key: string): URL {
  const base = endpoint?.href.replace(/\/$/, '') ?? `https://s3.${region}.amazonaws.com`;
  return new URL(`${base}/${bucket}/${key.split('/').map(encodeStrictly).join('/')}`);
}

/** Headers of the request for an object, signed where there are credentials. */
export function objectHeaders(url: URL, { region, credentials }: S3Access, time: Date): Record<string, string> {
  return credentials ? signGet(url, {}, { credentials, region, time }) : {};
}

/** Answers that say that the credentials or the clock are wrong, for whatever object. */
const CREDENTIAL_CODES = new Set([
  'ExpiredToken',
  'InvalidAccessKeyId',
  'InvalidToken',
  'RequestTimeTooSkewed',
  'SignatureDoesNotMatch',
  'TokenRefreshRequired',
]);

/** The error for an answer that is not the object. @param body - the beginning of the answer, XML from most stores */
export function s3Failure(name: string, status: number, body: string): HpsError {
  const code = /<Code>([A-Za-z0-9.]{1,64})<\/Code>/.exec(body)?.[1];
  const said = code ?? `HTTP ${status}`;
  const details = { file: name, status, ...(code === undefined ? {} : { s3: code }) };
  if (code !== undefined && CREDENTIAL_CODES.has(code)) {
    return new HpsError('CREDENTIALS_INVALID', `${name}: the store does not take the credentials (${said})`, {
      hint: 'Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, and the clock of this machine.',
      details,
    });
  }
  if (status === 401 || status === 403) {
    return new HpsError('ACCESS_DENIED', `${name}: the store gives no access (${said})`, {
      hint: 'Check that the object is there, and that the credentials in the environment may read it.',
      details,
    });
  }
  const moved = status === 301 || status === 307 || code === 'AuthorizationHeaderMalformed';
  return new HpsError('REMOTE_FAILED', `${name}: the store answers ${said}`, {
    hint: moved ? 'Set AWS_REGION to the region of the bucket.' : 'Check the bucket and the key.',
    details,
  });
}
