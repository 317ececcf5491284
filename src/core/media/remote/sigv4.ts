import { createHash, createHmac } from 'node:crypto';

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Of temporary credentials. */
  readonly sessionToken?: string;
}

export interface SignOptions {
  readonly credentials: Credentials;
  readonly region: string;
  readonly time: Date;
}

const SERVICE = 's3';
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();

/** Percent-encoding of all but unreserved characters (RFC 3986), which `encodeURIComponent` does for all but five. */
export const encodeStrictly = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

/**
 * The headers of a GET without body, those that sign it included.
 * @param url - its path and query percent-encoded by `encodeStrictly`
 * @param headers - more headers to sign, their names in lower case
 * @see Amazon S3, "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)"
 */
export function signGet(
  url: URL,
  headers: Readonly<Record<string, string>>,
  { credentials, region, time }: SignOptions,
): Record<string, string> {
  const { accessKeyId, secretAccessKey, sessionToken } = credentials;
  const timestamp = time.toISOString().replace(/[-:]|\.\d{3}/g, '');
  const scope = [timestamp.slice(0, 8), region, SERVICE, 'aws4_request'];
  const payload = sha256('');
  const signed: Record<string, string> = {
    ...headers,
    host: url.host,
    'x-amz-content-sha256': payload,
    'x-amz-date': timestamp,
    ...(sessionToken === undefined ? {} : { 'x-amz-security-token': sessionToken }),
  };
  const names = Object.keys(signed).sort();
  const query = [...url.searchParams].map((pair) => pair.map(encodeStrictly).join('=')).sort();
  const canonical = [
    'GET',
    url.pathname,
    query.join('&'),
    ...names.map((name) => `${name}:${signed[name].trim()}`),
    '',
    names.join(';'),
    payload,
  ].join('\n');
  const toSign = ['AWS4-HMAC-SHA256', timestamp, scope.join('/'), sha256(canonical)].join('\n');
  const key = scope.reduce<string | Buffer>(hmac, `AWS4${secretAccessKey}`);
  const signature = hmac(key, toSign).toString('hex');
  const authorization = `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope.join('/')},SignedHeaders=${names.join(';')},Signature=${signature}`;
  return { ...signed, authorization };
}
