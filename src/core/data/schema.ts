import { LIMITS } from '../limits.js';
import { ITEM_PARTS, type ItemPart, MODALITIES, partsOf } from '../modality.js';
import * as z from '../zod.js';
import { isPropensity, LEAST_PROPENSITY, NUMBER, ROW_TYPES, typeShown } from './parse-row.js';
import { WINNERS } from './rows.js';
import { AGGREGATES } from './score-windows.js';

/**
 * The row formats as zod schemas, for JSON Schema and for callers who check rows they have in memory. Reading files goes
 * through the hand-written parser of parse-row.ts, which states the same rules (a test holds the two together) and is
 * several times faster. Fields that are not listed are allowed and ignored; null means absent.
 */

/** The schema's value or null, which means absent. */
const optional = <T extends z.ZodType>(schema: T) => schema.nullish();

/** A number, also one that is written as text. */
const numericText = z.string().regex(NUMBER);
const number = z.union([z.number(), numericText]);
/** @param accepts - of the numbers of `schema` those that may be written as text */
const orText = <T extends z.ZodType>(schema: T, accepts: (value: number) => boolean) =>
  z.union([schema, numericText.refine((text) => accepts(Number(text)))]);
const isVote = (value: number): boolean => value === 1 || value === 0 || value === 0.5;
const isClass = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;
const isFlag = (value: number): boolean => value === 0 || value === 1;

const identifier = z.union([z.string().min(1), z.int()]).describe('A string, or an integer read as its digits');
const typeSpellings = (kind: 'pair' | 'absolute', shorthand: boolean): string[] =>
  [...ROW_TYPES]
    .filter(([, type]) => type.kind === kind && (type.shorthand ?? false) === shorthand)
    .map(([name]) => name);
const modality = z.enum([...new Set(MODALITIES.flatMap((name) => [name, name.replace('-', '_')]))] as [
  string,
  ...string[],
]);

const text = optional(z.string().min(1));
const medium = z.union([
  z.string().min(1),
  z.strictObject({ base64: z.string().min(1) }).describe('The bytes themselves, instead of a path'),
]);
const media = optional(medium);
/** A column of a table holds them as JSON. */
const images = optional(
  z
    .union([z.array(medium).min(1).max(LIMITS.imagesPerItem), z.string().min(2)])
    .describe('Several pictures of one item, which people judge together'),
);
const itemParts = z
  .strictObject({ image: media, text, audio: media, video: media, images })
  .refine(
    (parts) => parts.images != null || ITEM_PARTS.some((part) => parts[part] != null),
    'must have at least one part',
  )
  .refine(({ image, images }) => image == null || images == null, 'must not have image beside images');
const turns = z.array(z.looseObject({ role: z.string().min(1), content: z.string() })).min(1);
/** A column of a table holds a conversation as JSON. */
const conversation = z.strictObject({ messages: z.union([turns, z.string().min(2)]) });
const item = z
  .union([z.string().min(1), itemParts, conversation, turns])
  .describe('A path, an address or inline text, or one for each part, or the messages of a conversation');

const raters = z.array(z.string().min(1)).min(1).max(LIMITS.votes);
const hasRaterPerJudgement = (names: readonly string[] | null | undefined, judgements: number): boolean =>
  !names || (names.length === judgements && new Set(names).size === names.length);

const common = {
  context: optional(z.string()),
  task: optional(z.string()),
  modality: optional(modality),
  prompt_id: optional(identifier).describe('The cluster: rows that share a prompt'),
  groups: optional(z.record(z.string(), optional(z.string()))),
  raters: optional(raters).describe('One name for each vote or rating'),
  propensity: optional(orText(z.number().min(LEAST_PROPENSITY).max(1), isPropensity)).describe(
    'How probable it was that this row would be asked for; it counts as one over that',
  ),
};

/** A pair and its votes: 1 left preferred, 0 right, 0.5 tie; `label` instead of `labels` is one judgement, possibly soft. */
export const pairRowSchema = z
  .looseObject({
    ...common,
    id: identifier,
    type: optional(z.enum(typeSpellings('pair', false) as [string, ...string[]])).describe(
      'May be left out: the two sides tell it',
    ),
    left: optional(item),
    right: optional(item),
    chosen: optional(item).describe('Instead of left: one vote for it, where the row has no votes'),
    rejected: optional(item).describe('Instead of right'),
    labels: optional(
      z
        .array(orText(z.union([z.literal(1), z.literal(0), z.literal(0.5)]), isVote))
        .min(1)
        .max(LIMITS.votes),
    ),
    label: optional(
      z.union([z.enum(['left', 'right']), orText(z.number().min(0).max(1), (value) => value >= 0 && value <= 1)]),
    ),
  })
  .refine(
    (row) => (row.left == null ? row.chosen != null && row.rejected != null : row.right != null),
    'a side is missing',
  )
  .refine((row) => row.labels == null || row.label == null, 'label must not stand beside labels')
  .refine(
    (row) => hasRaterPerJudgement(row.raters, row.labels?.length ?? (row.label == null && row.left != null ? 0 : 1)),
    {
      path: ['raters'],
      error: 'must name one rater, once, for each vote',
    },
  )
  .refine((row) => agree(ROW_TYPES.get(row.type ?? 'pair')?.modality, row.modality), 'modality contradicts type');

const absoluteFields = {
  ...common,
  score: optional(number).describe('On the human scale'),
  label: optional(number).describe('Another spelling of score'),
  ratings: optional(z.array(number).min(1).max(LIMITS.votes)),
  aux: optional(
    z.looseObject({
      quality: optional(orText(z.int().min(0), isClass)),
      fluency: optional(orText(z.union([z.literal(0), z.literal(1)]), isFlag)),
      toxicity: optional(orText(z.union([z.literal(0), z.literal(1)]), isFlag)),
    }),
  ),
  item: optional(modality).describe('What the item is'),
};

const fullAbsoluteRow = z.looseObject({
  ...absoluteFields,
  id: identifier,
  type: optional(z.enum(typeSpellings('absolute', false) as [string, ...string[]])),
  content: item,
});

/** `{"type":"text","text":…}`: the item stands under the name of its type, and the id may be left out. */
const shorthandRow = z
  .looseObject({
    ...absoluteFields,
    id: optional(identifier),
    type: optional(z.enum(typeSpellings('absolute', true) as [string, ...string[]])).describe(
      'May be left out: the parts tell it',
    ),
    content: optional(item),
    image: media,
    text,
    audio: media,
    video: media,
    messages: optional(z.union([turns, z.string().min(2)])),
  })
  .refine(
    (row) =>
      row.content != null ||
      (typeOf(row) === 'text' && row.messages != null) ||
      (typeOf(row) !== undefined && partsOfType(typeOf(row)!).every((part) => row[part] != null)),
    'the item is missing',
  );

/** One item and its score, from one or several raters. */
export const absoluteRowSchema = z
  .union([fullAbsoluteRow, shorthandRow])
  .refine((row) => ROW_TYPES.get(typeOf(row) ?? '')?.kind === 'absolute', 'the row has a side of a pair')
  .refine((row) => row.score == null || row.label == null, 'label must not stand beside score')
  .refine((row) => hasRaterPerJudgement(row.raters, row.ratings?.length ?? 0), {
    path: ['raters'],
    error: 'must name one rater, once, for each rating',
  })
  .refine(
    (row) => agree(ROW_TYPES.get(typeOf(row) ?? '')?.modality, row.modality, row.item),
    'modality contradicts type or item',
  );

const auxScores = z.looseObject({
  quality: optional(number).describe('Class on average by the probabilities of the classes'),
  fluency: optional(number).describe('Probability'),
  toxicity: optional(number).describe('Probability'),
});
const moment = z.looseObject({
  start: z.number(),
  end: z.number(),
  logit: z.number().describe('The utility logit of this window alone'),
});
const curve = {
  count: z.int().positive().describe('Windows'),
  worst: moment.describe('The window of the lowest logit'),
  curve: z.array(moment).describe('All windows, in their order'),
};
const scoreWindows = z
  .looseObject({
    window: z.string().describe('Length of a window: 8s, or 64t of tokens'),
    stride: z.string().describe('From the start of one window to that of the next'),
    aggregate: z.enum(AGGREGATES),
    sharpness: optional(number).describe('Of a rule that was fitted: how much more low windows count'),
    unit: z.enum(['seconds', 'characters']).describe('Of every start and end'),
    interval: z
      .looseObject({ level: z.number(), low: z.number(), high: z.number(), block: z.int().positive() })
      .nullable()
      .describe('Of the logit, by windows drawn in blocks of so many; null of too few, and where one window decides'),
  })
  .and(
    z.union([
      z.looseObject(curve).describe('Of an item'),
      z.looseObject({ left: z.looseObject(curve), right: z.looseObject(curve) }).describe('Of a pair'),
    ]),
  );

/** What `hpsv3 batch` and `ensemble` write and the fitting commands read. */
export const scoreRowSchema = z.looseObject({
  id: identifier,
  logit: number.describe('The pair logit, or the utility logit of an item'),
  score: optional(number),
  winner: optional(z.enum(WINNERS)),
  confidence: optional(number),
  calibrated: optional(z.union([z.boolean(), z.enum(['true', 'false']), number])),
  calibrated_value: optional(number).describe('In tables, beside the flag'),
  calibratedBy: optional(z.string()),
  calibrated_by: optional(z.string()).describe('In tables'),
  percentile: optional(z.looseObject({ below: number, low: number, high: number, n: number })).describe(
    'Share of a reference set with a lower score (pairs: a smaller margin), its 95 % interval, and scores of the set',
  ),
  mu: optional(number).describe('Mean of a model that gives one beside a spread'),
  sigma: optional(number).describe('Standard deviation that the model gives an item'),
  left_sigma: optional(number),
  right_sigma: optional(number),
  aux: optional(z.union([z.strictObject({ left: auxScores, right: auxScores }), auxScores])).describe(
    'What auxiliary heads say, of a pair for both sides',
  ),
  marks: optional(z.union([z.array(z.string()), z.string()])).describe(
    'Marks that hold; in tables with spaces between',
  ),
  disagreement: optional(number),
  task: optional(z.string()),
  truncated: optional(z.union([z.boolean(), z.enum(['true', 'false'])])),
  windows: optional(z.union([scoreWindows, z.string()])).describe('Of what was scored in windows; in tables as JSON'),
  row: optional(number).describe('Line of the row that was scored'),
  model: optional(z.string()).describe('sha256 of the model file'),
  runtime: optional(
    z.looseObject({
      version: optional(z.string()),
      device: optional(z.string()),
      threads: optional(number),
      optimization: optional(z.string()),
    }),
  ),
});

/** JSON Schemas (draft 2020-12) of the three kinds of row, by name. */
export function rowJsonSchemas(): Record<'pair' | 'absolute' | 'score', object> {
  return {
    pair: z.toJSONSchema(pairRowSchema),
    absolute: z.toJSONSchema(absoluteRowSchema),
    score: z.toJSONSchema(scoreRowSchema),
  };
}

function agree(...names: readonly (string | null | undefined)[]): boolean {
  const spelled = names.filter((name) => name != null).map((name) => name.replace('_', '-'));
  return new Set(spelled).size <= 1;
}

/** The type that a row states, or else shows. */
const typeOf = (row: Readonly<Record<string, unknown>>): string | undefined =>
  (row['type'] as string | null | undefined) ?? typeShown((name) => row[name] != null);

const partsOfType = (type: string): ItemPart[] => {
  const modality = ROW_TYPES.get(type)?.modality;
  return modality ? partsOf(modality) : [];
};
