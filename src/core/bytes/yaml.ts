import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { parseDocument, visit } from 'yaml';
import { HpsError, systemErrorCode } from '../errors.js';
import { LIMITS } from '../limits.js';
import type { JsonValue } from './json.js';

/**
 * The bytes of a file that a person wrote, one more than is allowed at most: a pipe or a device cannot grow past that.
 *
 * @param hint - what to do where it cannot be read
 * @throws HpsError FILE_NOT_FOUND or FILE_UNREADABLE
 */
export async function readTextFile(path: string, hint: string): Promise<Uint8Array> {
  const name = basename(path);
  try {
    const file = await open(path);
    try {
      // One byte more than allowed tells a file that is too long, and a pipe or device cannot grow past it.
      const buffer = new Uint8Array(LIMITS.configBytes + 1);
      let length = 0;
      while (length < buffer.length) {
        const { bytesRead } = await file.read(buffer, length, buffer.length - length);
        if (bytesRead === 0) break;
        length += bytesRead;
      }
      return buffer.subarray(0, length);
    } finally {
      await file.close();
    }
  } catch (error) {
    const system = systemErrorCode(error);
    if (system === undefined) throw error;
    const missing = system === 'ENOENT' || system === 'ENOTDIR';
    throw new HpsError(missing ? 'FILE_NOT_FOUND' : 'FILE_UNREADABLE', `${name}: cannot be read (${system})`, {
      hint,
      details: { file: name, system },
      cause: error,
    });
  }
}

export interface ParseYamlOptions {
  /** What errors call the document: a file's base name. */
  readonly name: string;
  /** What to do about a document that is refused. */
  readonly hint: string;
}

/**
 * The value of one YAML 1.2 (or JSON) document that holds nothing but what JSON can: no aliases, tags, infinities or dates.
 *
 * @throws HpsError CONFIG_INVALID
 */
export function parseYaml(bytes: Uint8Array, { name, hint }: ParseYamlOptions): JsonValue {
  const invalid = (rule: string) =>
    new HpsError('CONFIG_INVALID', `${name}: ${rule}`, { hint, details: { file: name } });
  if (bytes.byteLength > LIMITS.configBytes) throw invalid(`is longer than ${LIMITS.configBytes} bytes`);
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    const document = parseDocument(text, { version: '1.2', schema: 'core', merge: false, uniqueKeys: true });
    const [problem] = [...document.errors, ...document.warnings]; // an unknown tag is only a warning there
    if (problem) throw invalid(problem.message.split('\n')[0].replace(/:$/, ''));
    visit(document, {
      Alias: () => {
        throw invalid('aliases (*name) are not supported');
      },
    });
    return asJson(document.toJS(), 0, invalid);
  } catch (error) {
    if (error instanceof HpsError) throw error;
    if (error instanceof RangeError) throw invalid(`nests deeper than ${LIMITS.jsonDepth} levels`); // the parser's stack
    if (error instanceof TypeError) throw invalid('is not UTF-8 text');
    throw error;
  }
}

/** `value` itself once it is proven to be JSON: YAML also knows infinities, dates and sets. */
function asJson(value: unknown, depth: number, invalid: (rule: string) => HpsError): JsonValue {
  if (depth > LIMITS.jsonDepth) throw invalid(`nests deeper than ${LIMITS.jsonDepth} levels`);
  if (typeof value === 'number' && !Number.isFinite(value)) throw invalid(`${value} is not a usable number`);
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) asJson(inner, depth + 1, invalid);
  }
  return value as JsonValue;
}
