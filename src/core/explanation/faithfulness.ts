import { percentileInterval, replicate, sortedValues } from '../stats/bootstrap.js';
import { ratioOfSums } from '../stats/statistic.js';
import type { ExplanationCheck } from './checks/check.js';
import { VERDICTS } from './checks/verdicts.js';
import type { ExplanationDocument } from './document.js';

/** Fewer prompts say nothing of how far their mean can be trusted. */
const LEAST_CLUSTERS = 5;

/** The checks of many rows. */
export class Faithfulness {
  private readonly checks: { readonly cluster: string; readonly check: ExplanationCheck }[] = [];

  /** @param cluster - the row's prompt: rows of one are resampled together */
  add(cluster: string, check: ExplanationCheck): void {
    this.checks.push({ cluster, check });
  }

  async report(seed: number): Promise<ExplanationDocument['faithfulness']> {
    const { checks } = this;
    if (checks.length === 0) return null;
    const names = [...new Set(checks.map(({ cluster }) => cluster))];
    const clusters = { of: Int32Array.from(checks, ({ cluster }) => names.indexOf(cluster)), count: names.length };
    const ones = new Float64Array(checks.length).fill(1);
    const of = (value: (check: ExplanationCheck) => number) =>
      ratioOfSums(
        Float64Array.from(checks, ({ check }) => value(check)),
        ones,
      );
    const [deletion, insertion] = (
      await replicate([of(({ deletion: { better } }) => better), of(({ insertion: { better } }) => better)], clusters, {
        seed: `explain:faithfulness:${seed}`,
      })
    ).map((replicates) => ({
      value: replicates.value,
      ci: names.length < LEAST_CLUSTERS ? null : percentileInterval(sortedValues(replicates)),
    }));
    const [trustworthy, doubtful, untrustworthy] = VERDICTS.map(
      (verdict) => checks.filter(({ check }) => check.verdict === verdict).length,
    );
    return {
      samples: checks.length,
      verdicts: { trustworthy, doubtful, untrustworthy },
      deletion,
      insertion,
      unexplained: checks.reduce((sum, { check }) => sum + check.unexplained, 0) / checks.length,
    };
  }
}
