import { isJsonObject, type JsonValue, parseJson } from '../bytes/json.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { type Address, isPlainPath } from './address.js';
import { type Client, changed, failed, type Reply } from './client.js';
import type { HubAccess } from './environment.js';
import type { Fetched, RemoteEntry } from './remote-file.js';

export type HubAddress = Extract<Address, { kind: 'hf' }>;

/** A repository at one commit. */
export interface Snapshot {
  readonly commit: string;
  readonly files: readonly HubFile[];
}

/** A file as the Hub lists it. */
export interface HubFile {
  /** In the repository, with slashes. */
  readonly path: string;
  /** Null where the list does not say. */
  readonly byteLength: number | null;
  /** Of a large file (LFS). */
  readonly sha256: string | null;
  /** Names its content: the sha256 of a large file, git's own of a small one; null where the list does not say. */
  readonly etag: string | null;
}

export const COMMIT = /^[0-9a-f]{40}$/;
const SHA256 = /^[0-9a-f]{64}$/;

/** One repository of the Hub: what lies in it, by the routes of its API, and its files, by `resolve`. */
export class HubRepository {
  constructor(
    private readonly client: Client,
    private readonly access: HubAccess,
    private readonly address: HubAddress,
  ) {}

  /** `org/name`, for errors. */
  private get name(): string {
    return this.address.repo;
  }

  /** Which commit the revision is now, and what lies in it. */
  async snapshot(): Promise<Snapshot> {
    const { revision } = this.address;
    const info = this.json(await this.api(`revision/${encodeURIComponent(revision ?? 'main')}`));
    const commit = isJsonObject(info) ? info.sha : undefined;
    if (typeof commit !== 'string' || !COMMIT.test(commit))
      throw failed(this.name, 'the Hub does not say which commit it is at');
    if (revision !== null && COMMIT.test(revision) && revision !== commit)
      throw failed(this.name, 'the Hub answers with another commit than was asked for');
    const files = (await this.tree(commit)) ?? siblingsOf(info);
    return { commit, files: files.filter(({ path }) => isPlainPath(path)).slice(0, LIMITS.hubFiles) };
  }

  /** What the list does not say of a file, from the headers of the file itself. */
  async head(
    path: string,
    commit: string,
  ): Promise<{ readonly byteLength: number; readonly sha256: string | null; readonly etag: string | null }> {
    const reply = await this.client.get({ ...this.request(path, commit), method: 'HEAD', follow: false });
    if (reply.status >= 400) throw this.failure(reply, path);
    const size = Number(reply.headers['x-linked-size'] ?? reply.headers['content-length']);
    if (!Number.isSafeInteger(size)) throw failed(this.named(path), 'the Hub does not say how long it is');
    const etag = etagOf(reply.headers['x-linked-etag'] ?? reply.headers.etag);
    return { byteLength: size, sha256: etag !== null && SHA256.test(etag) ? etag : null, etag };
  }

  entry(file: HubFile & { readonly byteLength: number }, commit: string): RemoteEntry {
    const { path, byteLength, sha256 } = file;
    return {
      name: this.named(path),
      address: `${this.label(commit)}/${path}`,
      byteLength,
      sha256,
      fetch: async (start, end): Promise<Fetched> => {
        const reply = await this.client.get({ ...this.request(path, commit), range: { start, end, size: byteLength } });
        const { status, bytes, first } = reply;
        if (status !== 206 && status !== 200) throw this.failure(reply, path);
        const at = first['x-repo-commit'];
        const linked = etagOf(first['x-linked-etag']);
        if (
          (typeof at === 'string' && at !== commit) ||
          (sha256 !== null && linked !== null && SHA256.test(linked) && linked !== sha256)
        )
          throw changed(this.named(path));
        return { start: status === 206 ? start : 0, bytes };
      },
    };
  }

  /** The address of the repository, pinned. */
  label(commit: string): string {
    return `hf://${this.address.type === 'dataset' ? 'datasets/' : ''}${this.address.repo}@${commit}`;
  }

  private named(path: string): string {
    return `${path.slice(path.lastIndexOf('/') + 1)} of ${this.address.repo}`;
  }

  private request(path: string, commit: string) {
    const { endpoint } = this.access;
    const folder = this.address.type === 'dataset' ? 'datasets/' : '';
    const route = `${folder}${this.address.repo}/resolve/${commit}/${path.split('/').map(encodeURIComponent).join('/')}`;
    return { ...this.own(new URL(`${endpoint}/${route}`)), name: this.named(path) };
  }

  private own(url: URL) {
    const { token, isOwnEndpoint } = this.access;
    return { url, trusted: isOwnEndpoint, authorization: token === null ? null : `Bearer ${token}` };
  }

  private api(route: string): Promise<Reply> {
    const { endpoint } = this.access;
    const url = new URL(`${endpoint}/api/${this.address.type}s/${this.address.repo}/${route}`);
    return this.client.get({ ...this.own(url), name: this.name });
  }

  /** All files of a commit, page by page; null where this hub has no such list. */
  private async tree(commit: string): Promise<HubFile[] | null> {
    const files: HubFile[] = [];
    let reply = await this.api(`tree/${commit}?recursive=true&expand=false`);
    if (reply.status === 404) return null;
    for (;;) {
      const page = this.json(reply);
      if (!Array.isArray(page)) throw failed(this.name, 'the Hub lists its files in a way that is not known');
      files.push(...page.flatMap(fileOf));
      const next = /<([^>]+)>\s*;\s*rel="next"/.exec(String(reply.headers.link ?? ''))?.[1];
      if (next === undefined || files.length >= LIMITS.hubFiles) return files;
      const url = URL.canParse(next, reply.url.href) ? new URL(next, reply.url) : null;
      if (url === null || url.origin !== new URL(this.access.endpoint).origin)
        throw failed(this.name, 'its list of files leads to another host');
      reply = await this.client.get({ ...this.own(url), name: this.name });
    }
  }

  private json(reply: Reply): JsonValue {
    if (reply.status !== 200) throw this.failure(reply);
    return parseJson(reply.bytes, { name: this.name, code: 'REMOTE_FAILED', maxBytes: LIMITS.hubAnswerBytes });
  }

  /** What an answer that is no success means; the texts of the Hub are not repeated. */
  private failure({ status, first, headers }: Reply, path?: string): HpsError {
    const said = String(first['x-error-code'] ?? headers['x-error-code'] ?? '');
    const name = path === undefined ? this.name : this.named(path);
    const { token, endpoint } = this.access;
    const details = { file: name, status, ...(/^\w{1,64}$/.test(said) ? { hub: said } : {}) };
    const error = (
      code: 'ACCESS_DENIED' | 'CREDENTIALS_INVALID' | 'FILE_NOT_FOUND' | 'REMOTE_FAILED',
      rule: string,
      hint: string,
    ) => new HpsError(code, `${name}: ${rule}`, { hint, details });
    const { repo, revision, type } = this.address;
    const page = `${endpoint}/${type === 'dataset' ? 'datasets/' : ''}${repo}`;
    if (said === 'GatedRepo' || (status === 403 && /gated/i.test(said))) {
      return error(
        'ACCESS_DENIED',
        'is gated: its authors let in whom they know',
        `Ask for access at ${page}, then set HF_TOKEN to a token of that account.`,
      );
    }
    if (said === 'RevisionNotFound')
      return error(
        'FILE_NOT_FOUND',
        `has no revision ${JSON.stringify(revision ?? 'main')}`,
        'Give a branch, a tag or a commit after @.',
      );
    if (said === 'EntryNotFound')
      return error('FILE_NOT_FOUND', 'is not in the repository', 'Check the path after the revision.');
    if (status === 401 && token !== null)
      return error(
        'CREDENTIALS_INVALID',
        'the Hub does not take the token',
        'Set HF_TOKEN to a token that is valid, or take it away for what is public.',
      );
    if (status === 401)
      return error('ACCESS_DENIED', 'is private, or is not there', 'Check the name; for what is private set HF_TOKEN.');
    if (status === 403)
      return error(
        'ACCESS_DENIED',
        'the Hub gives no access',
        token === null ? 'Set HF_TOKEN to a token that may read it.' : 'Use a token that may read it.',
      );
    if (status === 404 || status === 410)
      return error(
        'FILE_NOT_FOUND',
        'is not on the Hub',
        'Check the name, the revision and the path; what is private needs HF_TOKEN.',
      );
    if (status === 429)
      return error(
        'REMOTE_FAILED',
        'the Hub asks to wait (HTTP 429)',
        'Run the command again later; with HF_TOKEN more is allowed.',
      );
    return error('REMOTE_FAILED', `the Hub answers HTTP ${status}`, 'Run the command again later.');
  }
}

function fileOf(value: JsonValue): HubFile[] {
  if (!isJsonObject(value) || value.type !== 'file' || typeof value.path !== 'string') return [];
  const lfs = isJsonObject(value.lfs ?? null) ? (value.lfs as Record<string, JsonValue>) : null;
  const size = lfs?.size ?? value.size;
  const oid = typeof lfs?.oid === 'string' ? lfs.oid.replace(/^sha256:/, '') : null;
  const sha256 = oid !== null && SHA256.test(oid) ? oid : null;
  return [
    {
      path: value.path,
      byteLength: typeof size === 'number' && Number.isSafeInteger(size) && size >= 0 ? size : null,
      sha256,
      etag: sha256 ?? (typeof value.oid === 'string' && COMMIT.test(value.oid) ? value.oid : null),
    },
  ];
}

/** The names alone, from what the Hub says of a revision. */
function siblingsOf(info: JsonValue): HubFile[] {
  const list = isJsonObject(info) && Array.isArray(info.siblings) ? info.siblings : [];
  return list.flatMap((each) =>
    isJsonObject(each) && typeof each.rfilename === 'string'
      ? [{ path: each.rfilename, byteLength: null, sha256: null, etag: null }]
      : [],
  );
}

/** Without quotes and the mark of a weak one; null for what could be no name of a file. */
export function etagOf(header: string | string[] | undefined): string | null {
  const [, etag] = /^(?:W\/)?"?([\w.-]{1,128})"?$/.exec(String(header ?? '')) ?? [];
  return etag ?? null;
}
