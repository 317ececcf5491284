/** C0, DEL and C1 controls, line separators, and the marks that reorder text: a name must not drive the terminal. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the purpose
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/** `text` on one line with every control character spelt out (`\u001b`), safe to print whatever file it came from. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, escapeUnicode);
}

const escapeUnicode = (char: string): string => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** `value` as the one document of `--json`, indented, with what would drive a terminal escaped as JSON does for `\u001b`. */
export function formatJson(value: unknown): string {
  const escapeMore = (char: string) => (char === '\n' ? char : escapeUnicode(char)); // a line feed here is indentation
  return `${JSON.stringify(value, null, 2).replace(UNPRINTABLE, escapeMore)}\n`;
}

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** `1536` as `1.5 KiB`: powers of 1024, three digits at most before the point. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1023.95 && unit < BYTE_UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${BYTE_UNITS[unit]}`;
}

/** `1234567` as `1,234,567`, in every locale. Without `Intl`, which takes longer to load than most commands print. */
export function formatCount(count: number): string {
  return Number.isSafeInteger(count) ? String(count).replace(/\B(?=(\d{3})+$)/g, ',') : count.toLocaleString('en-US');
}

/** `83_000` milliseconds as `1m 23s`; under a minute `12.3 s`, under a second `450 ms`. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < 999.5) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 59_950) return `${(milliseconds / 1000).toFixed(1)} s`;
  const seconds = Math.round(milliseconds / 1000);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  if (hours > 0) return `${hours}h ${String(minutes).padStart(2, '0')}m`;
  return `${minutes}m ${String(seconds % 60).padStart(2, '0')}s`;
}

/** The first 12 digits of a sha256 in hex: enough to tell files apart by eye. */
export function formatHash(hex: string): string {
  return hex.slice(0, 12);
}
