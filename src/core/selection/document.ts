import { type DocumentOf, defineDocument } from '../documents/define.js';
import * as z from '../zod.js';
import { SELECTION_METHODS } from './acquisition.js';
import { REPLAY_METRICS } from './replay.js';

const count = z.int().min(0);
const share = z.number().min(0).max(1);
const input = z.strictObject({ name: z.string(), sha256: z.string() });
const point = z.strictObject({ labels: z.number(), value: z.number() });
const interval = z.tuple([z.number(), z.number()]).nullable();

/** How far votes lie from the model: see `Scale`. */
const scale = z.strictObject({
  slope: z.number().describe('What the utilities of the model are times'),
  deviation: z.number().describe('Standard deviation of what people find about that, in logits'),
  ties: z.number().describe('nu of Davidson (1970): equal items tie nu / (2 + nu) of the time'),
});

export const selectionDocument = defineDocument(
  'hpsv3/selection@1',
  z.strictObject({
    out: z.string().optional().describe('Where it lies: printed, and not written'),
    tool: z.string(),
    method: z.enum(SELECTION_METHODS),
    seed: z.int(),
    /** Base name and sha256 of the queue. */
    queue: input,
    inputs: z.strictObject({
      pairs: input.nullable(),
      labels: input.nullable(),
      scores: input.nullable(),
      members: z.array(input),
      calibrator: input.nullable(),
      heldOut: z.array(input),
    }),
    pool: z.strictObject({
      rows: count,
      /** Rows that compare the same two items as an earlier one. */
      duplicates: count,
      heldOut: count,
      /** Have as many votes as wanted. */
      labelled: count,
      /** No model has a score for them, which the method needs. */
      unscored: count,
      candidates: count,
    }),
    labelsSoFar: z.strictObject({ pairs: count, votes: z.number() }),
    chosen: z.strictObject({
      total: count,
      byGain: count,
      byLot: count,
      /** Propensity of what was drawn by lot, 1 for what was chosen for its gain; over all candidates they sum to the total. */
      propensityByLot: share.nullable(),
      seconds: z.number().nullable(),
    }),
    scale: scale.nullable(),
    expected: z.strictObject({
      bits: z.number(),
      /** What as many drawn by lot would tell. */
      bitsAtRandom: z.number(),
      curve: z.array(z.strictObject({ labels: z.number(), bits: z.number(), bitsAtRandom: z.number() })),
    }),
    /** Of `bt-eig` alone. */
    stop: z
      .strictObject({
        reached: z.boolean(),
        reason: z.string().nullable(),
        /** How much more often the favoured side is expected to be right once these labels are in, over all pairs. */
        accuracyGain: z.number(),
        below: z.number(),
        /** Prompts whose best item is the best with a probability of at least 0.95. */
        settled: share.nullable(),
      })
      .nullable(),
    pictures: z.array(z.string()),
    warnings: z.array(z.string()),
  }),
  { what: 'a report of a selection', made: 'hpsv3 select' },
);

export type SelectionDocument = DocumentOf<typeof selectionDocument>;

const replayed = z.strictObject({ labels: z.number().nullable(), ci: interval, curve: z.array(point) });

export const selectReplayDocument = defineDocument(
  'hpsv3/selection-replay@1',
  z.strictObject({
    out: z.string().nullable().optional().describe('Where it lies: printed, and not written'),
    tool: z.string(),
    method: z.enum(SELECTION_METHODS),
    metric: z.enum(REPLAY_METRICS),
    seed: z.int(),
    replays: count,
    batch: count,
    /** Null for a simulation. */
    inputs: z.strictObject({ labels: input, scores: input.nullable(), members: z.array(input) }).nullable(),
    pairs: count,
    prompts: count,
    votes: z.number().nullable(),
    /** The metric without labels, with all of them, and what is to be reached. */
    start: z.number(),
    full: z.number(),
    goal: z.number(),
    /** Labels to reach it, and the metric on the way. */
    chosen: replayed,
    atRandom: replayed,
    /** 1 less the labels of the method over those of chance; null where one of them never got there. */
    saving: z.strictObject({ value: z.number().nullable(), ci: interval }),
    pictures: z.array(z.string()),
    warnings: z.array(z.string()),
  }),
  { what: 'a report of a replayed selection', made: 'hpsv3 select replay' },
);

export type SelectReplayDocument = DocumentOf<typeof selectReplayDocument>;
