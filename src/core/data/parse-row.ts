import { LIMITS } from '../limits.js';
import { ITEM_PARTS, type ItemPart, MODALITIES, type Modality, partsOf } from '../modality.js';
import { parseRowValue, quote, type RowFields, type RowValue } from './row-json.js';
import {
  type AbsoluteRow,
  AUXILIARY,
  type AuxLabels,
  type AuxScores,
  type DataRow,
  type Item,
  type PairRow,
  type Percentile,
  RowError,
  type ScoreRow,
  type Turn,
  WINNERS,
  type Winner,
} from './rows.js';
import type { ScoreWindows } from './score-windows.js';
import { VoteSpelling } from './vote-coding.js';

/** Field names that are not part of the format, with the number of rows that have each. */
export type IgnoredFields = Map<string, number>;

/** Names kept in `IgnoredFields`; a hostile file has a new one on every row. */
const MAX_IGNORED_NAMES = 1000;

interface RowType {
  readonly kind: DataRow['kind'];
  readonly modality?: Modality;
  /** `{"type":"text","text":…}`: the item stands under the type's own name, and the id may be left out. */
  readonly shorthand?: boolean;
}

/** `image_text` as in `pairwise_image_text`, or `image-text` as in manifests. */
const modalitySpellings = (modality: Modality): string[] => [...new Set([modality, modality.replace('-', '_')])];

/** Every spelling of `type` that users' files have. */
export const ROW_TYPES: ReadonlyMap<string, RowType> = new Map<string, RowType>([
  ['pair', { kind: 'pair' }],
  ['abs', { kind: 'absolute' }],
  ...MODALITIES.flatMap((modality) =>
    modalitySpellings(modality).flatMap((spelling): [string, RowType][] => [
      [`pairwise_${spelling}`, { kind: 'pair', modality }],
      [spelling, { kind: 'absolute', modality, shorthand: true }],
    ]),
  ),
]);

const SPELLED_MODALITIES: ReadonlyMap<string, Modality> = new Map(
  MODALITIES.flatMap((modality) => modalitySpellings(modality).map((spelling) => [spelling, modality] as const)),
);

const COMMON_FIELDS = [
  'id',
  'type',
  'context',
  'task',
  'modality',
  'prompt_id',
  'groups',
  'raters',
  'label',
  'propensity',
];
const PAIR_FIELDS = new Set([...COMMON_FIELDS, 'left', 'right', 'chosen', 'rejected', 'labels']);
const ABSOLUTE_FIELDS = new Set([...COMMON_FIELDS, 'item', 'content', 'score', 'ratings', 'aux']);
const SHORTHAND_FIELDS = new Set([...ABSOLUTE_FIELDS, ...ITEM_PARTS, 'messages']);
const SCORE_FIELDS = new Set([
  ...['id', 'logit', 'score', 'winner', 'confidence'],
  ...['calibrated', 'calibrated_value', 'calibratedBy', 'calibrated_by', 'percentile'],
  ...['mu', 'sigma', 'left_sigma', 'right_sigma'],
  ...['aux', 'marks', 'disagreement', 'task', 'truncated', 'windows', 'row', 'model', 'runtime'],
]);

/**
 * One row of a data file in the internal form. Fields the format does not have are counted in `ignored`, not refused.
 *
 * @param place - 1-based line, or what tells rows of one line apart; becomes the id `row-PLACE` of a shorthand item that has none
 * @param votes - how votes are spelled in the file
 * @throws RowError naming field and rule; the zod schemas in schema.ts state the same rules
 */
export function parseDataRow(
  fields: RowFields,
  place: number | string,
  ignored: IgnoredFields,
  votes: VoteSpelling = new VoteSpelling(),
): DataRow {
  const spelling =
    optionalString(fields, 'type') ??
    typeShown((name) => fieldValue(fields, name) !== undefined) ??
    missing('type', isScoreRow(fields) ? 'a row of scores' : '');
  const type = ROW_TYPES.get(spelling);
  if (!type)
    throw new RowError('TYPE_UNKNOWN', `type ${quote(spelling)} is not one of ${[...ROW_TYPES.keys()].join(', ')}`);
  if (type.kind === 'pair') {
    countIgnored(fields, PAIR_FIELDS, ignored);
    return parsePair(fields, type, votes);
  }
  countIgnored(fields, type.shorthand ? SHORTHAND_FIELDS : ABSOLUTE_FIELDS, ignored);
  return parseAbsolute(fields, type, place);
}

/** The type of a row that states none, by what it has: two sides, an item under the name of its parts, or content. */
export function typeShown(has: (field: string) => boolean): string | undefined {
  if (has('logit')) return undefined;
  if (has('left') || has('right') || (has('chosen') && has('rejected'))) return 'pair';
  if (has('content')) return 'abs';
  const parts = ITEM_PARTS.filter(has).join('-');
  if (SPELLED_MODALITIES.has(parts)) return parts;
  if (SPELLED_MODALITIES.has(parts.split('-').reverse().join('-'))) return parts.split('-').reverse().join('-');
  return has('messages') ? 'text' : undefined;
}

/** Whether a row is what a model said of a sample, and no sample or label. */
export const isScoreRow = (fields: RowFields): boolean => fields.has('logit') && !fields.has('type');

/**
 * One row of a score file.
 *
 * @throws RowError naming field and rule
 */
export function parseScoreRow(fields: RowFields, ignored: IgnoredFields): ScoreRow {
  countIgnored(fields, SCORE_FIELDS, ignored);
  const winner = optionalString(fields, 'winner');
  if (winner !== undefined && !isWinner(winner))
    throw invalid('winner', `must be one of ${WINNERS.join(', ')}`, winner);
  const isLabel = fields.has('type') && !fields.has('logit');
  return compact<ScoreRow>({
    id: identifier(fields, 'id') ?? missing('id'),
    logit: optionalLogit(fields) ?? missing('logit', isLabel ? 'a row of samples or labels' : ''),
    score: optionalNumber(fields, 'score'),
    winner,
    confidence: optionalNumber(fields, 'confidence'),
    calibrated: parseCalibrated(fields),
    calibratedBy: optionalString(fields, 'calibratedBy') ?? optionalString(fields, 'calibrated_by'),
    percentile: parsePercentile(fields),
    mu: optionalNumber(fields, 'mu'),
    sigma: optionalNumber(fields, 'sigma'),
    left_sigma: optionalNumber(fields, 'left_sigma'),
    right_sigma: optionalNumber(fields, 'right_sigma'),
    aux: parseAuxScores(fields),
    marks: parseMarks(fields),
    disagreement: optionalNumber(fields, 'disagreement'),
    task: optionalString(fields, 'task'),
    truncated: optionalFlag(fields, 'truncated') || undefined,
    windows: parseWindows(fields),
    row: optionalNumber(fields, 'row'),
    model: optionalString(fields, 'model'),
    runtime: parseRuntime(fields),
  });
}

function optionalLogit(fields: RowFields): number | undefined {
  const logit = optionalNumber(fields, 'logit');
  if (logit === undefined || isLogit(logit)) return logit;
  throw invalid('logit', 'must be within the range of float32, which models compute in', logit);
}

const FLOAT32 = { max: (2 - 2 ** -23) * 2 ** 127, leastNormal: 2 ** -126 } as const;

/** Whether a number may be a logit: a larger one is no model's, and statistics of it would overflow. */
export const isLogit = (value: number): boolean => Math.abs(value) <= FLOAT32.max;

/** A logit as statistics take it: what is smaller than any normal float32 is none, and dividing by it would overflow. */
export const measurable = (logit: number): number => (Math.abs(logit) < FLOAT32.leastNormal ? 0 : logit);

/** Tables have a value beside the flag; JSON has either in one field. */
function parseCalibrated(fields: RowFields): number | boolean | undefined {
  return (
    optionalNumber(fields, 'calibrated_value') ??
    (numberOf(fields.get('calibrated') ?? null) === undefined
      ? optionalFlag(fields, 'calibrated')
      : optionalNumber(fields, 'calibrated'))
  );
}

/** In a table the sides of a pair are part of the columns' names: `aux.left.toxicity`. */
function parseAuxScores(fields: RowFields): ScoreRow['aux'] {
  const aux = fieldValue(fields, 'aux');
  if (aux === undefined) return undefined;
  const members = (of: RowValue, start: string): AuxScores => {
    if (!(of instanceof Map)) throw invalid('aux', 'must be an object', of);
    return compact<AuxScores>(
      Object.fromEntries(AUXILIARY.map((name) => [name, optionalNumber(of, `${start}${name}`, `aux.${name}`)])),
    );
  };
  if (!(aux instanceof Map)) throw invalid('aux', 'must be an object', aux);
  const names = [...aux.keys()];
  if (names.some((name) => name === 'left' || name === 'right')) {
    return { left: members(aux.get('left') ?? null, ''), right: members(aux.get('right') ?? null, '') };
  }
  if (!names.some((name) => name.includes('.'))) return members(aux, '');
  return { left: members(aux, 'left.'), right: members(aux, 'right.') };
}

/** A list, or in a table one text. */
function parseMarks(fields: RowFields): readonly string[] | undefined {
  const marks = fieldValue(fields, 'marks');
  if (marks === undefined) return undefined;
  const list = typeof marks === 'string' ? marks.split(' ') : boundedList(marks, 'marks');
  return list.map((mark) => (typeof mark === 'string' ? mark : fail('marks', 'each must be a text', mark)));
}

function parsePercentile(fields: RowFields): Percentile | undefined {
  const percentile = fieldValue(fields, 'percentile');
  if (percentile === undefined) return undefined;
  if (!(percentile instanceof Map)) throw invalid('percentile', 'must be an object', percentile);
  const [below, low, high, n] = ['below', 'low', 'high', 'n'].map((name) => optionalNumber(percentile, name));
  if (below === undefined || low === undefined || high === undefined || n === undefined)
    throw new RowError('FIELD_MISSING', 'percentile must have below, low, high and n');
  return { below, low, high, n };
}

/** An object, in tables as its JSON: it is handed on as it is. */
function parseWindows(fields: RowFields): ScoreWindows | undefined {
  const value = fieldValue(fields, 'windows');
  if (value === undefined) return undefined;
  const windows = typeof value === 'string' ? parseRowValue(value) : value;
  if (windows instanceof Map) return plain(windows) as ScoreWindows;
  throw invalid('windows', 'must be an object', value);
}

/** Objects of a row are maps. */
function plain(value: RowValue): unknown {
  if (value instanceof Map) return Object.fromEntries(Array.from(value, ([key, each]) => [key, plain(each)]));
  return Array.isArray(value) ? value.map(plain) : value;
}

function parseRuntime(fields: RowFields): ScoreRow['runtime'] {
  const runtime = fieldValue(fields, 'runtime');
  if (runtime === undefined) return undefined;
  if (!(runtime instanceof Map)) throw invalid('runtime', 'must be an object', runtime);
  return compact({
    version: optionalString(runtime, 'version'),
    device: optionalString(runtime, 'device'),
    threads: optionalNumber(runtime, 'threads'),
    optimization: optionalString(runtime, 'optimization'),
  });
}

function parsePair(fields: RowFields, type: RowType, spelling: VoteSpelling): PairRow {
  const id = identifier(fields, 'id') ?? missing('id');
  const preferred = isPreference(fields);
  const judged = parseVotes(fields, spelling);
  const votes = preferred && judged.length === 0 ? [1] : judged;
  const row: Begun<PairRow> = { kind: 'pair', id, votes };
  parseCommon(row, fields, type, { field: 'labels', count: votes.length });
  row.left = item(fields, preferred ? 'chosen' : 'left');
  row.right = item(fields, preferred ? 'rejected' : 'right');
  if (preferred && judged.length === 0) row.preference = true;
  return row as PairRow;
}

/** `chosen` and `rejected` instead of `left` and `right`: one vote for the first, unless the row has votes of its own. */
const isPreference = (fields: RowFields): boolean =>
  fieldValue(fields, 'chosen') !== undefined && fieldValue(fields, 'left') === undefined;

function parseAbsolute(fields: RowFields, type: RowType, place: number | string): AbsoluteRow {
  const id = identifier(fields, 'id') ?? (type.shorthand ? `row-${place}` : missing('id'));
  const ratings = parseRatings(fields);
  const row: Begun<AbsoluteRow> = { kind: 'absolute', id, ratings };
  parseCommon(row, fields, type, { field: 'ratings', count: ratings.length });
  row.item = type.shorthand ? shorthandItem(fields, type.modality) : item(fields, 'content');
  const [score, aux] = [parseScore(fields), parseAux(fields)];
  if (score !== undefined) row.score = score;
  if (aux) row.aux = aux;
  return row as AbsoluteRow;
}

/** A row that gets its fields one after the other; what is absent has no key. Copies of parts would take longer than all the rest. */
type Begun<T extends DataRow> = { -readonly [K in keyof T]?: T[K] } & Pick<T, 'id'>;

function parseCommon(
  row: Begun<PairRow> | Begun<AbsoluteRow>,
  fields: RowFields,
  type: RowType,
  judged: { field: string; count: number },
): void {
  const context = optionalString(fields, 'context');
  const task = optionalString(fields, 'task');
  const modality = parseModality(fields, type);
  if (context !== undefined) row.context = context;
  if (task !== undefined) row.task = task;
  if (modality !== undefined) row.modality = modality;
  row.promptId = identifier(fields, 'prompt_id') ?? row.id;
  row.groups = parseGroups(fields);
  const raters = parseRaters(fields, judged);
  const propensity = parsePropensity(fields);
  if (raters) row.raters = raters;
  if (propensity !== undefined) row.propensity = propensity;
}

function parsePropensity(fields: RowFields): number | undefined {
  const propensity = optionalNumber(fields, 'propensity');
  if (propensity === undefined || isPropensity(propensity)) return propensity;
  throw invalid('propensity', `must be from ${LEAST_PROPENSITY} to 1`, propensity);
}

/** Whether a number can be how probable it was that a row would be asked for. */
export const isPropensity = (value: number): boolean => value >= LEAST_PROPENSITY && value <= 1;

/** One row in a pool of a billion. */
export const LEAST_PROPENSITY = 1e-9;

/** `modality`, an absolute row's `item`, and the modality within `type`, which must not contradict each other. */
function parseModality(fields: RowFields, type: RowType): Modality | undefined {
  let modality = type.modality;
  for (const field of type.kind === 'pair' ? ['modality'] : ['modality', 'item']) {
    const spelling = optionalString(fields, field);
    if (spelling === undefined) continue;
    const named = SPELLED_MODALITIES.get(spelling) ?? fail(field, `must be one of ${MODALITIES.join(', ')}`, spelling);
    if (modality !== undefined && modality !== named)
      throw invalid(field, `contradicts the row's other ${modality}`, named);
    modality = named;
  }
  return modality;
}

function parseVotes(fields: RowFields, spelling: VoteSpelling): readonly number[] {
  const labels = fieldValue(fields, 'labels');
  const label = fieldValue(fields, 'label');
  if (labels !== undefined && label !== undefined) throw invalid('label', 'must not stand beside labels', label);
  if (label !== undefined) return [parseSoftLabel(label, spelling)];
  if (labels === undefined) return [];
  return boundedList(labels, 'labels').map(
    (vote) => spelling.decode(numberOf(vote) ?? vote) ?? refuse(`labels each vote ${spelling.refusal(vote)}`),
  );
}

function parseSoftLabel(label: RowValue, spelling: VoteSpelling): number {
  if (label === 'left') return 1;
  if (label === 'right') return 0;
  const value = numberOf(label);
  if (value !== undefined && value >= 0 && value <= 1 && !spelling.coding) return value;
  return (
    spelling.decode(value ?? label) ??
    refuse(
      spelling.coding
        ? `label ${spelling.refusal(label)}`
        : `label must be left, right or a number from 0 to 1, not ${quote(label)}`,
    )
  );
}

function parseScore(fields: RowFields): number | undefined {
  const score = optionalNumber(fields, 'score');
  const label = optionalNumber(fields, 'label');
  if (score !== undefined && label !== undefined) throw invalid('label', 'must not stand beside score', label);
  return score ?? label;
}

function parseRatings(fields: RowFields): readonly number[] {
  const ratings = fieldValue(fields, 'ratings');
  if (ratings === undefined) return [];
  return boundedList(ratings, 'ratings').map(
    (rating) => numberOf(rating) ?? fail('ratings', 'each must be a number', rating),
  );
}

function parseRaters(fields: RowFields, judged: { field: string; count: number }): readonly string[] | undefined {
  const value = fieldValue(fields, 'raters');
  if (value === undefined) return undefined;
  const raters = boundedList(value, 'raters').map((rater) =>
    typeof rater === 'string' && rater !== '' ? rater : fail('raters', 'each must be a name', rater),
  );
  if (raters.length !== judged.count) {
    throw invalid('raters', `must name one rater for each of ${judged.count} ${judged.field}`, raters);
  }
  if (new Set(raters).size < raters.length) throw invalid('raters', 'must not name a rater twice', raters);
  return raters;
}

function parseGroups(fields: RowFields): ReadonlyMap<string, string> {
  const groups = fieldValue(fields, 'groups');
  if (groups === undefined) return NO_GROUPS;
  if (!(groups instanceof Map)) throw invalid('groups', 'must be an object of strings', groups);
  for (const [name, value] of groups) {
    if (value !== null && typeof value !== 'string') throw invalid(`groups.${name}`, 'must be a string', value);
  }
  return withoutNulls(groups) as ReadonlyMap<string, string>;
}

const NO_GROUPS: ReadonlyMap<string, string> = new Map();

function parseAux(fields: RowFields): AuxLabels | undefined {
  const aux = fieldValue(fields, 'aux');
  if (aux === undefined) return undefined;
  if (!(aux instanceof Map)) throw invalid('aux', 'must be an object', aux);
  const flag = (name: string): 0 | 1 | undefined => {
    const value = fieldValue(aux, name);
    const number = numberOf(value ?? null);
    return value === undefined
      ? value
      : number === 0 || number === 1
        ? number
        : fail(`aux.${name}`, 'must be 0 or 1', value);
  };
  const quality = optionalNumber(aux, 'quality', 'aux.quality');
  if (quality !== undefined && !(Number.isSafeInteger(quality) && quality >= 0)) {
    throw invalid('aux.quality', 'must be a class number from 0', quality);
  }
  return compact<AuxLabels>({
    quality,
    fluency: flag('fluency'),
    toxicity: flag('toxicity'),
  });
}

function item(fields: RowFields, field: string): Item {
  const value = fieldValue(fields, field);
  if (value === undefined) return missing(field);
  if (typeof value === 'string') return value !== '' ? value : fail(field, 'must not be empty', value);
  if (Array.isArray(value)) return { messages: turns(value, field) };
  const parts = value instanceof Map ? withoutNulls(value) : undefined;
  if (!parts || parts.size === 0)
    throw invalid(
      field,
      `must be a string, an object of ${ITEM_PARTS.join(', ')}, images, or a list of messages`,
      value,
    );
  const messages = parts.get('messages');
  if (messages !== undefined && parts.size === 1) return { messages: turns(messages, `${field}.messages`) };
  if (parts.has('images') && parts.has('image')) throw invalid(field, 'must not have image beside images', value);
  const contents = Array.from(parts, ([part, content]) => {
    if (part === 'images') return [part, pictures(content, `${field}.images`)] as const;
    if (!ITEM_PARTS.includes(part as ItemPart))
      throw invalid(`${field}.${part}`, `is not one of ${ITEM_PARTS.join(', ')}`, content);
    return [part, partContent(content, part, `${field}.${part}`)] as const;
  });
  return Object.fromEntries(contents) as Item;
}

/** A string, or for media `{"base64":…}`, which becomes a `data:` URL. */
function partContent(value: RowValue, part: string, field: string): string {
  const inline = value instanceof Map && value.size === 1 && part !== 'text' ? value.get('base64') : undefined;
  if (typeof inline === 'string' && inline !== '') return `data:;base64,${inline}`;
  if (typeof value === 'string' && value !== '') return value;
  throw invalid(field, 'must be a string that is not empty', value);
}

/** Several pictures of one item; a column of a table holds them as JSON. */
function pictures(value: RowValue, field: string): string[] {
  const list = typeof value === 'string' ? parseRowValue(value) : value;
  if (!Array.isArray(list) || list.length === 0 || list.length > LIMITS.imagesPerItem)
    throw invalid(field, `must be a list of 1 to ${LIMITS.imagesPerItem} images`, value);
  return list.map((one: RowValue, i) => partContent(one, 'image', `${field}[${i}]`));
}

/** `[{"role":…,"content":…},…]`; a column of a table holds it as JSON. */
function turns(value: RowValue, field: string): Turn[] {
  const list = typeof value === 'string' ? parseRowValue(value) : value;
  if (!Array.isArray(list) || list.length === 0) throw invalid(field, 'must be a list of messages', value);
  return list.map((turn: RowValue, i): Turn => {
    const text = (name: string): string => {
      const found = turn instanceof Map ? turn.get(name) : undefined;
      if (typeof found === 'string' && (found !== '' || name === 'content')) return found;
      throw invalid(`${field}[${i}]`, `must have a ${name} that is a string`, turn);
    };
    return { role: text('role'), content: text('content') };
  });
}

/** `{"type":"text","text":…}`, or each part of `{"type":"image_text","image":…,"text":…}`, or `content` as elsewhere. */
function shorthandItem(fields: RowFields, modality: Modality | undefined): Item {
  const contents = new Map<string, string>();
  for (const part of ITEM_PARTS) {
    const content = fieldValue(fields, part);
    if (content !== undefined) contents.set(part, partContent(content, part, part));
  }
  if (fieldValue(fields, 'content') !== undefined) return item(fields, 'content');
  const messages = fieldValue(fields, 'messages');
  if (messages !== undefined && modality === 'text' && !contents.has('text'))
    return { messages: turns(messages, 'messages') };
  const present = (modality ? partsOf(modality) : []).map(
    (part) => [part, contents.get(part) ?? missing(part)] as const,
  );
  return present.length === 1 ? present[0][1] : (Object.fromEntries(present) as Item);
}

/** A string, or an integer as its digits. */
export function identifier(fields: RowFields, field: string): string | undefined {
  const value = fieldValue(fields, field);
  if (value === undefined) return undefined;
  if (typeof value === 'string' && value !== '') return value;
  if (typeof value === 'bigint' || Number.isSafeInteger(value)) return String(value);
  throw invalid(field, 'must be an integer or a string that is not empty', value);
}

function boundedList(value: RowValue, field: string): readonly RowValue[] {
  if (!Array.isArray(value) || value.length === 0) throw invalid(field, 'must be a list that is not empty', value);
  if (value.length > LIMITS.votes) throw invalid(field, `must have at most ${LIMITS.votes} entries`, value.length);
  return value;
}

function optionalString(fields: RowFields, field: string): string | undefined {
  const value = fieldValue(fields, field);
  return value === undefined || typeof value === 'string' ? value : fail(field, 'must be a string', value);
}

function optionalNumber(fields: RowFields, field: string, name = field): number | undefined {
  const value = fieldValue(fields, field);
  if (value === undefined) return undefined;
  const rule =
    typeof value === 'string' && DECIMAL_COMMA.test(value) ? 'must be a number with a point' : 'must be a number';
  return numberOf(value) ?? fail(name, rule, value);
}

/** Tables without types have words for it. */
function optionalFlag(fields: RowFields, field: string): boolean | undefined {
  const value = fieldValue(fields, field);
  if (value === undefined || typeof value === 'boolean') return value;
  return value === 'true' || value === 'false'
    ? value === 'true'
    : fail(field, 'must be true, false or a number', value);
}

/** A number written as text. */
export const NUMBER = /^\s*-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*$/;
const DECIMAL_COMMA = /^\s*-?\d+,\d+\s*$/;

/** A number, also one that is written as text, as tables without types have it; undefined for anything else. */
export function numberOf(value: RowValue): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint') return Number(value);
  if (typeof value !== 'string' || !NUMBER.test(value)) return undefined;
  const number = Number(value);
  if (!Number.isFinite(number)) throw new RowError('NUMBER_OUT_OF_RANGE', `number ${quote(value.trim())} is too large`);
  return number;
}

/** Members that a table's struct has for the sake of other rows are null. */
const withoutNulls = (fields: RowFields): RowFields =>
  [...fields.values()].includes(null) ? new Map([...fields].filter(([, value]) => value !== null)) : fields;

const isWinner = (value: string): value is Winner => (WINNERS as readonly string[]).includes(value);

function countIgnored(fields: RowFields, known: ReadonlySet<string>, ignored: IgnoredFields): void {
  for (const field of fields.keys()) {
    if (known.has(field)) continue;
    const count = ignored.get(field);
    if (count !== undefined || ignored.size < MAX_IGNORED_NAMES) ignored.set(field, (count ?? 0) + 1);
  }
}

/** Without the keys whose value is undefined, so that rows compare and print cleanly. */
function compact<T extends object>(value: { [K in keyof T]: T[K] | undefined }): T {
  const result: Partial<T> = {};
  for (const key in value) if (value[key] !== undefined) result[key] = value[key];
  return result as T;
}

/** A field's value; null means that it is absent, as tables exported to JSON have it. */
function fieldValue(fields: RowFields, field: string): Exclude<RowValue, null> | undefined {
  return fields.get(field) ?? undefined;
}

/** @param instead - what the row seems to be, if that is known */
function missing(field: string, instead = ''): never {
  throw new RowError('FIELD_MISSING', `${field} is missing${instead && `: this is ${instead}`}`);
}

function refuse(message: string): never {
  throw new RowError('FIELD_INVALID', message);
}

/** What a field that breaks a rule is refused with. */
export function invalid(field: string, rule: string, value: unknown): RowError {
  return new RowError('FIELD_INVALID', `${field} ${rule}, not ${quote(value)}`);
}

function fail(field: string, rule: string, value: unknown): never {
  throw invalid(field, rule, value);
}
