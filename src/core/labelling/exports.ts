import { ColumnSet } from '../data/flat.js';
import { toPlainRow } from '../data/jsonl.js';
import { createJudgedWriter, type JudgedPair, type Judgement, type OutputLayout } from '../data/layouts/write.js';
import { type PairRow, RowError } from '../data/rows.js';
import { createRowWriter, type RowSink, type RowWriter } from '../data/write-rows.js';
import { type Ballots, raterName, type Standing } from './ballots.js';
import { LABELS } from './vote.js';

/** What was collected, in the forms that are asked for most. */
export const EXPORTS = ['labels.jsonl', 'labels.csv', 'label-studio.json', 'argilla.jsonl', 'arena.jsonl'] as const;
export type ExportName = (typeof EXPORTS)[number];

export const EXPORT_TYPES: Readonly<Record<ExportName, string>> = {
  'labels.jsonl': 'application/jsonl',
  'labels.csv': 'text/csv; charset=utf-8',
  'label-studio.json': 'application/json',
  'argilla.jsonl': 'application/jsonl',
  'arena.jsonl': 'application/jsonl',
};

const LAYOUTS: Readonly<Partial<Record<ExportName, OutputLayout>>> = {
  'label-studio.json': 'label-studio',
  'argilla.jsonl': 'argilla',
  'arena.jsonl': 'chatbot-arena',
};

/** Pairs with a vote, and who has said what of them; labels that a row came with are not among it. */
export function judgedPairs(pairs: Iterable<PairRow>, ballots: Ballots): JudgedPair[] {
  const skips = new Map<string, Standing[]>();
  for (const vote of ballots.all()) {
    if (vote.choice === 'skip' && !vote.gold && !vote.repeat)
      skips.set(vote.pair, [...(skips.get(vote.pair) ?? []), vote]);
  }
  const judged: JudgedPair[] = [];
  for (const row of pairs) {
    const labels = ballots.labelsOf(row.id);
    const all = [...labels, ...(skips.get(row.id) ?? [])].sort((a, b) => a.seq - b.seq);
    if (all.length > 0) judged.push({ row: withLabels(row, labels), judgements: all.map(judgementOf) });
  }
  return judged;
}

function withLabels(row: PairRow, labels: readonly Standing[]): PairRow {
  const { preference: _, raters: _raters, ...rest } = row;
  const bothBad = labels.filter(({ choice }) => choice === 'both_bad').length;
  return {
    ...rest,
    groups: bothBad > 0 ? new Map([...row.groups, ['both_bad', String(bothBad)]]) : row.groups,
    votes: labels.map(({ choice }) => LABELS[choice]!),
    ...(labels.length > 0 && { raters: labels.map(raterName) }),
  };
}

const judgementOf = (vote: Standing): Judgement => ({
  vote: LABELS[vote.choice],
  bothBad: vote.choice === 'both_bad',
  rater: raterName(vote),
  seconds: vote.ms / 1000,
  at: vote.at,
});

/** What a layout has no place for. */
export interface LeftOut {
  readonly pairs: number;
  /** Why, of the first. */
  readonly reason: string;
}

/** Writes one form. @returns the pairs that it has no place for; null where it has all */
export async function writeExport(
  name: ExportName,
  judged: readonly JudgedPair[],
  sink: RowSink,
): Promise<LeftOut | null> {
  const writer = writerOf(name, judged, sink);
  const reasons: string[] = [];
  for (const pair of judged) {
    try {
      await writer.write(pair);
    } catch (error) {
      if (!(error instanceof RowError)) throw error;
      reasons.push(error.message);
    }
  }
  await writer.finish();
  return reasons.length === 0 ? null : { pairs: reasons.length, reason: reasons[0] };
}

function writerOf(name: ExportName, judged: readonly JudgedPair[], sink: RowSink): RowWriter<JudgedPair> {
  const layout = LAYOUTS[name];
  if (layout) return createJudgedWriter(sink, layout);
  if (name === 'labels.jsonl') {
    const write = async (pair: JudgedPair) => {
      if (pair.row.votes.length > 0) await sink.write(Buffer.from(`${JSON.stringify(userRow(pair.row))}\n`));
    };
    return { write, finish: async () => undefined };
  }
  const columns = new ColumnSet();
  for (const { row } of judged) if (row.votes.length > 0) columns.add(row);
  const writer = createRowWriter(sink, 'csv', columns.columns());
  return {
    write: async ({ row }) => (row.votes.length > 0 ? writer.write(row) : undefined),
    finish: () => writer.finish(),
  };
}

/** Fields in the order of the format's own example. */
function userRow(row: PairRow): object {
  const { id, type, left, right, context, labels, raters, ...rest } = toPlainRow(row);
  return { id, type, left, right, context, labels, raters, ...rest };
}
