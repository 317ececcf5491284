import { readdirSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { hashFile } from './hash.js';

/** The name that files of hashes have. */
export const SUMS_FILE = 'SHA256SUMS';

/** Files below a folder by their path in it, with `/`, sorted. */
export const listFiles = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort();

/** One line as coreutils' sha256sum writes and checks it: a name with a line break or backslash is escaped, and the line marked so. */
export function sumsLine(sha256: string, path: string): string {
  const escaped = path.replace(/\\/g, '\\\\').replace(/\n/g, '\\n').replace(/\r/g, '\\r');
  return `${escaped === path ? '' : '\\'}${sha256}  ${escaped}\n`;
}

/** The lines of files of a folder. */
export async function formatSums(folder: string, paths: readonly string[]): Promise<string> {
  let lines = '';
  for (const path of paths) {
    if (path === SUMS_FILE) continue;
    const { sha256 } = await hashFile(join(folder, path));
    lines += sumsLine(sha256, path);
  }
  return lines;
}

const SUMS_LINE = /^(\\?)([0-9a-f]{64}) [ *](.+)$/;

/** Hashes by path; null where a line cannot be read. */
export function parseSums(text: string): Map<string, string> | null {
  const stated = new Map<string, string>();
  for (const line of text.split('\n').filter((one) => one !== '')) {
    const [, escaped, sha256, name] = SUMS_LINE.exec(line) ?? [];
    if (sha256 === undefined) return null;
    stated.set(
      escaped ? name.replace(/\\(.)/g, (_, char) => ({ n: '\n', r: '\r' })[char as string] ?? char) : name,
      sha256,
    );
  }
  return stated;
}
