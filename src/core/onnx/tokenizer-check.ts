import { isJsonObject, type JsonObject, type JsonValue } from '../bytes/json.js';
import { LIMITS } from '../limits.js';
import * as z from '../zod.js';

const tokenId = z.number().int().nonnegative().max(LIMITS.tokenIds);
const flag = z.boolean().nullish();
const text = z.string().nullish();

/** What is looked for: a text, or a regular expression of Oniguruma. */
const pattern = z
  .looseObject({ String: z.string().optional(), Regex: z.string().optional() })
  .refine(({ String: plain, Regex }) => plain !== undefined || Regex !== undefined, 'neither String nor Regex');

const normalizer = z.looseObject({
  type: z.string(),
  get normalizers() {
    return z.array(normalizer).optional();
  },
  pattern: pattern.optional(),
  content: text,
  prepend: text,
  precompiled_charsmap: text,
  clean_text: flag,
  handle_chinese_chars: flag,
  strip_accents: flag,
  lowercase: flag,
  strip_left: flag,
  strip_right: flag,
});

const preTokenizer = z.looseObject({
  type: z.string(),
  get pretokenizers() {
    return z.array(preTokenizer).optional();
  },
  pattern: pattern.optional(),
  behavior: text,
  content: text,
  replacement: text,
  str_rep: text,
  prepend_scheme: text,
  length: z.number().int().positive().optional(),
  add_prefix_space: flag,
  trim_offsets: flag,
  use_regex: flag,
  individual_digits: flag,
  invert: flag,
});

const typeId = z.number().int().nonnegative().nullish();
/** One item of a template: a special token, or one of the two texts. */
const templateItem = z.union(
  [
    z.looseObject({ SpecialToken: z.looseObject({ id: z.string(), type_id: typeId }) }),
    z.looseObject({ Sequence: z.looseObject({ id: z.enum(['A', 'B']), type_id: typeId }) }),
  ],
  'neither a SpecialToken nor a Sequence of the template',
);
const tokenWithId = z.tuple([z.string(), tokenId]);

const postProcessor = z.looseObject({
  type: z.string(),
  get processors() {
    return z.array(postProcessor).optional();
  },
  single: z.array(templateItem).optional(),
  pair: z.array(templateItem).optional(),
  special_tokens: z
    .record(z.string(), z.looseObject({ ids: z.array(tokenId).optional(), tokens: z.array(z.string()).optional() }))
    .nullish(),
  sep: tokenWithId.optional(),
  cls: tokenWithId.optional(),
});
const root = z.looseObject({
  added_tokens: z.array(z.looseObject({ id: tokenId, content: z.string().min(1), special: flag })).nullish(),
  normalizer: normalizer.nullish(),
  pre_tokenizer: preTokenizer.nullish(),
  post_processor: postProcessor.nullish(),
  padding: z.looseObject({ pad_id: tokenId.optional() }).nullish(),
  model: z.looseObject({
    type: z.string().optional(),
    unk_token: text,
    unk_id: tokenId.nullish(),
    continuing_subword_prefix: text,
    end_of_word_suffix: text,
    max_input_chars_per_word: z.number().int().nonnegative().max(LIMITS.textCharacters).nullish(),
    dropout: z.number().nullish(),
    fuse_unk: flag,
    byte_fallback: flag,
    ignore_merges: flag,
  }),
});

/**
 * What keeps a JSON document from being a tokenizer.json, as the rest of a sentence; null where nothing does. All that is read of
 * one is looked at: ids are whole numbers within bounds, texts are texts, templates have their parts.
 */
export function tokenizerFault(document: JsonValue): string | null {
  const model = isJsonObject(document) ? document.model : undefined;
  if (!isJsonObject(document) || !isJsonObject(model)) return 'has no model section';
  const parsed = root.safeParse(document);
  if (!parsed.success) {
    const [{ path, message }] = parsed.error.issues;
    return `${path.map(String).join('.')}: ${message}`;
  }
  return processorFault(parsed.data.post_processor) ?? vocabularyFault(model) ?? mergesFault(model.merges);
}

function processorFault(processor: z.output<typeof postProcessor> | null | undefined): string | null {
  if (!processor) return null;
  const { type, single, pair, sep, cls, processors = [] } = processor;
  if (type === 'TemplateProcessing' && !(single && pair))
    return 'post_processor: a template without `single` and `pair`';
  if ((type === 'BertProcessing' || type === 'RobertaProcessing') && !(sep && cls))
    return 'post_processor: `sep` and `cls` are missing';
  return processors.map(processorFault).find((fault) => fault !== null) ?? null;
}

/** The lists may have hundreds of thousands of entries: looked at without a schema, which would take seconds. */
function vocabularyFault({ vocab, unk_id }: JsonObject): string | null {
  if (Array.isArray(vocab)) {
    const bad = vocab.findIndex(
      (entry) =>
        !(Array.isArray(entry) && entry.length === 2 && typeof entry[0] === 'string' && Number.isFinite(entry[1])),
    );
    if (bad >= 0) return `model.vocab.${bad}: not a token and its score`;
    return typeof unk_id === 'number' && unk_id >= vocab.length ? `model.unk_id: ${unk_id} is no entry of vocab` : null;
  }
  if (!isJsonObject(vocab)) return 'has no vocabulary';
  for (const [token, id] of Object.entries(vocab)) {
    if (!(Number.isInteger(id) && (id as number) >= 0 && (id as number) <= LIMITS.tokenIds))
      return `model.vocab.${token}: its id ${JSON.stringify(id)} is not a whole number from 0 to ${LIMITS.tokenIds}`;
  }
  return null;
}

function mergesFault(merges: JsonValue | undefined): string | null {
  if (merges === undefined || merges === null) return null;
  if (!Array.isArray(merges)) return 'model.merges: not a list';
  const inPairs = Array.isArray(merges[0]);
  const bad = merges.findIndex((merge) =>
    inPairs
      ? !(Array.isArray(merge) && merge.length === 2 && merge.every((part) => typeof part === 'string'))
      : !(typeof merge === 'string' && merge.includes(' ')),
  );
  return bad < 0 ? null : `model.merges.${bad}: not two tokens`;
}
