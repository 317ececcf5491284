import type { IncomingMessage } from 'node:http';
import { promisify } from 'node:util';
import { gunzip, inflate } from 'node:zlib';
import { type JsonValue, parseJson } from '../bytes/json.js';
import { HpsError, systemErrorCode } from '../errors.js';
import { LIMITS } from '../limits.js';
import type * as z from '../zod.js';
import { RequestError } from './failure.js';

export interface BodyLimits {
  /** Bytes, as sent and once inflated. */
  readonly bytes: number;
  /** For all of it to arrive. */
  readonly ms: number;
}

/**
 * The body of a request in memory, inflated where it is compressed.
 * @throws RequestError BODY_TOO_LARGE, BODY_TIMEOUT, ENCODING_UNSUPPORTED, REQUEST_INVALID
 */
export async function readBody(request: IncomingMessage, limits: BodyLimits): Promise<Buffer> {
  const encoding = (request.headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  if (!(encoding in DECODERS)) {
    throw new RequestError('ENCODING_UNSUPPORTED', `content-encoding ${JSON.stringify(encoding)} is not read`, {
      'accept-encoding': 'gzip, deflate',
    });
  }
  if (Number(request.headers['content-length'] ?? 0) > limits.bytes) throw tooLarge(limits);
  const bytes = await collect(request, limits);
  return DECODERS[encoding as keyof typeof DECODERS](bytes, limits);
}

const tooLarge = ({ bytes }: BodyLimits): RequestError =>
  new RequestError('BODY_TOO_LARGE', `the body has more than ${bytes} bytes`, CLOSE);

/** What is still to come of the body is not read: the connection cannot be used again. */
const CLOSE = { connection: 'close' };

function collect(request: IncomingMessage, limits: BodyLimits): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const end = (error?: Error): void => {
      clearTimeout(timer);
      request.removeAllListeners('data');
      if (!error) resolve(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks, length));
      else {
        request.pause();
        reject(error);
      }
    };
    const timer = setTimeout(
      () => end(new RequestError('BODY_TIMEOUT', `the body did not arrive within ${limits.ms} ms`, CLOSE)),
      limits.ms,
    );
    request.on('data', (chunk: Buffer) => {
      length += chunk.length;
      chunks.push(chunk);
      if (length > limits.bytes) end(tooLarge(limits));
    });
    request.once('end', () => end());
    request.once('error', () => end(gone()));
    request.once('close', () => end(gone())); // after `end` it changes nothing
  });
}

const gone = (): RequestError => new RequestError('CLIENT_GONE', 'the client went away before its body had arrived');

type Decoder = (bytes: Buffer, limits: BodyLimits) => Buffer | Promise<Buffer>;

const inflated =
  (run: (bytes: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>): Decoder =>
  async (bytes, limits) => {
    const most = Math.min(limits.bytes, Math.max(LIMITS.zipRatioFromBytes, LIMITS.zipRatio * bytes.length));
    try {
      return await run(bytes, { maxOutputLength: most });
    } catch (error) {
      if (systemErrorCode(error) === 'ERR_BUFFER_TOO_LARGE') {
        throw new RequestError('BODY_TOO_LARGE', `the body inflates to more than ${most} bytes`);
      }
      throw new RequestError('REQUEST_INVALID', 'the body is not what its content-encoding says');
    }
  };

const DECODERS = {
  identity: (bytes) => bytes,
  gzip: inflated(promisify(gunzip) as never),
  'x-gzip': inflated(promisify(gunzip) as never),
  deflate: inflated(promisify(inflate) as never),
} satisfies Record<string, Decoder>;

/** A JSON body, read strictly. @throws RequestError JSON_INVALID */
export function parseBody(bytes: Uint8Array): JsonValue {
  if (bytes.byteLength === 0) throw new RequestError('JSON_INVALID', 'the body is empty');
  try {
    return parseJson(bytes, { name: 'the body', maxBytes: bytes.byteLength });
  } catch (error) {
    if (error instanceof HpsError) throw new RequestError('JSON_INVALID', error.message);
    throw error;
  }
}

/** A value as a schema has it. @throws RequestError REQUEST_INVALID naming the field */
export function parseAs<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const { path, message } = deepest(parsed.error.issues);
  const at = path.map(String).join('.');
  throw new RequestError('REQUEST_INVALID', `${at === '' ? 'the body' : at}: ${message}`);
}

/** Of a union, the complaint of the branch that came furthest: the one that was meant. */
function deepest(issues: readonly z.core.$ZodIssue[], before: readonly PropertyKey[] = []): Complaint {
  const [first] = issues;
  const path = [...before, ...first.path];
  if (first.code !== 'invalid_union' || first.errors.length === 0) return { path, message: first.message };
  return first.errors
    .map((branch) => deepest(branch, path))
    .reduce((best, each) => (each.path.length > best.path.length ? each : best));
}

interface Complaint {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}
