import type { InitReport } from '../lifecycle/init/init.js';
import { formatBytes, formatCount, formatHash } from './format.js';
import { formatTable, terminalWidth } from './table.js';

/** The text of `hpsv3 init`. */
export function formatInit({ out, bytes, sha256, tensors, parameters, seed, beside }: InitReport): string {
  const rows = [
    ['out', out, `${formatBytes(bytes)}, sha256 ${formatHash(sha256)}`],
    ['weights', `${formatCount(parameters)} parameters`, `${formatCount(tensors)} tensors, seed ${seed}`],
    ['beside it', beside.join(', '), ''],
  ];
  return formatTable(['what', 'value', 'note'], rows, { width: terminalWidth() });
}
