import { type DocumentOf, defineDocument } from '../documents/define.js';
import { sha256 } from '../documents/parts.js';
import { LIMITS } from '../limits.js';
import * as z from '../zod.js';

/** What a rater may answer, in the row's own left and right. */
export const CHOICES = ['left', 'right', 'tie', 'both_bad', 'skip'] as const;
export type Choice = (typeof CHOICES)[number];

/** The label that a choice is: 1 left preferred, 0 right, 0.5 neither; null for one that says nothing of the pair. */
export const LABELS: Readonly<Record<Choice, 1 | 0 | 0.5 | null>> = {
  left: 1,
  right: 0,
  tie: 0.5,
  both_bad: 0.5,
  skip: null,
};

export const SIDES = ['left', 'right'] as const;
export type Side = (typeof SIDES)[number];

/** Ids that clients make: what they repeat is known again by them. */
export const VOTE_ID = /^v_[A-Za-z0-9_-]{16,64}$/;

/** Names that stand for people: short, and without anything that could be taken for markup or for a path. */
export const RATER_ID = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$/;

/** A page that sleeps may count for days; more than this is a clock that was set. */
const MAX_MS = 30 * 24 * 3600 * 1000;
const milliseconds = z.number().min(0).max(MAX_MS);

/** What a vote says, before the log gives it a place. */
const about = {
  /** Made by the client: a vote that is sent twice is the same one. */
  vote: z.string().regex(VOTE_ID),
  pair: z.string().min(1).max(LIMITS.rowBytes),
  /** Null once the rater was forgotten. */
  rater: z.string().regex(RATER_ID).nullable(),
  /** `undo` takes back the vote that it replaces, and says nothing new. */
  choice: z.enum([...CHOICES, 'undo']),
  /** Which of the two stood first on the page, above or to the left, and the seed that drew it. */
  shown: z.strictObject({ first: z.enum(SIDES), seed: z.int() }),
  /** Of what was shown: bytes of media, text as UTF-8. */
  left_sha256: sha256,
  right_sha256: sha256,
  /** From the pair's appearance to the vote, the part of it in which the page was visible, and the wait for media before. */
  ms: milliseconds,
  visible_ms: milliseconds,
  media_ready_ms: milliseconds,
  /** Whether the answer was known, and the vote tells of the rater and not of the pair. */
  gold: z.boolean(),
  /** Whether the rater had judged the pair before: sides swapped, and no label of the pair. */
  repeat: z.boolean(),
  /** The rater's earlier vote on the pair, which this one stands for from now on. */
  replaces: z.string().regex(VOTE_ID).nullable(),
  /** By the clock of whoever wrote it; the order is that of `seq`. */
  at: z.string().max(64),
  /** Version of the page. */
  ui: z.string().max(32),
  /** Version of the text that the rater has agreed to; null where there is none. */
  consent: z.string().max(32).nullable(),
};

export const voteDocument = defineDocument(
  'hpsv3/vote@1',
  z.strictObject({
    /** From 1, without gaps. */
    seq: z.int().positive(),
    ...about,
    /** SHA-256 of the line before, without its newline; of the first line, of nothing. */
    prev: sha256,
  }),
  { what: 'a log of votes', made: 'hpsv3 label', code: 'DATA_INVALID' },
);

/** A vote as a page that is a file saves it: by its own count, and bound to no line before it. */
export const offlineVoteSchema = voteDocument.schema.partial({ prev: true });

/** A line of the log. */
export type Vote = DocumentOf<typeof voteDocument>;
/** A vote that has no place in a log yet. */
export type NewVote = Omit<Vote, 'schema' | 'seq' | 'prev'>;
