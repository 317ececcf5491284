import { toPlainRow } from '../jsonl.js';
import { type DataRow, type Item, type PairRow, RowError } from '../rows.js';
import type { RowSink, RowWriter } from '../write-rows.js';

/** Layouts of others that rows are written in. */
export const OUTPUT_LAYOUTS = ['chosen-rejected', 'label-studio', 'argilla', 'chatbot-arena'] as const;
export type OutputLayout = (typeof OUTPUT_LAYOUTS)[number];

/** What one rater said of a pair, where more is known of it than its vote. */
export interface Judgement {
  /** Null for a pair that the rater has skipped. */
  readonly vote: number | null;
  /** Whether a vote of 0.5 says that neither is any good. */
  readonly bothBad?: boolean;
  readonly rater: string | null;
  readonly seconds?: number;
  /** ISO date and time. */
  readonly at?: string;
}

export interface JudgedPair {
  readonly row: PairRow;
  readonly judgements: readonly Judgement[];
}

/** @throws RowError from `write`, for a row that the layout cannot say; the rest can be written */
export function createLayoutWriter(sink: RowSink, layout: OutputLayout): RowWriter {
  const writer = createJudgedWriter(sink, layout);
  return { write: async (row) => writer.write(judgedPair(asPair(row))), finish: () => writer.finish() };
}

/** As `createLayoutWriter`, with all that is known of the votes. */
export function createJudgedWriter(sink: RowSink, layout: OutputLayout): RowWriter<JudgedPair> {
  const lines = { before: '', between: '', after: '' };
  switch (layout) {
    case 'chosen-rejected':
      return new JsonWriter(sink, ({ row }) => chosenRejected(row), lines);
    case 'label-studio':
      return new JsonWriter(sink, labelStudioTask, { before: '[\n', between: ',\n', after: '\n]\n' });
    case 'argilla':
      return new JsonWriter(sink, argillaRecord, lines);
    case 'chatbot-arena':
      return new JsonWriter(sink, arenaBattles, lines);
  }
}

const judgedPair = (row: PairRow): JudgedPair => ({
  row,
  judgements: row.votes.map((vote, i) => ({ vote, rater: row.raters?.[i] ?? null })),
});

class JsonWriter<T> implements RowWriter<T> {
  private isFirst = true;

  constructor(
    private readonly sink: RowSink,
    private readonly format: (row: T) => string,
    private readonly around: { readonly before: string; readonly between: string; readonly after: string },
  ) {}

  async write(row: T): Promise<void> {
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
function chosenRejected({ left, right, votes, id, context, promptId }: PairRow): string {
  if (votes.length === 0) throw cannot('has no votes, and the layout names the side that was chosen');
  const share = votes.reduce((sum, vote) => sum + vote, 0) / votes.length;
  if (share === 0.5) throw cannot('is a tie, and the layout names the side that was chosen');
  const [chosen, rejected] = share > 0.5 ? [left, right] : [right, left];
  const side = (item: Item): unknown => (typeof item === 'object' && item.messages ? item.messages : item);
  const plain = { id, prompt: context, prompt_id: promptId, chosen: side(chosen), rejected: side(rejected) };
  return `${JSON.stringify(plain)}\n`;
}

/**
 * A task with its annotations, as Label Studio imports and exports them. Its labelling interface has a Pairwise named `preference`,
 * which knows no ties, and Choices named `tie` (`tie`, `both_bad`); a pair that was skipped is an annotation that was cancelled.
 */
function labelStudioTask({ row, judgements }: JudgedPair): string {
  const { id, left, right, context, ...rest } = aboutRow(row);
  const annotations = judgements.map(({ vote, bothBad, rater, seconds, at }, i) => ({
    completed_by: rater ?? i + 1,
    was_cancelled: vote === null,
    ground_truth: false,
    lead_time: seconds,
    created_at: at,
    result: vote === null ? [] : [resultOf(choiceOf(vote, bothBad), i)],
  }));
  return JSON.stringify({ data: { id, left: flat(left), right: flat(right), prompt: context, ...rest }, annotations });
}

function resultOf(choice: Choice, i: number): object {
  const base = { id: `r${i + 1}`, to_name: 'left' };
  if (choice === 'left' || choice === 'right')
    return { ...base, from_name: 'preference', type: 'pairwise', value: { selected: choice } };
  return { ...base, from_name: 'tie', type: 'choices', value: { choices: [choice] } };
}

/** A record of Argilla 2: the fields, and the responses to a label question named `preference`. */
function argillaRecord({ row, judgements }: JudgedPair): string {
  const { id, left, right, context, groups, ...rest } = aboutRow(row);
  const responses = judgements.flatMap(({ vote, bothBad, rater }, i) =>
    vote === null ? [] : { value: choiceOf(vote, bothBad), user_id: rater ?? String(i + 1) },
  );
  const record = {
    id,
    fields: { prompt: context, left: flat(left), right: flat(right) },
    metadata: { ...groups, ...rest },
    responses: { preference: responses },
  };
  return `${JSON.stringify(record)}\n`;
}

const WINNERS = { left: 'model_a', right: 'model_b', tie: 'tie', both_bad: 'tie (bothbad)' } as const;

/** A battle of Chatbot Arena for each vote: the sides are its conversations. */
function arenaBattles({ row, judgements }: JudgedPair): string {
  const { id, left, right, context } = aboutRow(row);
  const battles = judgements.flatMap(({ vote, bothBad, rater, at }, i) =>
    vote === null
      ? []
      : {
          question_id: `${id}#${i + 1}`,
          model_a: 'left',
          model_b: 'right',
          winner: WINNERS[choiceOf(vote, bothBad)],
          judge: rater ?? String(i + 1),
          conversation_a: conversation(left, context),
          conversation_b: conversation(right, context),
          turn: 1,
          anony: true,
          language: 'unknown',
          tstamp: at === undefined ? undefined : Date.parse(at) / 1000,
        },
  );
  return battles.map((battle) => `${JSON.stringify(battle)}\n`).join('');
}

function conversation(item: Item, context: string | undefined): object[] {
  if (typeof item === 'object' && item.messages) return [...item.messages];
  const asked = context === undefined ? [] : [{ role: 'user', content: context }];
  return [...asked, { role: 'assistant', content: flat(item) }];
}

type Choice = keyof typeof WINNERS;

function choiceOf(vote: number, bothBad = false): Choice {
  if (vote === 1) return 'left';
  if (vote === 0) return 'right';
  if (vote !== 0.5) throw cannot('has a soft label, and the layout names a side');
  return bothBad ? 'both_bad' : 'tie';
}

/** What a row says beside its votes. */
function aboutRow(row: PairRow) {
  const { type: _type, labels: _labels, label: _label, raters: _raters, ...rest } = toPlainRow(row);
  return rest as Pick<PairRow, 'id' | 'left' | 'right' | 'context'> & { readonly groups?: object };
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
