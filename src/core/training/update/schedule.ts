export const SCHEDULES = ['cosine', 'linear', 'constant'] as const;
export type ScheduleKind = (typeof SCHEDULES)[number];

export interface Schedule {
  readonly kind: ScheduleKind;
  /** Peak learning rate. */
  readonly lr: number;
  /** Lowest learning rate after the peak, as a share of it. */
  readonly floor: number;
  readonly warmupSteps: number;
  readonly steps: number;
}

/**
 * Learning rate of a step, counted from 0: a linear rise that reaches the peak at the end of the warm-up, then half a cosine
 * (Loshchilov and Hutter, 2017), a line, or nothing.
 */
export function learningRate({ kind, lr, floor, warmupSteps, steps }: Schedule, step: number): number {
  if (step < warmupSteps) return (lr * (step + 1)) / warmupSteps;
  if (kind === 'constant') return lr;
  const done = Math.min(1, (step - warmupSteps) / Math.max(1, steps - warmupSteps));
  const share = kind === 'cosine' ? 0.5 * (1 + Math.cos(Math.PI * done)) : 1 - done;
  return lr * (floor + (1 - floor) * share);
}

/**
 * Which of several streams each turn belongs to, in proportion to their weights: the one that is furthest behind its share,
 * the first of equals. No chance is involved, so every stretch of turns keeps the proportions as well as whole numbers can.
 */
export class TurnTaker {
  private readonly counts: number[];
  private readonly shares: number[];
  private turns = 0;

  /** @param weights - positive, need not sum to 1 */
  constructor(weights: readonly number[]) {
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    this.shares = weights.map((weight) => weight / total);
    this.counts = weights.map(() => 0);
  }

  /** The stream of the next turn, and how many turns it has had before. */
  next(): { readonly stream: number; readonly turn: number } {
    const stream = this.peek();
    this.turns++;
    return { stream, turn: this.counts[stream]++ };
  }

  /** The stream of the next turn, which is not taken. */
  peek(): number {
    let stream = 0;
    let furthest = Number.NEGATIVE_INFINITY;
    for (const [i, share] of this.shares.entries()) {
      const behind = share * (this.turns + 1) - this.counts[i];
      if (behind > furthest + 1e-9) {
        furthest = behind;
        stream = i;
      }
    }
    return stream;
  }

  /** Goes on after the first `turns` turns, as if they had been taken here. */
  skip(turns: number): void {
    for (let i = 0; i < turns; i++) this.next();
  }
}
