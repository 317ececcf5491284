import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { hashFile, sha256Hex } from '../../bytes/hash.js';
import type { DataFormat } from '../../data/formats.js';
import { AUXILIARY, type ScoreRow } from '../../data/rows.js';
import { AGGREGATES } from '../../data/score-windows.js';
import type { RowSink, RowWriter } from '../../data/write-rows.js';
import { createScoreWriter, modelColumns } from '../../data/write-scores.js';
import { type DocumentOf, defineDocument, formatDocument, readDocument } from '../../documents/define.js';
import { count, positive, sha256 } from '../../documents/parts.js';
import { HpsError } from '../../errors.js';
import { LIMITS } from '../../limits.js';
import { OPTIMIZATION_LEVELS } from '../../runtime/session.js';
import type { HPSv3Scorer } from '../../scoring/scorer.js';
import { TOOL } from '../../version.js';
import * as z from '../../zod.js';

/** As `RuntimeInfo`. */
export const runtimeSchema = z.strictObject({
  version: z.string().describe('Of onnxruntime'),
  device: z.string(),
  threads: positive.describe('Threads inside one operator'),
  optimization: z.enum(OPTIMIZATION_LEVELS),
});

const settingsSchema = z.strictObject({
  tool: z.string().nullable(),
  models: z.array(
    z.strictObject({
      sha256,
      modality: z.string().nullable(),
      preprocessing: sha256.nullable().describe('Of how media become inputs'),
      runtime: runtimeSchema,
      auxiliary: z.array(z.enum(AUXILIARY)).optional().describe('@2. Heads whose scores stand in the rows'),
    }),
  ),
  calibrator: sha256.nullable().describe('Of the calibrator file; null where the models carry their own, or none'),
  contract: sha256.nullable().describe('Of what the contract of a model without manifest says, as JSON'),
  batchSize: positive.nullable(),
  marks: z.array(z.string()).optional().describe('@2. Conditions on auxiliary scores that rows are marked by'),
  windows: z
    .array(
      z
        .strictObject({
          window: z.string(),
          stride: z.string(),
          aggregate: z.enum(AGGREGATES),
          sharpness: z.number().nonnegative().optional().describe('@4. Of a rule that was fitted'),
        })
        .nullable(),
    )
    .optional()
    .describe('@3. How items were cut, one a model; null of one whose items were scored whole'),
  abstain: z.literal(true).optional().describe('@2. Where pairs under the margin of the calibrator are undecided'),
});

const fields = z.strictObject({
  sha256: sha256.describe('Of the file of scores'),
  format: z.enum(['jsonl', 'csv', 'parquet']),
  rows: count.describe('Rows with a score'),
  failed: count,
  shard: z.strictObject({ index: count, count: positive }).nullable(),
  settings: settingsSchema.describe(
    'All that decides a score beside its row; null for what version 0.1.0 did not record',
  ),
});

/** What stands beside a file of scores as `FILE.manifest.json`. Equal scores have equal manifests, on whichever machine they were made. */
export const scoresDocument = defineDocument('hpsv3/scores@4', fields, {
  what: 'a manifest of scores',
  made: 'hpsv3 batch',
  limit: LIMITS.configBytes,
  code: 'DATA_INVALID',
});

export type ScoresManifest = DocumentOf<typeof scoresDocument>;
export type ScoreSettings = ScoresManifest['settings'];

/** Ends the name of the manifest beside a file of scores. */
export const MANIFEST_SUFFIX = '.manifest.json';

/** What these scorers compute with. The contract is that of a model without manifest. */
export function settingsOf(
  scorers: readonly HPSv3Scorer[],
  { batchSize, contract }: { readonly batchSize: number; readonly contract?: { readonly value: unknown } },
): ScoreSettings {
  return {
    tool: TOOL,
    models: scorers.map(({ sha256: model, modality, preprocessingSha256, runtime, auxiliary }) => ({
      sha256: model,
      modality,
      preprocessing: preprocessingSha256,
      runtime,
      ...(auxiliary.length > 0 && { auxiliary: [...auxiliary] }),
    })),
    calibrator: scorers[0].calibratorSha256,
    contract: contract ? sha256Hex(Buffer.from(JSON.stringify(contract.value))) : null,
    batchSize,
    ...(scorers[0].markedBy.length > 0 && { marks: [...scorers[0].markedBy] }),
    ...(scorers.some(({ windowRule }) => windowRule) && { windows: scorers.map(({ windowRule }) => windowRule) }),
    ...(scorers.some(({ abstains }) => abstains) && { abstain: true as const }),
  };
}

export const formatManifest = (manifest: Omit<ScoresManifest, 'schema'>): string =>
  formatDocument({ schema: schemaOf(manifest.settings), ...manifest });

/** The first version that has all that these settings use. */
function schemaOf({ abstain, marks, models, windows }: ScoreSettings): ScoresManifest['schema'] {
  if (windows?.some((rule) => rule?.sharpness !== undefined)) return 'hpsv3/scores@4';
  if (windows !== undefined) return 'hpsv3/scores@3';
  const isSecond = abstain !== undefined || marks !== undefined || models.some(({ auxiliary }) => auxiliary);
  return isSecond ? 'hpsv3/scores@2' : 'hpsv3/scores@1';
}

/** A writer of the scores that such models give. */
export function scoreWriterFor(
  { models, marks, windows }: ScoreSettings,
  sink: RowSink,
  format: DataFormat,
): RowWriter<ScoreRow> {
  const heads = AUXILIARY.filter((head) => models.some(({ auxiliary }) => auxiliary?.includes(head)));
  const columns = modelColumns(heads, { areMarked: marks !== undefined, inWindows: windows !== undefined });
  return createScoreWriter(sink, format, columns);
}

/**
 * The manifest beside a file of scores, once it is known to be of that file; null where there is none.
 * @throws HpsError as `readDocument`; DATA_INVALID for one of other scores
 */
export async function readManifestBeside(scores: string): Promise<ScoresManifest | null> {
  const path = `${scores}${MANIFEST_SUFFIX}`;
  if (!existsSync(path)) return null;
  const { document, name } = readDocument(scoresDocument, path);
  const { sha256: actual } = await hashFile(scores);
  if (actual === document.sha256) return document;
  const file = basename(scores);
  throw new HpsError('DATA_INVALID', `${file}: is not the file that ${name} was written with`, {
    hint: 'Give files of scores as `hpsv3 batch` wrote them, each with its manifest beside it.',
    details: { file, expected: document.sha256, actual },
  });
}

/** A setting that two runs do not share: where it stands, and what each has. */
export interface Difference {
  readonly key: string;
  readonly values: readonly [unknown, unknown];
}

/** Where two JSON values differ, by the paths of their leaves. */
export function differences(a: unknown, b: unknown, key = ''): Difference[] {
  if (!isNested(a) || !isNested(b)) return Object.is(a, b) ? [] : [{ key, values: [a ?? null, b ?? null] }];
  const names = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...names].flatMap((name) => differences(a[name], b[name], key === '' ? name : `${key}.${name}`));
}

const isNested = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
