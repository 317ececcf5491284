import type { RemoteReport } from '../hub/with-addresses.js';
import { formatBytes, formatCount } from './format.js';

/** Rows on what lies on other machines: where, and how much of it came over the network. */
export function remoteFacts(remote: RemoteReport | null): string[][] {
  if (remote === null) return [];
  const { sources, files, bytes, fetchedBytes } = remote;
  return [
    ...sources.map((source) => ['source', source]),
    ['fetched', `${formatBytes(fetchedBytes)} of ${formatBytes(bytes)} in ${formatCount(files.length)} files`],
  ];
}
