import type { Budget } from './budget.js';
import type { MovedOutput } from './compare.js';
import type { DecisionTable } from './decision-table.js';
import type { Divergence } from './divergence.js';
import type { GoldenParity } from './golden.js';
import type { GateCheck } from './invariances.js';

export type GateLevel = 'off' | 'quick' | 'full';

/** The gate's answer. Every number in it is finite, so that it survives JSON; see NOT_FINITE. */
export interface GateReport {
  /** Whether every check passed. */
  readonly passed: boolean;
  readonly level: GateLevel;
  /** What the model was compared with; `none` is never called verified. */
  readonly reference: 'golden' | 'source' | 'members' | 'recorded' | 'none';
  /** The rows it was compared on with other models: how many, and whether they are the user's or made up. Absent where with none. */
  readonly comparedOn?: { readonly rows: number; readonly origin: 'inputs' | 'probes' };
  readonly budget: Budget;
  readonly seed: string;
  /** Pairs decided by both; with them the figures below. Null where nothing was compared. */
  readonly pairs: number | null;
  readonly flips: number | null;
  readonly flipRate: number | null;
  /** Null also where one side scores all alike. */
  readonly kendall: number | null;
  /** In logits. */
  readonly maxScoreDiff: number | null;
  /** Who won where, before and after; only where two models were compared. */
  readonly decisions?: DecisionTable;
  /** Mean of |head(l, r) + head(r, l)|, of models with a pair head. */
  readonly orderBias?: number;
  readonly checks: readonly GateCheck[];
  /** What was not looked at, and why: one sentence each. */
  readonly notes: readonly string[];
  /** Difference of every output from what it was compared with; `source` also for the members of an ensemble. */
  readonly parity: { readonly golden: GoldenParity | null; readonly source: GoldenParity | null };
  /** On failure: the first output of the graph that moved, and the first value inside it where that could be found. */
  readonly firstMoved?: MovedOutput;
  readonly firstDivergence?: Divergence;
  /** Resident memory of the process that ran the model, at its highest. */
  readonly peakRssBytes: number;
  readonly loadMs: number;
  /** Milliseconds of all runs together. */
  readonly runMs: number;
}
