import { toPlainRow } from '../jsonl.js';
import { type DataRow, type Item, type PairRow, RowError } from '../rows.js';
import type { RowSink, RowWriter } from '../write-rows.js';

/** Layouts of others that rows are written in. */
export const OUTPUT_LAYOUTS = ['chosen-rejected', 'label-studio'] as const;
export type OutputLayout = (typeof OUTPUT_LAYOUTS)[number];

/** @throws RowError from `write`, for a row that the layout cannot say; the rest can be written */
export const createLayoutWriter = (sink: RowSink, layout: OutputLayout): RowWriter =>
  layout === 'chosen-rejected'
    ? new JsonWriter(sink, chosenRejected, { before: '', between: '', after: '' })
    : new JsonWriter(sink, labelStudioTask, { before: '[\n', between: ',\n', after: '\n]\n' });

class JsonWriter implements RowWriter {
  private isFirst = true;

  constructor(
    private readonly sink: RowSink,
    private readonly format: (row: DataRow) => string,
    private readonly around: { readonly before: string; readonly between: string; readonly after: string },
  ) {}

  async write(row: DataRow): Promise<void> {
    const text = this.format(row);
    const { before, between } = this.around;
    await this.sink.write(Buffer.from((this.isFirst ? before : between) + text));
    this.isFirst = false;
  }

  async finish(): Promise<void> {
    const { before, after } = this.around;
    await this.sink.write(Buffer.from((this.isFirst ? before : '') + after));
  }
}

/** One line: the side with more of the votes first. */
function chosenRejected(row: DataRow): string {
  const { left, right, votes, id, context, promptId } = asPair(row);
  if (votes.length === 0) throw cannot('has no votes, and the layout names the side that was chosen');
  const share = votes.reduce((sum, vote) => sum + vote, 0) / votes.length;
  if (share === 0.5) throw cannot('is a tie, and the layout names the side that was chosen');
  const [chosen, rejected] = share > 0.5 ? [left, right] : [right, left];
  const side = (item: Item): unknown => (typeof item === 'object' && item.messages ? item.messages : item);
  const plain = { id, prompt: context, prompt_id: promptId, chosen: side(chosen), rejected: side(rejected) };
  return `${JSON.stringify(plain)}\n`;
}

/** A task with its annotations, as Label Studio imports and exports them; its labelling interface has a Pairwise named `preference`. */
function labelStudioTask(row: DataRow): string {
  const { votes, raters } = asPair(row);
  const { id, left, right, context, prompt_id } = toPlainRow(row);
  const annotations = votes.map((vote, i) => ({
    completed_by: raters?.[i] ?? i + 1,
    was_cancelled: false,
    result: [resultOf(vote)],
  }));
  const data = { id, left: flat(left as Item), right: flat(right as Item), prompt: context, prompt_id };
  return JSON.stringify({ data, annotations });
}

function resultOf(vote: number): object {
  if (vote !== 0 && vote !== 1 && vote !== 0.5) throw cannot('has a soft label, and an annotation names a side');
  const base = { from_name: 'preference', to_name: 'left' };
  if (vote === 0.5) return { ...base, type: 'choices', value: { choices: ['tie'] } };
  return { ...base, type: 'pairwise', value: { selected: vote === 1 ? 'left' : 'right' } };
}

/** A text or a path: an object would need an interface of its own. */
function flat(item: Item): string {
  if (typeof item === 'string') return item;
  const parts = Object.values(item);
  if (parts.length === 1 && typeof parts[0] === 'string') return parts[0];
  throw cannot('has items of several parts, which a task has no place for');
}

function asPair(row: DataRow): PairRow {
  if (row.kind === 'pair') return row;
  throw cannot('is no pair');
}

const cannot = (rule: string): RowError => new RowError('FIELD_INVALID', `the row ${rule}`);
