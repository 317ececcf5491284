/** What a block is made of: text and numbers in lists and plain objects; members that are undefined are left out. */
export type YamlValue = string | number | object;

/** Text that no version of YAML takes for anything else; all other text is quoted. */
const PLAIN = /^[A-Za-z][\w.+/-]*(?: [\w.+/-]+)*$/;
const WORDS = /^(?:y|n|yes|no|on|off|true|false|null|nan|inf|infinity)$/i;
/** A number in YAML 1.1, which needs no digit before its exponent. */
const EXPONENT = /^e[-+]?\d+$/i;
/** What YAML 1.1 holds for not printable, or ends a line at, and JSON leaves as it is. */
const ESCAPED = /[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]/g;

/**
 * A value as a YAML block that readers of YAML 1.1 (PyYAML, js-yaml) and 1.2 take for the same: their plain `no`, `2024-01-01`,
 * `1_000`, `12:30` and `1e-7` differ. Each text is on one line, so that no `---` in it can end a front matter.
 */
export const yamlBlock = (value: object): string => `${lines(value).join('\n')}\n`;

function lines(value: YamlValue): string[] {
  if (typeof value === 'string') return [text(value)];
  if (typeof value === 'number') return [number(value)];
  if (Array.isArray(value)) {
    return value.length === 0 ? ['[]'] : value.flatMap((item) => indented('- ', lines(item)));
  }
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
  return entries.length === 0 ? ['{}'] : entries.flatMap(([key, inner]) => entry(text(key), inner));
}

function entry(key: string, value: YamlValue): string[] {
  const inner = lines(value);
  if (typeof value !== 'object' || Object.keys(value).length === 0) return [`${key}: ${inner[0]}`];
  return [`${key}:`, ...inner.map((line) => `  ${line}`)];
}

const indented = (first: string, inner: readonly string[]): string[] =>
  inner.map((line, i) => (i === 0 ? first : ' '.repeat(first.length)) + line);

const isPlain = (value: string): boolean => PLAIN.test(value) && !WORDS.test(value) && !EXPONENT.test(value);

const text = (value: string): string => (isPlain(value) ? value : quoted(value));

/** JSON, which YAML's double quotes take in, but for letters that YAML 1.1 refuses. */
const quoted = (value: string): string =>
  JSON.stringify(value).replace(ESCAPED, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** With a point before the exponent: without one, YAML 1.1 reads text. */
const number = (value: number): string => String(value).replace(/^(-?\d+)e/, '$1.0e');
