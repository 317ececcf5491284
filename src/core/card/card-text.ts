import type { JsonValue } from '../bytes/json.js';
import { didYouMean } from '../bytes/suggest.js';
import { parseYaml } from '../bytes/yaml.js';
import { defineFormat } from '../documents/define.js';
import { HpsError } from '../errors.js';
import * as z from '../zod.js';

/** What only the maker of a model knows: `card.yaml`, and the description of data, `data.yaml`. */

/** Longer than any paragraph a card should have, and short enough to stay readable in all its renderings. */
const MAX_TEXT = 10_000;
const text = z.string().trim().min(1).max(MAX_TEXT);
const texts = z.array(text).min(1).max(200);
const url = z.url({ protocol: /^https?$/ }).max(2000);

const cardTextSchema = z.strictObject({
  /** Of the model; by default its file's name. */
  name: text.max(200).optional(),
  version: text.max(100).optional(),
  /** SPDX identifier, or the Hub's word for it. */
  license: text.max(200).optional(),
  language: z.array(text.max(50)).min(1).max(200).optional(),
  tags: z.array(text.max(100)).min(1).max(100).optional(),
  base_model: z.array(text.max(200)).min(1).max(20).optional(),
  pipeline_tag: text.max(100).optional(),
  library_name: text.max(100).optional(),
  details: z
    .strictObject({
      description: text.optional(),
      developers: texts.optional(),
      date: text.max(100).optional(),
      type: text.optional(),
      papers: z.array(url).min(1).max(50).optional(),
      repository: url.optional(),
      citation: text.optional(),
      contact: text.max(500).optional(),
    })
    .optional(),
  intended_use: z
    .strictObject({ uses: texts.optional(), users: texts.optional(), out_of_scope: texts.optional() })
    .optional(),
  factors: z.strictObject({ relevant: text.optional(), evaluated: text.optional() }).optional(),
  metrics: z
    .strictObject({ choice: text.optional(), thresholds: text.optional(), variation: text.optional() })
    .optional(),
  evaluation_data: z.strictObject({ motivation: text.optional(), preprocessing: text.optional() }).optional(),
  training_data: z.strictObject({ description: text.optional() }).optional(),
  ethical_considerations: z
    .strictObject({
      data: text.optional(),
      human_life: text.optional(),
      risks: z
        .array(z.strictObject({ risk: text, mitigation: text.optional() }))
        .min(1)
        .max(100)
        .optional(),
    })
    .optional(),
  caveats: texts.optional(),
  recommendations: texts.optional(),
});

/** What the maker wrote; every part may be absent, which the card then says. */
export type CardText = z.infer<typeof cardTextSchema>;

export const DATA_ROLES = ['training', 'calibration', 'evaluation'] as const;

const datasetSchema = z.strictObject({
  name: text.max(200),
  /** What it was used for. */
  roles: z.array(z.enum(DATA_ROLES)).min(1).max(3),
  license: text.max(200).optional(),
  url: url.optional(),
  /** `owner/name` on the Hugging Face Hub, and which task of it a benchmark's figures are of. */
  hub_id: z
    .string()
    .regex(/^[\w.-]+(\/[\w.-]+)?$/, 'must be owner/name')
    .max(200)
    .optional(),
  task_id: text.max(200).optional(),
  revision: text.max(200).optional(),
  split: text.max(200).optional(),
  description: text.optional(),
  /** Who judged, and how they were asked. */
  raters: text.optional(),
  /** Base names of the label files that are it; a report names the file it read. */
  files: z.array(text.max(255)).min(1).max(100).optional(),
  /** What the values of a group mean, by the group's name. */
  groups: z.record(z.string().max(200), text).optional(),
});

const dataTextSchema = z.strictObject({ datasets: z.array(datasetSchema).min(1).max(100) });

/** `card.yaml` and `data.yaml`. */
export const cardTextFormat = defineFormat('hpsv3/card-text@1', cardTextSchema);
export const dataTextFormat = defineFormat('hpsv3/card-data@1', dataTextSchema);

/** One data set as its maker describes it. */
export type Dataset = z.infer<typeof datasetSchema>;

/** Reads `card.yaml`. @throws HpsError CONFIG_INVALID, naming the key, with the one that was probably meant */
export const parseCardText = (bytes: Uint8Array, name: string): CardText =>
  checked(cardTextSchema, bytes, name, 'Write a card file as configs/card.example.yaml shows.');

/** Reads `data.yaml`. @throws HpsError CONFIG_INVALID as `parseCardText` */
export const parseDataText = (bytes: Uint8Array, name: string): Dataset[] =>
  checked(dataTextSchema, bytes, name, 'Write a data file as configs/data.example.yaml shows.').datasets;

function checked<T extends z.ZodType>(schema: T, bytes: Uint8Array, name: string, hint: string): z.infer<T> {
  const value = parseYaml(bytes, { name, hint });
  const parsed = schema.safeParse(value ?? {});
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const at = issue.path.map(String);
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(schema, at);
    const key = [...at, issue.keys[0]].join('.');
    throw new HpsError('CONFIG_INVALID', `${name}: unknown key ${key}`, {
      hint: didYouMean(issue.keys[0], known),
      details: { file: name, key, known },
    });
  }
  const place = at.join('.') || 'the file';
  throw new HpsError('CONFIG_INVALID', `${name}: ${place}: ${issue.message.replace(/^Invalid input: /, '')}`, {
    hint,
    details: { file: name, key: place, value: shortened(valueAt(value, at)) },
  });
}

/** Keys that the object at a path of a schema may have. */
function keysAt(schema: z.ZodType, path: readonly string[]): string[] {
  let at: unknown = schema;
  for (const key of ['', ...path]) {
    if (key !== '') at = at instanceof z.ZodObject ? at.shape[key] : at instanceof z.ZodArray ? at.element : undefined;
    while (at instanceof z.ZodOptional) at = at.unwrap();
  }
  return at instanceof z.ZodObject ? Object.keys(at.shape) : [];
}

function valueAt(value: JsonValue, path: readonly string[]): JsonValue | undefined {
  let at: JsonValue | undefined = value;
  for (const key of path) at = (at as { [key: string]: JsonValue } | null | undefined)?.[key];
  return at;
}

const shortened = (value: JsonValue | undefined): string => String(JSON.stringify(value)).slice(0, 80);
