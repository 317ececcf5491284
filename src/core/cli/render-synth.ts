import type { SynthReport } from '../synthesis/synthesize.js';
import type { TallyCell } from '../synthesis/tally.js';
import { formatBytes, formatCount } from './format.js';
import { formatTable, terminalWidth } from './table.js';

/** The text of `hpsv3 synth`: one row a perturbation, then where everything is. */
export function formatSynth({ out, seed, raters, files, media, modalities, cells }: SynthReport): string {
  const columns = ['modality', 'perturbation', 'pairs', 'ties', 'votes for the better side, by strength'];
  const table = formatTable(columns, perturbationRows(cells), { width: terminalWidth() });
  const sources = modalities.reduce((sum, modality) => sum + modality.sources, 0);
  return [
    table,
    '',
    `${formatCount(files.labels.rows)} pairs of ${formatCount(sources)} sources, ${raters.length} simulated raters, seed ${seed}.`,
    `${out}/${files.labels.name} has the votes, ${files.truth.name} the true differences${files.absolute ? `, ${files.absolute.name} scores of ${formatCount(files.absolute.rows)} items` : ''}; ${formatCount(media.files)} media files, ${formatBytes(media.bytes)}.`,
  ].join('\n');
}

/** Those of one perturbation in one row. */
function perturbationRows(cells: readonly TallyCell[]) {
  const groups = new Map<string, TallyCell[]>();
  for (const cell of cells) {
    const key = `${cell.modality} ${cell.perturbation}`;
    groups.set(key, [...(groups.get(key) ?? []), cell]);
  }
  return [...groups.values()].map((group) => {
    const sum = (field: 'pairs' | 'ties' | 'votes'): number => group.reduce((total, cell) => total + cell[field], 0);
    const shares = group.map(
      ({ strength, agreement }) => `${strength}: ${agreement === null ? '-' : percent(agreement)}`,
    );
    return [
      group[0].modality,
      group[0].perturbation,
      sum('pairs'),
      percent(sum('ties') / sum('votes')),
      shares.join('  '),
    ];
  });
}

const percent = (share: number): string => `${Math.round(100 * share)} %`;
