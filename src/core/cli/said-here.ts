import type { JsonValue } from '../bytes/json.js';

/** A remote address as a value, or as one of several in it: `s3://bucket/x`, `NAME=https://host/x`. */
const ADDRESS = /(^|[=,])\s*[a-z][a-z0-9+.-]*:\/\//i;

/**
 * Why a value for a flag counts only on the command line, or null where it may stand in the environment or a file as well. Whoever can
 * change a file or a variable must not make a command run other code (`--family`), lower its guard (`--allow-…`) or open a connection.
 */
export function onlySaidHere(flag: string, value: JsonValue): string | null {
  if (flag === 'family') return 'it runs the code of a file';
  if (flag.startsWith('allow-')) return 'it allows what is refused by default';
  const values = Array.isArray(value) ? value : [value];
  return values.some((one) => typeof one === 'string' && ADDRESS.test(one)) ? 'it is an address on the network' : null;
}

/** The rule, after the name of what breaks it. */
export const saidHereRule = (flag: string, reason: string): string =>
  `--${flag} counts only on the command line: ${reason}`;
