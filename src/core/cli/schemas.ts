import { bundleDocument } from '../bundle/bundle-file.js';
import { calibratorDocument } from '../calibration/calibrator.js';
import { windowRuleDocument } from '../calibration/window-rule.js';
import { cardDocument } from '../card/card-facts.js';
import { cardTextFormat, dataTextFormat } from '../card/card-text.js';
import { absoluteRowSchema, pairRowSchema, scoreRowSchema } from '../data/schema.js';
import { defineFormat, type FormatDefinition } from '../documents/define.js';
import { checkDocument } from '../drift/document.js';
import { referenceDocument } from '../drift/reference.js';
import { stateDocument } from '../drift/state.js';
import { ensembleDocument } from '../ensemble/ensemble-file.js';
import { suiteFormat } from '../evaluation/suite-file.js';
import { explanationDocument } from '../explanation/document.js';
import { recordedDocument } from '../gate/recorded.js';
import { labelDocument } from '../labelling/folder.js';
import { voteDocument } from '../labelling/vote.js';
import { journalDocument } from '../lifecycle/score/journal.js';
import { scoresDocument } from '../lifecycle/score/manifest.js';
import { manifestDocument } from '../onnx/manifest.js';
import { profileDocument } from '../profiling/schema.js';
import { contractSchema } from '../samples/contract.js';
import { selectionDocument, selectReplayDocument } from '../selection/document.js';
import { tokensDocument } from '../serving/tokens.js';
import { trainingConfigSchema } from '../training/run/config.js';
import { environmentDocument } from '../training/run/environment-file.js';
import { trainingStateDocument } from '../training/run/state.js';
import * as z from '../zod.js';

const anything = z.record(z.string(), z.unknown());

/** A file for `--config`: one without any of these sections is the model section itself. */
const configSchema = z.strictObject({
  model: anything.optional().describe('What an architecture reads; see its family'),
  training: trainingConfigSchema.optional(),
  data: anything.optional(),
  flags: anything.optional().describe('Defaults of flags, by their names without dashes'),
});

const errorSchema = z.strictObject({
  error: z.strictObject({
    code: z
      .string()
      .regex(/^[A-Z][A-Z_]+$/)
      .describe('Stable: ERROR_CODES of the library has them all'),
    message: z.string(),
    hint: z.string().nullable().describe('What to do next'),
    details: anything.describe('Facts a program may want'),
  }),
});

/** Every document and format that other programs may rely on. */
export const PUBLISHED: readonly FormatDefinition[] = [
  bundleDocument,
  calibratorDocument,
  windowRuleDocument,
  cardDocument,
  dataTextFormat,
  cardTextFormat,
  checkDocument,
  referenceDocument,
  stateDocument,
  ensembleDocument,
  environmentDocument,
  explanationDocument,
  labelDocument,
  manifestDocument,
  profileDocument,
  recordedDocument,
  scoresDocument,
  selectionDocument,
  selectReplayDocument,
  tokensDocument,
  voteDocument,
  journalDocument,
  trainingStateDocument,
  // what people and other programs write
  defineFormat('hpsv3/pair-row@1', pairRowSchema),
  defineFormat('hpsv3/absolute-row@1', absoluteRowSchema),
  defineFormat('hpsv3/score-row@1', scoreRowSchema),
  suiteFormat,
  defineFormat('hpsv3/contract@1', contractSchema),
  defineFormat('hpsv3/config@1', configSchema),
  // what every command prints of a failure under --json
  defineFormat('hpsv3/error@1', errorSchema),
];

/** The JSON Schema (draft 2020-12) of each, and the name of its file in `schemas/`. */
export function* publishedSchemas(): Generator<[name: string, text: string]> {
  for (const { name, id, schema } of PUBLISHED) {
    const { $schema, ...rest } = z.toJSONSchema(schema, { io: 'input' });
    yield [name, `${JSON.stringify({ $schema, $id: id, ...rest }, null, 2)}\n`];
  }
}
