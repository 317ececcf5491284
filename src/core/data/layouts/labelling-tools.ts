import type { RowFields, RowValue } from '../row-json.js';
import { asList, fail, hasAll, invalid, type Layout, type Record, unlessEmpty } from './layout.js';

/** Names under which tools keep the two sides of a comparison, and what it is about. */
const SIDES = [
  ['left', 'right'],
  ['answer1', 'answer2'],
  ['response1', 'response2'],
  ['response_1', 'response_2'],
  ['response-1', 'response-2'],
  ['response_a', 'response_b'],
  ['text1', 'text2'],
  ['image1', 'image2'],
  ['image_1', 'image_2'],
  ['audio1', 'audio2'],
  ['video1', 'video2'],
  ['chosen', 'rejected'],
  ['a', 'b'],
] as const;
const CONTEXTS = ['prompt', 'context', 'question', 'instruction'];
const PICTURE = /\.(?:png|jpe?g|webp|bmp|gif)(?:\?.*)?$|^data:image\//i;

function sidesOf(data: RowFields, field: string): readonly [string, string] {
  const known = SIDES.find(([a, b]) => data.has(a) && data.has(b));
  if (known) return known;
  const others = [...data.keys()].filter(
    (name) => typeof data.get(name) === 'string' && !CONTEXTS.includes(name) && !/id$/i.test(name),
  );
  if (others.length === 2) return others as [string, string];
  return fail('FIELD_INVALID', `${field} must have two items, such as left and right`);
}

const itemOf = (value: RowValue | undefined, field: string): RowValue => {
  if (typeof value !== 'string' || value === '')
    throw invalid(field, 'must be a text or the path of a picture', value ?? null);
  return PICTURE.test(value) ? new Map([['image', value]]) : value;
};

const contextOf = (data: RowFields): string | undefined => {
  const name = CONTEXTS.find((known) => typeof data.get(known) === 'string');
  return name === undefined ? undefined : (data.get(name) as string);
};

/** What two sides are compared in a field of a record, and the pair that they are. */
function comparison(record: Record, field: string) {
  const data = record.need(field);
  if (!(data instanceof Map)) throw invalid(field, 'must be an object', data);
  const sides = sidesOf(data, field);
  const [left, right] = sides.map((name) => itemOf(data.get(name), `${field}.${name}`));
  return { data, sides, pair: { type: 'pair', left, right, context: contextOf(data) } };
}

/** What a rater chose: a side by one of its names; undefined for anything else. */
function voteOf(choice: RowValue | undefined, [first, second]: readonly [string, string]): number | undefined {
  const name = typeof choice === 'string' ? choice.trim().toLowerCase() : String(choice);
  if (['left', 'a', '1', first.toLowerCase()].includes(name)) return 1;
  if (['right', 'b', '2', second.toLowerCase()].includes(name)) return 0;
  return ['tie', 'both', 'equal', 'same', 'none', 'neither'].includes(name) ? 0.5 : undefined;
}

interface Vote {
  readonly vote: number;
  readonly rater: string | null;
}

function judged(votes: readonly Vote[]): { [name: string]: RowValue | undefined } {
  const raters = votes.map(({ rater }) => rater);
  const areNamed = raters.every((rater) => rater !== null) && new Set(raters).size === raters.length;
  return {
    labels: votes.length > 0 ? votes.map(({ vote }) => vote) : undefined,
    raters: votes.length > 0 && areNamed ? (raters as string[]) : undefined,
  };
}

const nameOf = (value: RowValue | undefined): string | null => {
  const id = value instanceof Map ? (value.get('email') ?? value.get('id')) : value;
  return typeof id === 'string' || typeof id === 'number' ? String(id) : null;
};

/** Label Studio's export (JSON): a task a record, with its data and annotations of the tag Pairwise, or of two choices. */
export const labelStudio: Layout = {
  id: 'label-studio',
  of: 'Label Studio, exported as JSON',
  source: 'https://labelstud.io/guide/export',
  recognises: (fields) => hasAll(fields, 'data', 'annotations'),
  *rows(record) {
    const { data, sides, pair } = comparison(record, 'data');
    const votes: Vote[] = [];
    for (const annotation of record.list('annotations')) {
      if (!(annotation instanceof Map) || annotation.get('was_cancelled') === true) continue;
      const vote = chosenBy(annotation, sides);
      if (vote !== undefined) votes.push({ vote, rater: nameOf(annotation.get('completed_by')) });
    }
    const own = data.get('id');
    const id = typeof own === 'string' || typeof own === 'number' ? String(own) : record.id('id', 'inner_id');
    record.drop('id', 'inner_id', ...ABOUT_THE_TASK);
    yield record.row({
      id,
      ...pair,
      ...judged(votes),
      prompt_id: typeof data.get('prompt_id') === 'string' ? data.get('prompt_id') : undefined,
    });
  },
};

const ABOUT_THE_TASK = [
  ...['drafts', 'predictions', 'meta', 'created_at', 'updated_at', 'project', 'updated_by', 'file_upload'],
  ...['total_annotations', 'cancelled_annotations', 'total_predictions', 'comment_count', 'comment_authors'],
  ...['unresolved_comment_count', 'last_comment_updated_at', 'allow_skip'],
];

function chosenBy(annotation: RowFields, sides: readonly [string, string]): number | undefined {
  for (const result of asList(annotation.get('result') ?? [], 'annotations.result')) {
    const value = result instanceof Map ? result.get('value') : undefined;
    if (!(value instanceof Map)) continue;
    const choices = value.get('choices');
    const vote = voteOf(value.get('selected') ?? (Array.isArray(choices) ? choices[0] : undefined), sides);
    if (vote !== undefined) return vote;
  }
  return undefined;
}

/** Argilla's records as JSON: fields, and the responses to a label or ranking question. */
export const argilla: Layout = {
  id: 'argilla',
  of: 'Argilla 2, records as JSON',
  source: 'https://docs.argilla.io/latest/how_to_guides/import_export/',
  recognises: (fields) => hasAll(fields, 'fields', 'responses'),
  *rows(record) {
    const { sides, pair } = comparison(record, 'fields');
    const votes: Vote[] = [];
    const responses = record.take('responses');
    for (const given of responses instanceof Map ? responses.values() : []) {
      for (const response of asList(given, 'responses')) {
        if (!(response instanceof Map)) continue;
        const vote = answered(response.get('value'), sides);
        if (vote !== undefined) votes.push({ vote, rater: nameOf(response.get('user_id') ?? response.get('user')) });
      }
    }
    const metadata = record.take('metadata');
    const groups = new Map(
      [...(metadata instanceof Map ? metadata : [])].filter(([, value]) => typeof value === 'string'),
    );
    record.drop('suggestions', 'status', '_server_id', 'vectors');
    yield record.row({
      id: record.id('id'),
      ...pair,
      ...judged(votes),
      groups: unlessEmpty(groups),
    });
  },
};

/** A label, or a ranking `[{"value":"response-1","rank":1},…]`. */
function answered(value: RowValue | undefined, sides: readonly [string, string]): number | undefined {
  if (!Array.isArray(value)) return voteOf(value, sides);
  const rankOf = (side: number): RowValue | undefined =>
    value.find((one): one is RowFields => one instanceof Map && voteOf(one.get('value'), sides) === side)?.get('rank');
  const [first, second] = [rankOf(1), rankOf(0)];
  if (typeof first !== 'number' || typeof second !== 'number') return undefined;
  return first === second ? 0.5 : first < second ? 1 : 0;
}
