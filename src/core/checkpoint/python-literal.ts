export type PythonLiteral = string | number | boolean | PythonLiteral[] | ReadonlyMap<string, PythonLiteral>;

/** A string without escapes, a word, a non-negative integer (`3L` is Python 2's), or a bracket, comma or colon. */
const TOKEN =
  /\s*(?:'(?<single>[^'\\]*)'|"(?<double>[^"\\]*)"|(?<word>True|False)|(?<digits>\d{1,16})L?|(?<mark>[[\](){},:]))/y;
const CLOSING: Readonly<Record<string, string>> = { '[': ']', '(': ')', '{': '}' };
/** An array of records nests a few deep. */
const MAX_DEPTH = 16;

/**
 * The value of a Python literal as NumPy writes it in .npy headers: dictionaries with string keys, lists, tuples (also as
 * lists), strings without escapes, True, False and non-negative integers. Nothing is evaluated.
 * @returns null for anything else, duplicate keys included
 */
export function parsePythonLiteral(text: string): PythonLiteral | null {
  try {
    const tokens = tokenize(text);
    const value = parseValue(tokens, 0);
    return tokens.length === 0 ? value : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

type Token = { readonly mark: string } | { readonly value: string | number | boolean };

/** The tokens in reverse, so that the next one is popped. */
function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  const trimmed = text.trimEnd();
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < trimmed.length) {
    const groups = TOKEN.exec(trimmed)?.groups;
    if (!groups) throw new SyntaxError('no token');
    const { single, double, word, digits, mark } = groups;
    if (mark) tokens.push({ mark });
    else if (word) tokens.push({ value: word === 'True' });
    else if (digits) tokens.push({ value: Number(digits) });
    else tokens.push({ value: single ?? double });
  }
  return tokens.reverse();
}

function parseValue(tokens: Token[], depth: number): PythonLiteral {
  const token = tokens.pop();
  if (!token || depth > MAX_DEPTH) throw new SyntaxError('no value');
  if ('value' in token) return token.value;
  if (token.mark === '{') return parseDictionary(tokens, depth);
  if (token.mark !== '(' && token.mark !== '[') throw new SyntaxError('no value');
  const items: PythonLiteral[] = [];
  parseItems(tokens, CLOSING[token.mark], () => items.push(parseValue(tokens, depth + 1)));
  return items;
}

function parseDictionary(tokens: Token[], depth: number): ReadonlyMap<string, PythonLiteral> {
  const entries = new Map<string, PythonLiteral>();
  parseItems(tokens, '}', () => {
    const key = parseValue(tokens, depth + 1);
    if (typeof key !== 'string' || entries.has(key) || !acceptMark(tokens, ':')) throw new SyntaxError('no key');
    entries.set(key, parseValue(tokens, depth + 1));
  });
  return entries;
}

/** Items up to the closing bracket, with a comma between each two and perhaps one after the last. */
function parseItems(tokens: Token[], closing: string, parseItem: () => void): void {
  while (!acceptMark(tokens, closing)) {
    parseItem();
    if (acceptMark(tokens, ',')) continue;
    if (acceptMark(tokens, closing)) return;
    throw new SyntaxError('no comma');
  }
}

function acceptMark(tokens: Token[], mark: string): boolean {
  const next = tokens.at(-1);
  if (!next || !('mark' in next) || next.mark !== mark) return false;
  tokens.pop();
  return true;
}
