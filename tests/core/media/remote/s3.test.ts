import { describe, expect, it } from 'vitest';
import { objectHeaders, objectUrl, s3AccessFromEnvironment, s3Failure } from '../../../../src/core/media/remote/s3.js';
import { signGet } from '../../../../src/core/media/remote/sigv4.js';

// Vectors: Amazon S3 API Reference, "Signature Calculations for the Authorization Header", the GET examples.
const credentials = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
};
const options = { credentials, region: 'us-east-1', time: new Date('2013-05-24T00:00:00Z') };

describe('signGet', () => {
  it.each([
    ['/test.txt', { range: 'bytes=0-9' }, 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41'],
    ['/?lifecycle', {}, 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543'],
    ['/?max-keys=2&prefix=J', {}, '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7'],
  ])('signs %s as Amazon does', (path, headers, signature) => {
    const signed = signGet(new URL(`https://examplebucket.s3.amazonaws.com${path}`), headers, options);
    expect(signed.authorization).toContain(`Signature=${signature}`);
    expect(signed.authorization).toContain('Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request');
  });

  it('signs the token of temporary credentials too', () => {
    const signed = signGet(
      new URL('https://h/k'),
      {},
      { ...options, credentials: { ...credentials, sessionToken: 't' } },
    );
    expect(signed['x-amz-security-token']).toBe('t');
    expect(signed.authorization).toContain('x-amz-date;x-amz-security-token');
  });
});

describe('s3AccessFromEnvironment', () => {
  it('reads the variables of the tools of Amazon', () => {
    expect(s3AccessFromEnvironment({})).toEqual({ region: 'us-east-1', endpoint: null, credentials: null });
    expect(
      s3AccessFromEnvironment({
        AWS_ACCESS_KEY_ID: 'a',
        AWS_SECRET_ACCESS_KEY: 'b',
        AWS_SESSION_TOKEN: 'c',
        AWS_DEFAULT_REGION: 'eu-west-1',
        AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:9000',
      }),
    ).toEqual({
      region: 'eu-west-1',
      endpoint: new URL('http://127.0.0.1:9000/'),
      credentials: { accessKeyId: 'a', secretAccessKey: 'b', sessionToken: 'c' },
    });
  });

  it.each([
    { AWS_REGION: 'evil.example.org/' },
    { AWS_ENDPOINT_URL_S3: 'ftp://x' },
    { AWS_ENDPOINT_URL_S3: 'https://user:secret@x' },
    { AWS_ENDPOINT_URL: 'nothing' },
  ])('refuses %o', (env) => {
    expect(() => s3AccessFromEnvironment(env)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });
});

describe('objects', () => {
  const access = s3AccessFromEnvironment({ AWS_REGION: 'eu-west-1' });

  it('are asked for in path style, their keys percent-encoded', () => {
    expect(objectUrl(access, 'my.bucket', "a b/c?d#e%2e+ü!'().png").href).toBe(
      'https://s3.eu-west-1.amazonaws.com/my.bucket/a%20b/c%3Fd%23e%252e%2B%C3%BC%21%27%28%29.png',
    );
    const store = { ...access, endpoint: new URL('http://127.0.0.1:9000/base/') };
    expect(objectUrl(store, 'bucket', 'k').href).toBe('http://127.0.0.1:9000/base/bucket/k');
  });

  it('are asked for without a signature where there are no credentials', () => {
    expect(objectHeaders(new URL('https://h/k'), access, new Date())).toEqual({});
  });

  it.each([
    [403, '<Error><Code>SignatureDoesNotMatch</Code></Error>', 'CREDENTIALS_INVALID', 4],
    [400, '<Error><Code>ExpiredToken</Code></Error>', 'CREDENTIALS_INVALID', 4],
    [403, '<Error><Code>AccessDenied</Code></Error>', 'ACCESS_DENIED', 4],
    [401, '', 'ACCESS_DENIED', 4],
    [404, '<Error><Code>NoSuchKey</Code></Error>', 'REMOTE_FAILED', 2],
    [301, '<Error><Code>PermanentRedirect</Code></Error>', 'REMOTE_FAILED', 2],
    [503, 'busy', 'REMOTE_FAILED', 2],
  ])('give for %i %s the code %s', (status, body, code, exitCode) => {
    expect(s3Failure('k in bucket', status, body)).toMatchObject({ code, exitCode });
  });
});
