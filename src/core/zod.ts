/**
 * The parts of zod that schemas here are made of, and nothing else: the build puts them into one file, since zod's own index loads a
 * hundred, most of them languages. What is missing here is added here.
 */

export type { core, infer, input, output } from 'zod';
export {
  array,
  boolean,
  clone,
  discriminatedUnion,
  enum,
  int,
  intersection,
  json,
  literal,
  looseObject,
  never,
  null,
  number,
  object,
  partialRecord,
  record,
  strictObject,
  string,
  toJSONSchema,
  tuple,
  union,
  unknown,
  url,
  ZodArray,
  ZodObject,
  ZodOptional,
  ZodType,
} from 'zod';
