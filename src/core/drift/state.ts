import { type DocumentOf, defineDocument } from '../documents/define.js';
import { count, positive, sha256, share } from '../documents/parts.js';
import * as z from '../zod.js';

const alarmSchema = z.strictObject({
  /** Rows or clusters that the monitor had seen. */
  n: count,
  look: positive,
});

const monitorSchema = z.strictObject({
  of: z.enum(['scores', 'calibration']),
  /** `NAME=value`; null for all rows. */
  group: z.string().nullable(),
  /** Bets it has made, one a cluster. */
  n: count,
  logE: z.number(),
  /** The highest it has ever been. */
  mostLogE: z.number(),
  /** Logarithms of what each of them has come to. */
  logs: z.array(z.number()),
  /** Of a monitor of scores: where cells end, and how many scores each has. */
  knots: z.array(z.number()),
  counts: z.array(z.number().nonnegative()),
  /** When it first spoke; null where it has not. */
  alarm: alarmSchema.nullable(),
});

const fields = z.strictObject({
  /** The reference it belongs to. */
  reference: sha256,
  alpha: share,
  looks: count,
  /** Rows and labels taken so far. */
  rows: count,
  labels: count,
  monitors: z.array(monitorSchema),
  /** How far the files of a log were read, in bytes. */
  position: z.record(z.string(), count),
  /** Files of scores that were taken, by hash. */
  files: z.array(sha256),
  /** Labels that were taken: the first six bytes of the SHA-256 of each id, one after the other, in base64. */
  labelled: z.string(),
  tool: z.string(),
});

/** What monitors know between two checks. */
export const stateDocument = defineDocument('hpsv3/drift-state@1', fields, {
  what: 'a state of drift monitors',
  made: 'hpsv3 drift check',
});

export type DriftState = DocumentOf<typeof stateDocument>;
export type MonitorState = DriftState['monitors'][number];
