import { type DocumentOf, defineDocument } from '../documents/define.js';
import { count, estimate, fileHash, positive, share } from '../documents/parts.js';
import { LIMITS } from '../limits.js';
import * as z from '../zod.js';
import type { FeatureColumn, Sample } from './sample.js';

const names = z.array(z.string());
const code = z.number().int().min(-1);

const featureSchema = z.discriminatedUnion('type', [
  z.strictObject({
    name: z.string(),
    type: z.literal('number'),
    /** Observations of a row: 2 where both sides of a pair have one. */
    sides: positive,
    /** Row by row; null where there is none. */
    values: z.array(z.number().nullable()),
  }),
  z.strictObject({ name: z.string(), type: z.literal('category'), sides: positive, names, codes: z.array(code) }),
]);

const fields = z.strictObject({
  kind: z.enum(['pair', 'item']).nullable(),
  /** All rows that it was made of, and their clusters. */
  rows: positive,
  clusters: positive,
  /** First and last time that rows name. */
  from: z.string().nullable(),
  to: z.string().nullable(),
  identity: z.strictObject({
    model: names,
    calibrator: names,
    preprocessing: names,
    runtime: names,
    calibrated: names,
  }),
  /** How scores follow from logits; null where they do not, or rows have one of them only. */
  scoreMap: z.strictObject({ logits: z.array(z.number()), scores: z.array(z.number()) }).nullable(),
  /** Rows of whole clusters, as numbers and words: no content. */
  sample: z.strictObject({
    rows: positive,
    clusters: positive,
    cluster: z.array(z.number().int().nonnegative()),
    features: z.array(featureSchema),
  }),
  /** What probabilities lead to expect, and what labels said; null without. */
  expected: z.strictObject({ accuracy: share, auc: share.nullable() }).nullable(),
  observed: z.strictObject({ labels: count, accuracy: estimate, ece: estimate }).nullable(),
  inputs: z.array(fileHash),
  tool: z.string(),
});

/** What later windows are compared with: figures of rows, and none of their content. */
export const referenceDocument = defineDocument('hpsv3/drift-reference@1', fields, {
  what: 'a reference for drift',
  made: 'hpsv3 drift fit',
  limit: LIMITS.reportBytes,
});

export type DriftReference = DocumentOf<typeof referenceDocument>;

/** On one line: pretty-printed, every number of the sample would take one. */
export const formatReference = (reference: DriftReference): string => `${JSON.stringify(reference)}\n`;

export function storedSample({ rows, clusters, cluster, features }: Sample): DriftReference['sample'] {
  return {
    rows,
    clusters,
    cluster: [...cluster],
    features: [...features].map(([name, column]) =>
      column.type === 'number'
        ? { name, ...column, values: Array.from(column.values, (value) => (Number.isNaN(value) ? null : value)) }
        : { name, ...column, codes: [...column.codes] },
    ),
  };
}

export function sampleOf({ sample: { rows, clusters, cluster, features } }: DriftReference): Sample {
  return {
    rows,
    clusters,
    cluster: Int32Array.from(cluster),
    features: new Map(
      features.map(({ name, ...column }): [string, FeatureColumn] => [
        name,
        column.type === 'number'
          ? { ...column, values: Float64Array.from(column.values, (value) => value ?? Number.NaN) }
          : { ...column, codes: Int32Array.from(column.codes) },
      ]),
    ),
  };
}

/** Whether all parts of a sample belong together: a file may have been changed by hand. */
export function isConsistent({ rows, clusters, cluster, features }: DriftReference['sample']): boolean {
  return (
    cluster.length === rows &&
    cluster.every((of) => of < clusters) &&
    features.every((column) => {
      const cells = column.type === 'number' ? column.values : column.codes;
      return (
        cells.length === rows * column.sides &&
        (column.type === 'number' || column.codes.every((of) => of < column.names.length))
      );
    })
  );
}
