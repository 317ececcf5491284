import { withSource } from '../bytes/source.js';
import { fileInput } from '../data/input.js';
import { readRows, readScoreRows } from '../data/read-rows.js';
import { recogniseRows } from '../data/recognise.js';
import { type DataRow, humanScore, type Item } from '../data/rows.js';
import { ITEM_PARTS } from '../modality.js';
import * as z from '../zod.js';

/** Judged rows that examples are looked for among: the first of the file. */
const LOOKED_AT = 2000;
/** Letters of a text that are shown. */
const MOST_TEXT = 120;

/** Where an example stands among the rows looked at, by the size of its logit (of pairs), or by the logit itself (of items). */
export const PICKS = ['surest', 'middle', 'closest', 'highest', 'lowest'] as const;

/** A judged row, what the model said of it, and what raters said. */
export const exampleSchema = z.strictObject({
  pick: z.enum(PICKS),
  id: z.string(),
  /** What went in: texts, or the names of files without their folders. */
  parts: z.array(z.strictObject({ name: z.string(), text: z.string() })),
  logit: z.number(),
  /** P(left preferred), or the place on the scale of the labels; null for items that nothing was calibrated for. */
  value: z.number().nullable(),
  /** Of pairs: how many votes for the left, for the right, for neither. */
  votes: z.strictObject({ left: z.number(), right: z.number(), tie: z.number() }).nullable(),
  /** Of items: the score of raters. */
  rated: z.number().nullable(),
});
export type Example = z.infer<typeof exampleSchema>;

/** An example without what a calibrator makes of its logit. */
export type RawExample = Omit<Example, 'value'>;

/**
 * Three judged rows with their logits: of pairs the surest, the middle and the closest one; of items the highest, the middle and the
 * lowest. Fewer where fewer were judged. The same files give the same ones.
 *
 * @throws HpsError as `readRows`
 */
export async function readExamples(
  { scores, labels }: { readonly scores: string; readonly labels: string },
  kind: DataRow['kind'],
): Promise<RawExample[]> {
  const rows = new Map<string, DataRow>();
  await withSource(labels, async (source) => {
    for await (const batch of readRows(fileInput(source))) {
      for (const { row } of batch)
        if (row && row.kind === kind && isJudged(row) && !rows.has(row.id)) rows.set(row.id, row);
      if (rows.size >= LOOKED_AT) return;
    }
  });
  const scored: { readonly row: DataRow; readonly logit: number }[] = [];
  await withSource(scores, async (source) => {
    const recognised = await recogniseRows(fileInput(source), undefined);
    for await (const batch of readScoreRows(recognised, new Map())) {
      for (const { row: score } of batch) {
        const row = score && rows.get(score.id);
        if (!row) continue;
        scored.push({ row, logit: score.logit });
        rows.delete(score.id);
      }
      if (rows.size === 0) return;
    }
  });
  const size = ({ logit }: { readonly logit: number }) => (kind === 'pair' ? Math.abs(logit) : logit);
  scored.sort((a, b) => size(b) - size(a) || (a.row.id < b.row.id ? -1 : 1));
  const places = [...new Set([0, scored.length >> 1, scored.length - 1])].filter((at) => at >= 0 && at < scored.length);
  const picks =
    kind === 'pair' ? (['surest', 'middle', 'closest'] as const) : (['highest', 'middle', 'lowest'] as const);
  return places.map((at, i) => exampleOf(scored[at].row, scored[at].logit, picks[i]));
}

const isJudged = (row: DataRow): boolean =>
  row.kind === 'pair' ? row.votes.length > 0 : humanScore(row) !== undefined;

function exampleOf(row: DataRow, logit: number, pick: Example['pick']): RawExample {
  const { id, context } = row;
  const given = context === undefined ? [] : [{ name: 'context', text: shortened(context) }];
  if (row.kind === 'absolute') {
    return { pick, id, parts: [...given, ...partsOf('item', row.item)], logit, votes: null, rated: humanScore(row)! };
  }
  const votes = { left: 0, right: 0, tie: 0 };
  for (const vote of row.votes) {
    if (vote === 0.5) votes.tie++;
    else if (vote > 0.5) votes.left++;
    else votes.right++;
  }
  return {
    pick,
    id,
    parts: [...given, ...partsOf('left', row.left), ...partsOf('right', row.right)],
    logit,
    votes,
    rated: null,
  };
}

function partsOf(name: string, item: Item): Example['parts'] {
  if (typeof item === 'string') return [{ name, text: shortened(nameOf(item)) }];
  const parts = ITEM_PARTS.flatMap((part) => {
    const content = item[part];
    if (content === undefined) return [];
    return [{ name: `${name} ${part}`, text: shortened(part === 'text' ? content : nameOf(content)) }];
  });
  const last = item.messages?.at(-1);
  return last === undefined ? parts : [...parts, { name: `${name} ${last.role}`, text: shortened(last.content) }];
}

/** A path or address by its last part: folders may tell of the machine. A text is itself: it has blanks. */
const nameOf = (content: string): string => (/\s/.test(content) ? content : (content.split(/[/\\]/).at(-1) ?? content));

const shortened = (text: string): string => (text.length <= MOST_TEXT ? text : `${text.slice(0, MOST_TEXT - 1)}…`);
