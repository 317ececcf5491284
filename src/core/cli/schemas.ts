import * as z from 'zod';
import { calibratorDocument } from '../calibration/calibrator.js';
import { cardDocument } from '../card/card-facts.js';
import { cardTextFormat, dataTextFormat } from '../card/card-text.js';
import type { FormatDefinition } from '../documents/define.js';
import { ensembleDocument } from '../ensemble/ensemble-file.js';
import { explanationDocument } from '../explanation/document.js';
import { journalDocument } from '../lifecycle/score/journal.js';
import { scoresDocument } from '../lifecycle/score/manifest.js';
import { manifestDocument } from '../onnx/manifest.js';
import { profileDocument } from '../profiling/schema.js';
import { tokensDocument } from '../serving/tokens.js';
import { environmentDocument } from '../training/run/environment-file.js';

/** Every document and format that other programs may rely on. */
export const PUBLISHED: readonly FormatDefinition[] = [
  calibratorDocument,
  cardDocument,
  dataTextFormat,
  cardTextFormat,
  ensembleDocument,
  environmentDocument,
  explanationDocument,
  manifestDocument,
  profileDocument,
  scoresDocument,
  tokensDocument,
  journalDocument,
];

/** The JSON Schema (draft 2020-12) of each, and the name of its file in `schemas/`. */
export function* publishedSchemas(): Generator<[name: string, text: string]> {
  for (const { name, id, schema } of PUBLISHED) {
    const { $schema, ...rest } = z.toJSONSchema(schema, { io: 'input' });
    yield [name, `${JSON.stringify({ $schema, $id: id, ...rest }, null, 2)}\n`];
  }
}
