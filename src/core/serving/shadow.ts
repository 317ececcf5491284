import type { Score } from '../scoring/result.js';
import type { Sample } from '../scoring/scorer.js';
import type { ServerLog } from './log.js';
import type { Metrics } from './metrics.js';
import type { Generation } from './model.js';

/** Rows of the shadow model under way at a time: it must not take the machine from the model that answers. */
const MOST_UNDER_WAY = 4;

/** What two models said of one row. */
interface Judged {
  readonly served: number;
  readonly shadow: number;
}

/**
 * A second model that scores a share of the rows after they were answered, so that one sees what it would have decided: its answers
 * go to nobody. A pair is decided otherwise where its winner differs; an item where its order with the item before it does.
 */
export class Shadow {
  private seen = 0;
  private underWay = 0;
  private before: Judged | undefined;

  constructor(
    private readonly generation: Generation,
    /** Of the rows, in (0, 1]. */
    private readonly share: number,
    private readonly metrics: Metrics,
    private readonly log: ServerLog,
  ) {}

  /** Takes a row that was answered; every so many of them is scored again. */
  take(model: string, sample: Sample, score: Score): void {
    const before = Math.floor(this.seen * this.share);
    this.seen++;
    if (Math.floor(this.seen * this.share) === before || this.underWay >= MOST_UNDER_WAY) return;
    this.underWay++;
    void this.compare(model, sample, score).finally(() => this.underWay--);
  }

  close(): Promise<void> {
    return this.generation.retire();
  }

  private async compare(model: string, sample: Sample, { logit }: Score): Promise<void> {
    try {
      const now = { served: logit, shadow: (await this.generation.score(sample)).logit };
      this.metrics.shadowRows.inc({ model });
      const flipped =
        'left' in sample ? isFlip(now, { served: 0, shadow: 0 }) : this.before && isFlip(now, this.before);
      if (!('left' in sample)) this.before = now;
      if (!flipped) return;
      this.metrics.shadowFlips.inc({ model });
      this.log.info({ model, logit, shadow: now.shadow }, 'the shadow model decides a row otherwise');
    } catch (error) {
      this.log.warn({ model, err: error }, 'the shadow model could not score a row');
    }
  }
}

const isFlip = (a: Judged, b: Judged): boolean => Math.sign(a.served - b.served) !== Math.sign(a.shadow - b.shadow);
