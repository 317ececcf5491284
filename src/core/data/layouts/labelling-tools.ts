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
  return name === BOTH_BAD || ['tie', 'both', 'equal', 'same', 'none', 'neither'].includes(name) ? 0.5 : undefined;
}

/** The answer that neither is any good: a tie, kept apart as a group. */
const BOTH_BAD = 'both_bad';

interface Vote {
  readonly vote: number;
  readonly rater: string | null;
  readonly isBothBad?: boolean;
}

/** @param groups - of the record itself */
function judged(votes: readonly Vote[], groups: RowFields): { [name: string]: RowValue | undefined } {
  const bothBad = votes.filter(({ isBothBad }) => isBothBad).length;
  const raters = votes.map(({ rater }) => rater);
  const areNamed = raters.every((rater) => rater !== null) && new Set(raters).size === raters.length;
  return {
    labels: votes.length > 0 ? votes.map(({ vote }) => vote) : undefined,
    raters: votes.length > 0 && areNamed ? (raters as string[]) : undefined,
    groups: unlessEmpty(bothBad > 0 ? new Map([...groups, [BOTH_BAD, String(bothBad)]]) : groups),
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
      const choice = chosenBy(annotation);
      const vote = voteOf(choice, sides);
      if (vote !== undefined)
        votes.push({ vote, rater: nameOf(annotation.get('completed_by')), isBothBad: choice === BOTH_BAD });
    }
    const own = data.get('id');
    const id = typeof own === 'string' || typeof own === 'number' ? String(own) : record.id('id', 'inner_id');
    record.drop('id', 'inner_id', ...ABOUT_THE_TASK);
    yield record.row({
      id,
      ...pair,
      ...judged(votes, stringsOf(data.get('groups'))),
      ...aboutRow(data),
    });
  },
};

const ABOUT_THE_TASK = [
  ...['drafts', 'predictions', 'meta', 'created_at', 'updated_at', 'project', 'updated_by', 'file_upload'],
  ...['total_annotations', 'cancelled_annotations', 'total_predictions', 'comment_count', 'comment_authors'],
  ...['unresolved_comment_count', 'last_comment_updated_at', 'allow_skip'],
];

/** What a row of ours says beside its sides and votes, where another tool was given it to keep. */
const ABOUT_THE_ROW = ['prompt_id', 'task', 'modality', 'propensity'];
const aboutRow = (kept: RowFields) => Object.fromEntries(ABOUT_THE_ROW.map((name) => [name, kept.get(name)] as const));

const stringsOf = (value: RowValue | undefined): RowFields =>
  new Map([...(value instanceof Map ? value : [])].filter(([, each]) => typeof each === 'string'));

/** The side, or the other choice, of an annotation. */
function chosenBy(annotation: RowFields): RowValue | undefined {
  for (const result of asList(annotation.get('result') ?? [], 'annotations.result')) {
    const value = result instanceof Map ? result.get('value') : undefined;
    if (!(value instanceof Map)) continue;
    const choices = value.get('choices');
    const choice = value.get('selected') ?? (Array.isArray(choices) ? choices[0] : undefined);
    if (choice !== undefined) return choice;
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
        const value = response.get('value');
        const vote = answered(value, sides);
        const rater = nameOf(response.get('user_id') ?? response.get('user'));
        if (vote !== undefined) votes.push({ vote, rater, isBothBad: value === BOTH_BAD });
      }
    }
    const metadata = record.take('metadata');
    const kept = metadata instanceof Map ? metadata : new Map();
    const groups = new Map([...stringsOf(kept)].filter(([name]) => !ABOUT_THE_ROW.includes(name)));
    record.drop('suggestions', 'status', '_server_id', 'vectors');
    yield record.row({
      id: record.id('id'),
      ...pair,
      ...judged(votes, groups),
      ...aboutRow(kept),
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
