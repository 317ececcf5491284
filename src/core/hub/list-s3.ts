import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { objectUrl, type S3Access, s3Failure } from '../media/remote/s3.js';
import { encodeStrictly, signGet } from '../media/remote/sigv4.js';
import { type Address, isPlainPath } from './address.js';
import { type Client, type ClientRequest, changed, failed } from './client.js';
import { versionOf } from './list-https.js';
import type { ListedFile, Listing } from './listing.js';
import type { RemoteEntry } from './remote-file.js';

export type BucketAddress = Extract<Address, { kind: 's3' }>;

interface StoredObject {
  readonly key: string;
  readonly byteLength: number;
}

/** An object of a bucket with those beside it, or a folder of them. */
export async function listBucket(client: Client, access: S3Access, address: BucketAddress): Promise<Listing> {
  const bucket = new Bucket(client, access, address.bucket);
  const { key } = address;
  const label = `s3://${address.bucket}${key === '' ? '' : `/${key}`}`;
  const inside = await bucket.list(key === '' ? '' : `${key}/`);
  if (inside !== null && inside.length > 0) {
    const root = lastOf(key) || address.bucket;
    return { label, root, target: '', files: filesOf(bucket, inside, key === '' ? '' : `${key}/`) };
  }
  const folder = key.slice(0, key.lastIndexOf('/') + 1);
  const beside = await bucket.list(folder, '/');
  const root = lastOf(folder.replace(/\/$/, '')) || address.bucket;
  if (beside === null)
    return { label, root, target: lastOf(key), files: [{ path: lastOf(key), entry: await bucket.only(key) }] };
  if (!beside.some((each) => each.key === key)) {
    throw new HpsError('FILE_NOT_FOUND', `${lastOf(key)} in ${address.bucket}: no such object`, {
      hint: 'Check the bucket and the key.',
      details: { bucket: address.bucket },
    });
  }
  return { label, root, target: lastOf(key), files: filesOf(bucket, beside, folder) };
}

const lastOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

function filesOf(bucket: Bucket, objects: readonly StoredObject[], prefix: string): ListedFile[] {
  return objects
    .map((object) => ({ path: object.key.slice(prefix.length), entry: bucket.entry(object) }))
    .filter(({ path }) => path !== '' && isPlainPath(path))
    .slice(0, LIMITS.hubFiles);
}

class Bucket {
  constructor(
    private readonly client: Client,
    private readonly access: S3Access,
    private readonly bucket: string,
  ) {}

  /** Objects whose keys begin so; null where they may be read, but not listed. */
  async list(prefix: string, delimiter?: string): Promise<StoredObject[] | null> {
    const objects: StoredObject[] = [];
    let token: string | undefined;
    do {
      const url = objectUrl(this.access, this.bucket, '');
      const query = {
        'list-type': '2',
        prefix,
        ...(delimiter ? { delimiter } : {}),
        ...(token ? { 'continuation-token': token } : {}),
      };
      url.search = Object.entries(query)
        .map((pair) => pair.map(encodeStrictly).join('='))
        .sort()
        .join('&');
      const name = `bucket ${this.bucket}`;
      const reply = await this.client.get(this.request(url, name));
      const text = Buffer.from(reply.bytes).toString('utf8');
      if (reply.status === 403 && /<Code>AccessDenied<\/Code>/.test(text)) return null;
      if (reply.status !== 200) throw s3Failure(name, reply.status, text);
      for (const [, content] of text.matchAll(/<Contents>(.*?)<\/Contents>/gs)) {
        const size = Number(/<Size>(\d+)<\/Size>/.exec(content)?.[1]);
        const key = unescaped(/<Key>(.*?)<\/Key>/s.exec(content)?.[1] ?? '');
        if (key.startsWith(prefix) && Number.isSafeInteger(size)) objects.push({ key, byteLength: size });
      }
      token = /<IsTruncated>true<\/IsTruncated>/.test(text)
        ? unescaped(/<NextContinuationToken>(.*?)<\/NextContinuationToken>/s.exec(text)?.[1] ?? '')
        : '';
    } while (token !== '' && objects.length < LIMITS.hubFiles);
    return objects;
  }

  /** One object, where nothing else can be asked for. */
  async only(key: string): Promise<RemoteEntry> {
    const name = this.named(key);
    const reply = await this.client.get({
      ...this.request(objectUrl(this.access, this.bucket, key), name),
      range: { start: 0, end: 1, size: null },
    });
    const size = Number(
      /\/(\d+)$/.exec(String(reply.headers['content-range'] ?? ''))?.[1] ?? reply.headers['content-length'],
    );
    if (reply.status !== 206 && reply.status !== 200)
      throw s3Failure(name, reply.status, Buffer.from(reply.bytes).toString('latin1'));
    if (!Number.isSafeInteger(size)) throw failed(name, 'the store does not say how long it is');
    return this.entry({ key, byteLength: size });
  }

  entry({ key, byteLength }: StoredObject): RemoteEntry {
    const name = this.named(key);
    const url = objectUrl(this.access, this.bucket, key);
    let seen: string | null = null;
    return {
      name,
      address: `s3://${this.bucket}/${key}`,
      byteLength,
      sha256: null,
      fetch: async (start, end) => {
        const reply = await this.client.get({ ...this.request(url, name), range: { start, end, size: byteLength } });
        const { status, bytes } = reply;
        if (status === 416) throw changed(name);
        if (status !== 206 && status !== 200) throw s3Failure(name, status, Buffer.from(bytes).toString('latin1'));
        const now = versionOf(reply.headers);
        if (seen !== null && now !== null && now !== seen) throw changed(name);
        seen ??= now;
        return { start: status === 206 ? start : 0, bytes };
      },
    };
  }

  private named(key: string): string {
    return `${lastOf(key)} in ${this.bucket}`;
  }

  private request(url: URL, name: string): ClientRequest {
    const { credentials, region, endpoint } = this.access;
    return {
      url,
      name,
      trusted: endpoint !== null,
      follow: false,
      sign: (headers) =>
        credentials ? signGet(url, headers, { credentials, region, time: new Date() }) : { ...headers },
    };
  }
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/** Text of XML as it is meant. */
const unescaped = (text: string): string =>
  text.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|(\w+));/gi, (whole, decimal, hex, name) => {
    if (name !== undefined) return ENTITIES[name] ?? whole;
    const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
