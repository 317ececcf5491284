import { NumberColumn } from '../data/columns.js';
import { Interner } from '../data/interner.js';
import type { LabelTable } from '../data/label-table.js';
import { valueAt } from '../data/layouts/map.js';
import { identifier, invalid, isLogit, measurable, numberOf } from '../data/parse-row.js';
import type { RowFields, RowValue } from '../data/row-json.js';
import { RowError } from '../data/rows.js';
import { HpsError } from '../errors.js';
import { sigmoid } from '../stats/logistic.js';
import { EmbeddingSketch } from './energy.js';
import { type Identity, IdentityBuilder } from './identity.js';
import { type FeatureValue, rankOf, type Sample, SampleBuilder } from './sample.js';

/** Pairs, whose score is a probability, or items. */
export type RowKind = 'pair' | 'item';

/** How rows of other scorers are read. */
export interface RowReading {
  /** The column that holds the score, where it is none of `SCORE_COLUMNS`. */
  readonly score?: string;
  /** The column of clusters, where it is not `prompt_id`. */
  readonly cluster?: string;
  /** More columns that are tested, as figures of inputs. */
  readonly features?: readonly string[];
  readonly kind?: RowKind;
  /** What rows are that do not tell, where `kind` is not said. */
  readonly otherwise?: RowKind;
  /** Group columns: `groups.NAME` or `NAME`. */
  readonly by?: readonly string[];
}

/** Where a score is looked for, in this order. */
const SCORE_COLUMNS = ['logit', 'score', 'reward', 'utility', 'rating', 'value', 'probability'] as const;

/** What is known of rows from elsewhere: their prompts and groups, by id. */
export interface RowContext {
  readonly cluster?: string;
  readonly groups: ReadonlyMap<string, string>;
  /** Share of the votes on a pair that were for the left. */
  readonly label?: number;
  readonly features?: ReadonlyMap<string, FeatureValue>;
}

export type ContextOf = (id: string) => RowContext | undefined;

/** All rows, in the order they were read: what monitors and charts are made from. */
export interface Rows {
  readonly count: number;
  readonly logit: Float64Array;
  /** P(left preferred) of a pair; NaN of an item. */
  readonly probability: Float64Array;
  /** What the row itself says its score is; NaN where it says none. */
  readonly score: Float64Array;
  /** Milliseconds since 1970; NaN where rows do not say. */
  readonly at: Float64Array;
  readonly cluster: Int32Array;
  readonly clusters: number;
  readonly clusterNames: Interner;
  /** Distinct, and the row of each; null where ids are not kept. */
  readonly ids: { readonly names: Interner; readonly rows: Float64Array };
  /** By group column: code of each row's value, -1 without. */
  readonly groups: ReadonlyMap<string, { readonly names: readonly string[]; readonly codes: Int32Array }>;
}

export interface Window {
  readonly kind: RowKind | null;
  readonly rows: Rows;
  readonly sample: Sample;
  readonly identity: Identity;
  /** How often a row is older than the one before it, and by how much at most. */
  readonly clock: { readonly stepsBack: number; readonly mostBackMs: number };
  /** Rows whose id an earlier one has. */
  readonly repeatedIds: number;
  /** Columns that nothing was made of, with how many rows have each. */
  readonly ignored: ReadonlyMap<string, number>;
}

/** Columns that say which row it is, or when and by what it was scored: they are not tested. */
const KNOWN = new Set([
  ...['schema', 'seq', 'at', 'request_id', 'id', 'key', 'row', 'prompt_id', 'cluster', 'task', 'modality'],
  ...['group', 'groups', 'logit', 'score', 'winner', 'confidence', 'calibrated', 'calibratedBy', 'calibrated_by'],
  ...['calibrated_value', 'percentile', 'mu', 'sigma', 'left_sigma', 'right_sigma', 'disagreement', 'truncated'],
  ...['model', 'calibrator', 'preprocessing', 'runtime', 'input', 'input_right', 'embedding'],
]);
const MOST_IGNORED = 100;
/** Columns that an error names. */
const MOST_NAMED = 20;

/** Of a group column as it may be written: `groups.NAME` or `NAME`. */
export const groupName = (column: string): string => column.replace(/^groups?\./, '');

/** Collects rows of a window, or of what becomes a reference. */
export class WindowBuilder {
  private readonly logits = new NumberColumn();
  private readonly probabilities = new NumberColumn();
  private readonly scores = new NumberColumn();
  private readonly times = new NumberColumn();
  private readonly clusterCodes = new NumberColumn();
  private readonly clusterNames = new Interner();
  private readonly ids = new Interner();
  private readonly idRows = new NumberColumn();
  private readonly groupColumns: { readonly name: string; readonly names: Interner; readonly codes: NumberColumn }[];
  private readonly sample = new SampleBuilder();
  private readonly identity = new IdentityBuilder();
  private readonly ignored = new Map<string, number>();
  private sketch: EmbeddingSketch | undefined;
  private kind: RowKind | undefined;
  /** Whether a row told that it is of an item. */
  private itemsSeen = false;
  /** Columns of rows that have none for a score. */
  private readonly unscored = new Set<string>();
  private count = 0;
  private repeated = 0;
  private last = Number.NEGATIVE_INFINITY;
  private stepsBack = 0;
  private mostBackMs = 0;

  constructor(
    private readonly reading: RowReading,
    private readonly contextOf: ContextOf = () => undefined,
  ) {
    this.kind = reading.kind;
    this.groupColumns = (reading.by ?? []).map((name) => ({
      name: groupName(name),
      names: new Interner(),
      codes: new NumberColumn(),
    }));
  }

  /** @throws RowError for a row that cannot be taken */
  add(fields: RowFields, line: number): void {
    const logit = this.logitOf(fields);
    const winner = fields.get('winner');
    if ((winner !== undefined && winner !== null) || fields.has('input_right')) this.kind ??= 'pair';
    else if (isOfItem(fields)) this.itemsSeen = true;
    const id = identifier(fields, 'id') ?? identifier(fields, 'request_id') ?? `row-${line}`;
    const context = this.contextOf(id);
    const key = typeof fields.get('key') === 'string' ? (fields.get('key') as string) : undefined;
    const own = valueAt(fields, this.reading.cluster ?? 'prompt_id') ?? fields.get('cluster');
    const cluster = clusterName(own) ?? context?.cluster ?? key ?? id;
    const groups = groupsOf(fields, context);
    const said = numberOf(fields.get('score') ?? null);
    const rank = rankOf(cluster);
    // First, since it may refuse the row.
    const features = this.sample.accepts(rank) ? this.featuresOf(fields, { logit, said, groups, context }) : null;
    const code = this.clusterNames.codeOfText(cluster);
    if (features) this.sample.add({ cluster: code, rank, features });
    this.logits.push(logit);
    this.scores.push(said ?? Number.NaN);
    this.probabilities.push(probabilityOf(logit, said));
    this.clusterCodes.push(code);
    this.takeTime(fields.get('at'));
    const known = this.ids.size;
    if (this.ids.codeOfText(id) === known) this.idRows.push(this.count);
    else this.repeated++;
    for (const { name, names, codes } of this.groupColumns) {
      const value = groups.get(name);
      codes.push(value === undefined ? -1 : names.codeOfText(value));
    }
    this.identity.add(fields);
    this.countIgnored(fields);
    this.count++;
  }

  /**
   * Refuses rows of which none has a column for its score.
   * @param file - what errors call it
   * @throws HpsError DATA_INVALID
   */
  assertScored(file: string): void {
    if (this.count > 0 || this.unscored.size === 0) return;
    const columns = [...this.unscored];
    const { score } = this.reading;
    const looked = score === undefined ? `any of the columns ${SCORE_COLUMNS.join(', ')}` : `a column ${score}`;
    throw new HpsError('DATA_INVALID', `${file}: no row has ${looked}; the columns are ${columns.join(', ')}`, {
      hint: 'Name the column of the score by `score`.',
      details: { file, score: score ?? null, columns },
    });
  }

  finish(): Window {
    const kind = this.kind ?? (this.itemsSeen ? 'item' : (this.reading.otherwise ?? null));
    const probability = this.probabilities.finish();
    const ints = (column: NumberColumn): Int32Array => Int32Array.from(column.finish());
    return {
      kind,
      rows: {
        count: this.count,
        logit: this.logits.finish(),
        probability: kind === 'pair' ? probability : probability.fill(Number.NaN),
        score: this.scores.finish(),
        at: this.times.finish(),
        cluster: ints(this.clusterCodes),
        clusters: this.clusterNames.size,
        clusterNames: this.clusterNames,
        ids: { names: this.ids, rows: this.idRows.finish() },
        groups: new Map(
          this.groupColumns.map(({ name, names, codes }) => [name, { names: names.texts(), codes: ints(codes) }]),
        ),
      },
      sample: this.sample.finish(),
      identity: this.identity.finish(),
      clock: { stepsBack: this.stepsBack, mostBackMs: this.mostBackMs },
      repeatedIds: this.repeated,
      ignored: this.ignored,
    };
  }

  private logitOf(fields: RowFields): number {
    const { score } = this.reading;
    const names = score === undefined ? SCORE_COLUMNS : [score];
    for (const name of names) {
      const value = valueAt(fields, name);
      if (value === undefined) continue;
      const number = numberOf(value);
      if (number === undefined) throw invalid(name, 'must be a number', value);
      if (!isLogit(number)) throw invalid(name, 'must be within the range of float32, which models compute in', number);
      return measurable(number);
    }
    const empty = names.some((name) => fields.has(name));
    for (const name of empty ? [] : fields.keys()) if (this.unscored.size < MOST_NAMED) this.unscored.add(name);
    throw new RowError('FIELD_MISSING', `${names[0]} is missing`);
  }

  private takeTime(value: RowValue | undefined): void {
    const at = typeof value === 'string' ? Date.parse(value) : Number.NaN;
    this.times.push(at);
    if (Number.isNaN(at)) return;
    if (at < this.last) {
      this.stepsBack++;
      this.mostBackMs = Math.max(this.mostBackMs, this.last - at);
    }
    this.last = at;
  }

  private featuresOf(
    fields: RowFields,
    { logit, said, groups, context }: FeatureSources,
  ): ReadonlyMap<string, FeatureValue> {
    const features = new Map<string, FeatureValue>([['logit', logit]]);
    const put = (name: string, value: FeatureValue | null): void => {
      if (value !== null) features.set(name, value);
    };
    if (said !== undefined && fields.has('logit')) put('score', said);
    for (const name of ['winner', 'modality']) put(name, wordOf(fields.get(name)));
    for (const name of ['sigma', 'disagreement', 'calibrated_value']) put(name, cellOf(fields.get(name)));
    const calibrated = fields.get('calibrated');
    if (typeof calibrated === 'number') put('calibrated_value', calibrated);
    // Rows that say nothing of it are whole: only what was cut off is said.
    put('truncated', String(fields.get('truncated') === true || fields.get('truncated') === 'true'));
    for (const [name, value] of groups) put(`group.${name}`, value);
    const sides = [fields.get('input'), fields.get('input_right')];
    for (const name of new Set(sides.flatMap((side) => (side instanceof Map ? [...side.keys()] : [])))) {
      const cells = sides.map((side) => (side instanceof Map ? cellOf(side.get(name)) : null));
      put(`input.${name}`, sides[1] === undefined ? cells[0] : cells);
    }
    for (const name of fields.keys()) if (name.startsWith('input.')) put(name, cellOf(fields.get(name)));
    for (const name of this.reading.features ?? []) put(name, cellOf(valueAt(fields, name)));
    for (const [name, value] of context?.features ?? []) put(name, value);
    if (context?.label !== undefined && this.kind === 'pair') {
      put(JUDGED.label, context.label);
      put(JUDGED.probability, probabilityOf(logit, said));
    }
    const embedding = fields.get('embedding');
    if (Array.isArray(embedding)) this.putSketch(embedding, put);
    return features;
  }

  private putSketch(embedding: readonly RowValue[], put: (name: string, value: FeatureValue) => void): void {
    const numbers = embedding.map((value) => numberOf(value) ?? Number.NaN);
    this.sketch ??= new EmbeddingSketch(numbers.length);
    if (numbers.length !== this.sketch.length || !numbers.every(Number.isFinite)) {
      throw invalid('embedding', `must be ${this.sketch.length} numbers`, `${numbers.length} values`);
    }
    put('embedding', this.sketch.of(numbers));
  }

  private countIgnored(fields: RowFields): void {
    const { score, cluster, features = [] } = this.reading;
    for (const name of fields.keys()) {
      const taken = KNOWN.has(name) || name.startsWith('input.') || name.startsWith('group.');
      if (taken || name === score || name === cluster || features.includes(name)) continue;
      if (this.ignored.has(name) || this.ignored.size < MOST_IGNORED)
        this.ignored.set(name, (this.ignored.get(name) ?? 0) + 1);
    }
  }
}

interface FeatureSources {
  readonly logit: number;
  readonly said: number | undefined;
  readonly groups: ReadonlyMap<string, string>;
  readonly context: RowContext | undefined;
}

/** Columns of the sample for the votes on rows, and what was said of these. */
export const JUDGED = { label: 'judged.label', probability: 'judged.probability' } as const;

/** Of a pair: what the row states, or else the sigmoid of its logit. */
const probabilityOf = (logit: number, said: number | undefined): number =>
  said !== undefined && said >= 0 && said <= 1 ? said : sigmoid(logit);

/** A number, also one of a table without types, or a word. */
function cellOf(value: RowValue | undefined): number | string | null {
  if (value === undefined || value === null) return null;
  return numberOf(value) ?? wordOf(value);
}

/** Rows of `batch` that are of a pair have a winner, and rows that `serve` logs of one the facts of its right side. */
function isOfItem(fields: RowFields): boolean {
  const logged = ['schema', 'input', 'key'].every((name) => fields.has(name));
  return logged || ['model', 'logit', 'score', 'calibrated'].every((name) => fields.has(name));
}

/** Characters of a word that is told from others. */
const WORD_LENGTH = 200;

const wordOf = (value: RowValue | undefined): string | null =>
  typeof value === 'string' || typeof value === 'boolean' ? String(value).slice(0, WORD_LENGTH) : null;

const clusterName = (value: RowValue | undefined): string | undefined =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint' ? String(value) : undefined;

/** A log has `group`, rows of data have `groups`; what the row itself says goes before what is known of it. */
function groupsOf(fields: RowFields, context: RowContext | undefined): ReadonlyMap<string, string> {
  const groups = new Map(context?.groups ?? []);
  for (const name of ['groups', 'group']) {
    const own = fields.get(name);
    if (!(own instanceof Map)) continue;
    for (const [group, value] of own) if (value !== null) groups.set(group, String(value).slice(0, WORD_LENGTH));
  }
  const task = fields.get('task');
  if (typeof task === 'string') groups.set('task', task.slice(0, WORD_LENGTH));
  return groups;
}

/** Prompts and groups that label rows have. */
export function contextOfLabels(labels: LabelTable): ContextOf {
  return (id) => {
    const row = labels.ids.findText(id);
    if (row < 0) return undefined;
    const groups = new Map<string, string>();
    for (const [name, { names, codes }] of labels.groups) if (codes[row] >= 0) groups.set(name, names[codes[row]]);
    const cluster = labels.cluster.names[labels.cluster.codes[row]];
    if (labels.kind !== 'pair') return { cluster, groups };
    const votes = labels.votesLeft[row] + labels.votesRight[row];
    return { cluster, groups, ...(votes > 0 ? { label: labels.votesLeft[row] / votes } : {}) };
  };
}
