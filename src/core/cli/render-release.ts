import type { FetchReport } from '../lifecycle/release/fetch.js';
import type { ReleaseReport } from '../lifecycle/release/release.js';
import type { VerifyReleaseReport } from '../lifecycle/release/verify.js';
import { formatBytes, printable } from './format.js';
import { formatTable, terminalWidth } from './table.js';

/** The text of `hpsv3 release`. */
export function formatRelease({ out, layout, archives, files, samples, signed }: ReleaseReport): string {
  if (layout !== 'archive')
    return [...files, '', signed ? 'signed' : 'not signed', `Written: ${printable(out)}`].join('\n');
  const rows = archives.map(({ archive, bytes, files, sha256 }) => [
    archive,
    formatBytes(bytes),
    files,
    sha256.slice(0, 16),
  ]);
  return [
    formatTable(['archive', 'size', 'files', 'sha256'], rows, { width: terminalWidth() }),
    '',
    `${samples} samples scored and recorded; ${signed ? 'signed' : 'not signed'}`,
    `Written: ${printable(out)}`,
  ].join('\n');
}

/** The text of `hpsv3 release fetch`. */
export function formatFetch({ runtimes, packages }: FetchReport): string {
  const lines = packages.map(({ name, version, fetched }) => `${fetched ? 'fetched' : 'there  '}  ${name}@${version}`);
  return [...lines, '', `Runtimes: ${printable(runtimes)}`].join('\n');
}

/** Faults that are listed one by one. */
const MOST_FAULTS = 100;

/** The text of `hpsv3 release verify`. */
export function formatVerifyRelease({ name, checks, faults, notes, passed }: VerifyReleaseReport): string {
  const lines = checks.map(({ check, result }) => `${result.padEnd(9)} ${check}`);
  if (faults.length > 0) {
    lines.push('', ...faults.slice(0, MOST_FAULTS).map(({ check, message }) => `${check}: ${printable(message)}`));
    if (faults.length > MOST_FAULTS) lines.push(`and ${faults.length - MOST_FAULTS} more; see --json`);
  }
  if (notes.length > 0) lines.push('', ...notes);
  return [
    ...lines,
    '',
    `${printable(name)}: ${passed ? 'verified' : `NOT verified, ${faults.length} fault${faults.length > 1 ? 's' : ''}`}`,
  ].join('\n');
}
