import { isJsonObject, type JsonObject, type JsonValue, parseJson } from '../bytes/json.js';
import { type ErrorCode, HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { TOOL } from '../version.js';
import * as z from '../zod.js';
import { madeBy, readWhole } from './read-whole.js';

/** What documents carry as `schema`: a name, and a version that grows with every new field. */
export type SchemaId = `hpsv3/${string}@${number}`;

/** The id of any version of a document. */
type AnyVersion<Id extends SchemaId> = Id extends `hpsv3/${infer Name}@${number}` ? `hpsv3/${Name}@${number}` : never;

export interface DocumentFacts {
  /** What errors call it, with its article: `a calibrator`. */
  readonly what: string;
  /** The command that writes it. */
  readonly made: string;
  /** Most bytes of a file of it. */
  readonly limit?: number;
  /** Of a document that breaks the schema; CONFIG_INVALID by default. */
  readonly code?: ErrorCode;
  /** Whether hpsv3 0.1.0 wrote it without `schema`: a document without one is then read as the first version. */
  readonly unmarked?: boolean;
}

/** The one definition of a format: what is published of it. */
export interface FormatDefinition<S extends z.ZodType = z.ZodType> {
  /** Of the newest version. */
  readonly id: SchemaId;
  /** Of the id: also that of the published file, `schemas/NAME.schema.json`. */
  readonly name: string;
  /** The newest version that is read; files of every earlier one are, too. */
  readonly version: number;
  readonly schema: S;
}

/** The one definition of a document that carries its id as `schema`, and what errors say of it. */
export interface DocumentDefinition<S extends z.ZodType = z.ZodType> extends FormatDefinition<S>, DocumentFacts {}

type Marked<Id extends SchemaId, S extends z.ZodObject> =
  S extends z.ZodObject<infer Shape, infer Config>
    ? z.ZodObject<{ schema: z.ZodType<AnyVersion<Id>> } & Shape, Config>
    : never;

/**
 * Defines a document that we write: an object with these fields and, before them, `schema`.
 *
 * A new field is optional and comes with the next version of the id; a file that does not use it keeps the earlier id, so that
 * earlier versions of this program read it on. A reader that meets a later version says so, instead of calling the file damaged.
 */
export function defineDocument<const Id extends SchemaId, S extends z.ZodObject>(
  id: Id,
  fields: S,
  facts: DocumentFacts,
): DocumentDefinition<Marked<Id, S>> {
  const { name, version } = partsOf(id)!;
  const versions = Array.from({ length: version }, (_, i) => `hpsv3/${name}@${i + 1}`);
  const shape = { schema: z.literal(versions), ...fields.shape };
  const schema = z.clone(fields, { ...fields._zod.def, shape }) as unknown as Marked<Id, S>;
  return { id, name, version, schema, ...facts };
}

/** Defines a format that people write, or a row of a file with many: neither carries `schema`. */
export const defineFormat = <S extends z.ZodType>(id: SchemaId, schema: S): FormatDefinition<S> => ({
  id,
  ...partsOf(id)!,
  schema,
});

/** What a definition describes, as code that only reads it sees it. */
export type DocumentOf<D extends { readonly schema: z.ZodType }> = DeepReadonly<z.output<D['schema']>>;

type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T;

const ID = /^hpsv3\/([a-z][a-z-]*)@([1-9]\d{0,5})$/;

function partsOf(id: string): { name: string; version: number } | undefined {
  const [, name, version] = ID.exec(id) ?? [];
  return name === undefined ? undefined : { name, version: Number(version) };
}

/** Name and version of the schema a value carries; undefined where it carries none of ours. */
export function schemaOf(value: unknown): { readonly name: string; readonly version: number } | undefined {
  const schema = isJsonObject(value as JsonValue) ? (value as JsonObject).schema : undefined;
  return typeof schema === 'string' ? partsOf(schema) : undefined;
}

/**
 * A value as the document it should be.
 *
 * @param file - what errors call it
 * @throws HpsError MADE_BY_NEWER for a later version of the schema; CONFIG_INVALID, or the code of the definition, for anything else
 */
export function parseDocument<S extends z.ZodType>(
  definition: DocumentDefinition<S>,
  value: JsonValue,
  file: string,
): z.output<S> {
  const { name, schema, unmarked } = definition;
  refuseNewer(definition, value, file);
  const bare = unmarked && isJsonObject(value) && !Object.hasOwn(value, 'schema');
  const parsed = schema.safeParse(bare ? { schema: `hpsv3/${name}@1`, ...value } : value);
  if (parsed.success) return parsed.data;
  throw notThis(definition, value, file, parsed.error.issues[0]);
}

/** @throws HpsError MADE_BY_NEWER for a later version of this document */
export function refuseNewer({ id, name, version }: DocumentDefinition, value: unknown, file: string): void {
  const found = schemaOf(value);
  if (found?.name !== name || found.version <= version) return;
  const schema = `hpsv3/${name}@${found.version}`;
  throw new HpsError('MADE_BY_NEWER', `${file}: made by a newer hpsv3: its schema is ${schema}`, {
    hint: `This is ${TOOL}, which reads up to ${id}: update it, or make the file again with it.`,
    details: { file, schema, reads: id },
  });
}

function notThis(
  { name, what, made, code = 'CONFIG_INVALID' }: DocumentDefinition,
  value: JsonValue,
  file: string,
  issue: z.core.$ZodIssue,
): HpsError {
  const found = schemaOf(value);
  const at = issue.path.map(String).join('.') || 'the root';
  const why =
    found && found.name !== name ? `its schema is hpsv3/${found.name}@${found.version}` : `${at}: ${issue.message}`;
  return new HpsError(code, `${file}: not ${what}: ${why}`, { hint: madeBy(made), details: { file, at } });
}

/** The document in the bytes of a file. @throws HpsError as `parseDocument`, and for what is not JSON */
export function parseDocumentBytes<S extends z.ZodType>(
  definition: DocumentDefinition<S>,
  bytes: Uint8Array,
  file: string,
): z.output<S> {
  const { limit = LIMITS.reportBytes, code } = definition;
  return parseDocument(definition, parseJson(bytes, { name: file, maxBytes: limit, code }), file);
}

/** A document, and the file it was read from. */
export interface ReadDocument<T> {
  readonly document: T;
  readonly name: string;
  readonly sha256: string;
}

/** Reads a document. @throws HpsError FILE_NOT_FOUND, FILE_UNREADABLE, and as `parseDocument` */
export function readDocument<S extends z.ZodType>(
  definition: DocumentDefinition<S>,
  path: string,
): ReadDocument<z.output<S>> {
  const { limit = LIMITS.reportBytes, what, made, code } = definition;
  const { name, bytes, sha256 } = readWhole(path, { limit, what, made, code });
  return { document: parseDocumentBytes(definition, bytes, name), name, sha256 };
}

/** A document as the text of its file. */
export const formatDocument = (document: object): string => `${JSON.stringify(document, null, 2)}\n`;
