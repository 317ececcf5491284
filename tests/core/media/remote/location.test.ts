import { describe, expect, it } from 'vitest';
import { parseLocation, schemeOf } from '../../../../src/core/media/remote/location.js';

describe('schemeOf', () => {
  it('tells addresses from paths and texts', () => {
    expect(['HTTPS://a/b', 's3://a/b', 'file:/etc/x', 'a/b.png', 'C:\\a.png', 'a text: yes'].map(schemeOf)).toEqual([
      'https',
      's3',
      'file',
      null,
      null,
      null,
    ]);
  });
});

describe('parseLocation', () => {
  it('names what it fetches without the query, which may be a signature', () => {
    expect(parseLocation('https://cdn.example.org/a/b.png?X-Amz-Signature=abc#part')).toMatchObject({
      kind: 'https',
      name: 'b.png at cdn.example.org',
      url: { href: 'https://cdn.example.org/a/b.png?X-Amz-Signature=abc' },
    });
    expect(parseLocation('https://example.org')).toMatchObject({ name: 'example.org' });
  });

  it('takes keys as they are, with what would mean something in a URL', () => {
    expect(parseLocation('s3://my.bucket-1/a b/c?d#e%2e.png')).toMatchObject({
      kind: 's3',
      bucket: 'my.bucket-1',
      key: 'a b/c?d#e%2e.png',
    });
  });

  it.each([
    ['http://example.org/a.png', 'DATA_INVALID'],
    ['file:///etc/passwd', 'DATA_INVALID'],
    ['ftp://example.org/a', 'DATA_INVALID'],
    ['https://', 'DATA_INVALID'],
    ['https://exa mple.org/', 'DATA_INVALID'],
    [`https://example.org/${'a'.repeat(9000)}`, 'DATA_INVALID'],
    ['https://user@example.org/a.png', 'REMOTE_REFUSED'],
    ['https://user:secret@example.org/a.png', 'REMOTE_REFUSED'],
    ['https://example.org:secret@127.0.0.1/a.png', 'REMOTE_REFUSED'],
    ['s3://bucket', 'DATA_INVALID'],
    ['s3://bucket/', 'DATA_INVALID'],
    ['s3:///key', 'DATA_INVALID'],
    ['s3://Bucket/key', 'DATA_INVALID'],
    ['s3://b/key', 'DATA_INVALID'],
    ['s3://bucket/a\nb', 'DATA_INVALID'],
    [`s3://bucket/${'a'.repeat(1025)}`, 'DATA_INVALID'],
    ['s3://bucket/../other/key', 'REMOTE_REFUSED'],
    ['s3://bucket/a/../../key', 'REMOTE_REFUSED'],
    ['s3://bucket/./key', 'REMOTE_REFUSED'],
    ['s3://AKIAEXAMPLE:secret@bucket/key', 'REMOTE_REFUSED'],
  ])('refuses %s', (text, code) => {
    try {
      parseLocation(text);
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ code });
      expect(JSON.stringify([(error as Error).message, error])).not.toContain('secret');
    }
  });
});
