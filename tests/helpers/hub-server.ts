import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join, relative, sep } from 'node:path';
import { serve } from './https-server.js';

/** Files by path, in a repository at one commit. */
export type Repository = Readonly<Record<string, Uint8Array>>;

/** One request, as the server saw it. */
export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
}

/** What goes wrong. Each counts down to its last time. */
export interface Faults {
  /** Answers with this status and these headers, before anything else. */
  answer?: (request: Seen) => { status: number; headers?: Record<string, string> } | undefined;
  /** Cuts the connection after so many bytes of a body, as often as is said. */
  cut?: { after: number; times: number };
  /** Sends whole files where ranges are asked for. */
  ignoreRanges?: boolean;
  /** Sends fewer bytes than a range has, and says so. */
  shortRanges?: boolean;
  /** Where files of the content network are said to lie. */
  cdn?: string;
  /** Changes the bytes of a file, but not its stated hash. */
  tamper?: string;
  /** The list has no sizes and hashes: only names. */
  noTree?: boolean;
  /** What `resolve` says of the commit. */
  commit?: string;
}

/** Files over this are large ones, kept beside the repository. */
const LFS_BYTES = 4096;
export const COMMIT = 'c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00';
export const NEXT_COMMIT = 'beefbeefbeefbeefbeefbeefbeefbeefbeefbeef';

/**
 * A server on the loopback interface that speaks the Hub's routes as far as they are read: `api/models/…/revision`, `…/tree` page by
 * page, `resolve` with X-Repo-Commit and X-Linked-Etag, a redirect of large files to a path of its own, ranges, tokens.
 */
export class HubServer {
  readonly seen: Seen[] = [];
  faults: Faults = {};
  /** Bytes of files sent. */
  sentBytes = 0;
  /** Needed for all but public repositories, where it is set. */
  token: string | undefined;
  commit = COMMIT;
  private readonly repositories = new Map<string, Repository>();
  port = 0;

  static async start(): Promise<HubServer> {
    const server = new HubServer();
    server.port = await serve((request, response) => server.handle(request, response), 'http');
    return server;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  put(name: string, files: Repository): void {
    this.repositories.set(name, files);
  }

  /** All files of a folder. */
  putFolder(name: string, folder: string): void {
    const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) =>
      statSync(join(folder, path)).isFile(),
    );
    this.put(
      name,
      Object.fromEntries(
        paths.map((path) => [relative('.', path).split(sep).join('/'), readFileSync(join(folder, path))]),
      ),
    );
  }

  reset(): void {
    this.seen.length = 0;
    this.sentBytes = 0;
    this.faults = {};
    this.token = undefined;
    this.commit = COMMIT;
  }

  private handle(request: IncomingMessage, response: ServerResponse): unknown {
    const url = new URL(request.url ?? '/', this.endpoint);
    const { authorization, range } = request.headers;
    const seen = { method: request.method ?? '', path: url.pathname, authorization, range };
    this.seen.push(seen);
    const fault = this.faults.answer?.(seen);
    if (fault) return response.writeHead(fault.status, fault.headers).end('{"error":"said by the test"}');
    const [, cdn] = /^\/cdn\/(.+)$/.exec(url.pathname) ?? [];
    if (cdn !== undefined) return this.sendFile(decodeURIComponent(cdn), request, response);
    if (this.token !== undefined && authorization !== `Bearer ${this.token}`)
      return response.writeHead(401, { 'x-error-code': 'RepoNotFound' }).end();
    const [, apiRepo, what, rest] =
      /^\/api\/(?:models|datasets)\/([^/]+\/[^/]+)\/(revision|tree)\/(.+)$/.exec(url.pathname) ?? [];
    if (apiRepo !== undefined) return this.api(apiRepo, what, decodeURIComponent(rest), url, response);
    const [, repo, commit, path] = /^\/(?:datasets\/)?([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(url.pathname) ?? [];
    if (repo === undefined) return response.writeHead(404).end();
    this.resolve(repo, decodeURIComponent(commit), decodeURIComponent(path), request, response);
  }

  private api(repo: string, what: string, revision: string, url: URL, response: ServerResponse): unknown {
    const files = this.repositories.get(repo);
    if (!files) return response.writeHead(404, { 'x-error-code': 'RepoNotFound' }).end();
    if (!['main', 'v1.0', 'refs/pr/1', COMMIT, NEXT_COMMIT].includes(revision))
      return response.writeHead(404, { 'x-error-code': 'RevisionNotFound' }).end();
    const json = (value: unknown, headers = {}) =>
      response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
    if (what === 'revision') {
      const sha = revision === NEXT_COMMIT ? NEXT_COMMIT : revision === COMMIT ? COMMIT : this.commit;
      return json({ id: repo, sha, siblings: Object.keys(files).map((rfilename) => ({ rfilename })) });
    }
    if (this.faults.noTree) return response.writeHead(404).end();
    const list = Object.entries(files).map(([path, bytes]) => ({
      type: 'file',
      path,
      size: bytes.byteLength,
      oid: gitName(bytes),
      ...(bytes.byteLength > LFS_BYTES
        ? { lfs: { oid: sha256(bytes), size: bytes.byteLength, pointerSize: 133 } }
        : {}),
    }));
    // Pages of three, so that the next one is asked for.
    const from = Number(url.searchParams.get('cursor') ?? 0);
    url.searchParams.set('cursor', String(from + 3));
    json(list.slice(from, from + 3), from + 3 < list.length ? { link: `<${url.href}>; rel="next"` } : {});
  }

  private resolve(
    repo: string,
    commit: string,
    path: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): unknown {
    const bytes = this.repositories.get(repo)?.[path];
    const headers = { 'x-repo-commit': this.faults.commit ?? commit };
    if (!bytes) return response.writeHead(404, { ...headers, 'x-error-code': 'EntryNotFound' }).end();
    if (bytes.byteLength <= LFS_BYTES)
      return this.sendFile(`${repo}/${path}`, request, response, { ...headers, etag: `"${gitName(bytes)}"` });
    const linked = { 'x-linked-etag': `"${sha256(bytes)}"`, 'x-linked-size': String(bytes.byteLength) };
    const location = `${this.faults.cdn ?? ''}/cdn/${encodeURIComponent(`${repo}/${path}`)}`;
    response.writeHead(302, { ...headers, ...linked, location }).end();
  }

  private sendFile(
    name: string,
    request: IncomingMessage,
    response: ServerResponse,
    headers: Record<string, string> = {},
  ): unknown {
    const [org, repo, ...path] = name.split('/');
    const file = path.join('/');
    const stored = this.repositories.get(`${org}/${repo}`)?.[file];
    if (!stored) return response.writeHead(404).end();
    const bytes =
      this.faults.tamper === file ? stored.map((byte, i) => (i === stored.length - 3 ? byte ^ 1 : byte)) : stored;
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    const size = bytes.byteLength;
    if (from === undefined || this.faults.ignoreRanges) return this.send(bytes, 200, headers, request, response);
    let end = Math.min(size, Number(to) + 1);
    if (this.faults.shortRanges) end = Math.max(Number(from) + 1, Math.floor((Number(from) + end) / 2));
    const part = bytes.subarray(Number(from), end);
    this.send(part, 206, { ...headers, 'content-range': `bytes ${from}-${end - 1}/${size}` }, request, response);
  }

  private send(
    bytes: Uint8Array,
    status: number,
    headers: Record<string, string>,
    request: IncomingMessage,
    response: ServerResponse,
  ): unknown {
    response.writeHead(status, { ...headers, 'content-length': bytes.byteLength, 'accept-ranges': 'bytes' });
    if (request.method === 'HEAD') return response.end();
    const { cut } = this.faults;
    if (cut && cut.times > 0 && bytes.byteLength > cut.after) {
      cut.times--;
      this.sentBytes += cut.after;
      response.write(bytes.subarray(0, cut.after), () => response.destroy());
      return;
    }
    this.sentBytes += bytes.byteLength;
    response.end(bytes);
  }
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const gitName = (bytes: Uint8Array): string =>
  createHash('sha1').update(`blob ${bytes.byteLength}\0`).update(bytes).digest('hex');
