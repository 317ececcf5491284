import { PAIR_METRICS } from '../../stats/metric.js';
import { comparePaired, type PairedComparison } from '../../stats/paired.js';
import type { Clusters } from '../../stats/statistic.js';
import type { Judged } from './evaluator.js';

/** A figure before and after fine-tuning on the same rows. */
export interface BeforeAfter extends PairedComparison {
  readonly before: number | null;
  readonly after: number | null;
}

export interface Comparison {
  readonly pairs: number;
  readonly clusters: number;
  readonly accuracy: BeforeAfter;
  readonly auc: BeforeAfter;
}

/** How a model's decisions on labelled pairs changed: paired bootstrap over clusters. */
export async function compareJudged(
  before: Judged,
  after: Judged,
  { seed, signal }: { readonly seed: number; readonly signal?: AbortSignal },
): Promise<Comparison> {
  const { pairs } = before;
  const clusters = clustersOf(pairs.map(({ cluster }) => cluster));
  const figure = async (id: 'accuracy' | 'auc'): Promise<BeforeAfter> => {
    const { prepare, direction } = PAIR_METRICS.find((metric) => metric.id === id)!;
    const statistic = ({ logits }: Judged) =>
      prepare({
        logits,
        probabilities: null,
        outcomes: {
          positive: Float64Array.from(pairs, ({ votes: [left, , tie] }) => left + tie / 2),
          negative: Float64Array.from(pairs, ({ votes: [, right, tie] }) => right + tie / 2),
        },
      });
    const [old, tuned] = [statistic(before), statistic(after)];
    const options = { seed: `finetune/${seed}/${id}`, signal };
    return { before: old(), after: tuned(), ...(await comparePaired(tuned, old, direction, clusters, options)) };
  };
  return {
    pairs: pairs.length,
    clusters: clusters.count,
    accuracy: await figure('accuracy'),
    auc: await figure('auc'),
  };
}

function clustersOf(names: readonly string[]): Clusters {
  const codes = new Map<string, number>();
  const of = Int32Array.from(names, (name) => {
    const code = codes.get(name) ?? codes.size;
    codes.set(name, code);
    return code;
  });
  return { of, count: codes.size };
}
