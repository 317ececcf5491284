import * as z from 'zod';
import { calibratorSchema } from '../calibration/calibrator.js';
import { cardFactsSchema } from '../card/card-facts.js';
import { cardTextSchema, dataTextSchema } from '../card/card-text.js';
import { ensembleSchema } from '../ensemble/ensemble-file.js';
import { manifestSchema } from '../onnx/manifest.js';
import { profileSchema } from '../profiling/schema.js';

/** Schemas that other programs may rely on, by the name of their file in `schemas/`. */
const PUBLISHED: Readonly<Record<string, z.ZodType>> = {
  calibrator: calibratorSchema,
  card: cardFactsSchema,
  'card-data': dataTextSchema,
  'card-text': cardTextSchema,
  ensemble: ensembleSchema,
  manifest: manifestSchema,
  profile: profileSchema,
};

/** The JSON Schema (draft 2020-12) of each published format, as its file holds it. */
export function* publishedSchemas(): Generator<[name: string, text: string]> {
  for (const [name, schema] of Object.entries(PUBLISHED)) {
    yield [name, `${JSON.stringify(z.toJSONSchema(schema, { io: 'input' }), null, 2)}\n`];
  }
}
