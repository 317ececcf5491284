import { withSource } from '../bytes/source.js';
import { fileInput } from './input.js';
import type { JoinedAbsolutes, JoinedPairs } from './join.js';
import type { LabelLayout } from './layouts/apply.js';
import { readRows } from './read-rows.js';
import type { DataRow } from './rows.js';

/**
 * Reads the label file once more, for what was judged: columns of labels keep who won, not the items. Visits the rows of the table in
 * the order of the file, each once.
 *
 * @param visit - gets the row's place in the table, and the row
 * @throws HpsError as `readLabels`
 */
export async function visitJudgedRows(
  labels: string,
  joined: JoinedPairs | JoinedAbsolutes,
  visit: (place: number, row: DataRow) => void | Promise<void>,
  { signal, layout, map }: { readonly signal?: AbortSignal } & LabelLayout = {},
): Promise<void> {
  // Rows of the table are in the order of the file, and of an id the first with a judgement counts: the next one due is enough.
  let due = 0;
  await withSource(labels, async (source) => {
    for await (const batch of readRows(fileInput(source, signal), { layout, map })) {
      for (const { row } of batch) {
        if (due === joined.count) return;
        if (row === undefined || row.kind !== joined.kind || !isJudged(row) || row.id !== joined.idAt(due)) continue;
        await visit(due++, row);
      }
    }
  });
}

const isJudged = (row: DataRow): boolean =>
  row.kind === 'pair' ? row.votes.length > 0 : row.score !== undefined || row.ratings.length > 0;
