import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import {
  Composer,
  type CST,
  type Document,
  isScalar,
  Lexer,
  LineCounter,
  Parser,
  visit,
  type YAMLError,
  YAMLParseError,
} from 'yaml';
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

const tooDeep = `nests deeper than ${LIMITS.jsonDepth} levels`;
/** A level opens two tokens at most (a list in a mapping, at its key's own column). More than the levels allow tells only that there are too many. */
const OPEN_TOKENS = 3;

type Refuse = (rule: string) => HpsError;

/**
 * The value of one YAML 1.2 (or JSON) document that holds nothing but what JSON can: no aliases, tags, infinities or dates.
 * Time grows with its length alone, and the first error ends it.
 *
 * @throws HpsError CONFIG_INVALID
 */
export function parseYaml(bytes: Uint8Array, { name, hint }: ParseYamlOptions): JsonValue {
  const invalid: Refuse = (rule) =>
    new HpsError('CONFIG_INVALID', `${name}: ${rule}`, { hint, details: { file: name } });
  if (bytes.byteLength > LIMITS.configBytes) throw invalid(`is longer than ${LIMITS.configBytes} bytes`);
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    const document = parseDocument(text, invalid);
    visit(document, {
      Alias: () => {
        throw invalid('aliases (*name) are not supported');
      },
      Map: (_, { items }) => {
        const repeated = firstRepeated(items.map(({ key }) => (isScalar(key) ? String(key.value) : undefined)));
        if (repeated !== undefined) throw invalid(`the key ${JSON.stringify(repeated)} is there twice in one mapping`);
      },
    });
    return asJson(document.toJS(), 0, invalid);
  } catch (error) {
    if (error instanceof HpsError) throw error;
    if (error instanceof RangeError) throw invalid(tooDeep); // the parser's stack
    if (error instanceof TypeError) throw invalid('is not UTF-8 text');
    throw error;
  }
}

/** As `parseDocument` of yaml, which takes the square of the keys and of the errors there are. */
function parseDocument(text: string, invalid: Refuse): Document.Parsed {
  const lines = new LineCounter();
  const [problem, document] = compose(tokensOf(text, lines, invalid), text.length);
  if (problem === null) return document;
  const { line, col } = lines.linePos(problem.pos[0]);
  throw invalid(`${problem.message} at line ${line}, column ${col}`);
}

/** The tokens of a document, up to the first that is an error. */
function tokensOf(text: string, lines: LineCounter, invalid: Refuse): CST.Token[] {
  lines.addNewLine(0);
  const parser = new Parser(lines.addNewLine);
  const tokens: CST.Token[] = [];
  let lexemes = 0;
  for (const lexeme of new Lexer().lex(text)) {
    if (++lexemes > LIMITS.configTokens) throw invalid(`has more than ${LIMITS.configTokens} words and signs`);
    for (const token of parser.next(lexeme)) {
      tokens.push(token);
      if (token.type === 'error') return tokens;
    }
    if (parser.stack.length > OPEN_TOKENS * LIMITS.jsonDepth) throw invalid(tooDeep);
  }
  return [...tokens, ...parser.end()];
}

/** The first problem there is, or null, and the document. */
function compose(tokens: readonly CST.Token[], length: number): [problem: YAMLError | null, document: Document.Parsed] {
  const composer = new Composer({ version: '1.2', schema: 'core', merge: false, uniqueKeys: false });
  const [document, second] = composer.compose(tokens, true, length);
  const [problem = null] = [...document.errors, ...document.warnings]; // an unknown tag is only a warning there
  if (problem !== null || second === undefined) return [problem, document];
  return [
    new YAMLParseError(second.range.slice(0, 2) as [number, number], 'MULTIPLE_DOCS', 'a second document begins'),
    document,
  ];
}

function firstRepeated(keys: readonly (string | undefined)[]): string | undefined {
  const seen = new Set<string>();
  return keys.find((key) => key !== undefined && (seen.has(key) || !seen.add(key)));
}

/** `value` itself once it is proven to be JSON: YAML also knows infinities, dates and sets. */
function asJson(value: unknown, depth: number, invalid: (rule: string) => HpsError): JsonValue {
  if (depth > LIMITS.jsonDepth) throw invalid(tooDeep);
  if (typeof value === 'number' && !Number.isFinite(value)) throw invalid(`${value} is not a usable number`);
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) asJson(inner, depth + 1, invalid);
  }
  return value as JsonValue;
}
