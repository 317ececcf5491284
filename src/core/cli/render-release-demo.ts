import type { ReleaseDemoReport } from '../lifecycle/release/demo.js';
import { formatTable, terminalWidth } from './table.js';

/** The text of `hpsv3 release demo`. */
export function formatReleaseDemo({ samples, bitwise, tolerance, passed }: ReleaseDemoReport): string {
  const rows = samples.map(({ id, recorded, found, same }) => [
    id,
    found === null ? 'none' : String(found.score),
    recorded === null ? 'none' : String(recorded.score),
    found?.winner ?? '',
    same ? 'same' : 'DIFFERS',
  ]);
  const how = bitwise ? 'to the bit' : `within ${tolerance}: another kind of machine recorded them`;
  return [
    formatTable(['sample', 'score', 'recorded', 'winner', ''], rows, { width: terminalWidth() }),
    '',
    passed ? `All ${samples.length} scores are the recorded ones (${how}).` : `NOT the recorded scores (${how}).`,
  ].join('\n');
}
