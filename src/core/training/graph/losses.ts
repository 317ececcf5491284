import { Emitter } from '../../autodiff/emitter.js';
import type { BoundGraph, Operand } from '../../autodiff/types.js';
import { AUXILIARY, type Auxiliary } from '../../data/rows.js';
import { intAttribute, type NodeProto } from '../../onnx/model.js';

/** How much each loss counts; one of weight 0 is left out of the graph. */
export interface LossWeights {
  /** Pairwise logistic loss of the pair logit. */
  readonly pair: number;
  /** The same of the difference of both utility logits. */
  readonly utility: number;
  /** L1 between utility and score. */
  readonly absolute: number;
  /** Cross-entropy of the auxiliary heads, class by class. */
  readonly quality: number;
  readonly fluency: number;
  readonly toxicity: number;
  /** Squared mean of both orders' raw logits, which should cancel. */
  readonly consistency: number;
  /** Contrast of both modalities among the left items of a run (Radford et al., 2021); 0 by default. */
  readonly match?: number;
  /** Half the votes of a tie on each side (`split`), or a class of its own (`davidson`). */
  readonly ties: 'split' | 'davidson';
  /** Davidson's log nu: log-odds of a tie over either side between equal items. */
  readonly tieLogit: number;
}

export interface LossRequest {
  readonly pairs: number;
  readonly itemOutputs: readonly string[];
  readonly matchOutputs: readonly [string, string] | null;
  readonly hasHead: boolean;
  readonly weights: LossWeights;
}

export interface LossGraph {
  readonly graph: BoundGraph;
  /** Targets, whose rows carry their weights: a row of zeros does not count. */
  readonly inputs: readonly Operand[];
  /** `loss` first, then its parts, unweighted, and what metrics read. */
  readonly outputs: readonly string[];
}

/**
 * Targets that loss graphs take, for P pairs and 2 P items. All are weights times shares, so a row without a label has zeros.
 *   pair_target     [P, 3]  votes for left, for right, ties
 *   score_target    [2 P]   utility, -1 to 1
 *   score_weight    [2 P]
 *   NAME_target     [2 P, classes]  of quality, fluency and toxicity: one-hot, times the class's weight
 */
export const TARGETS = {
  pair: 'pair_target',
  score: 'score_target',
  scoreWeight: 'score_weight',
  class: (name: string): string => `${name}_target`,
} as const;

/** Appends the losses to a forward pass over P pairs. */
export function addLosses(bound: BoundGraph, request: LossRequest): LossGraph {
  const builder = new LossBuilder(bound, request);
  return builder.build();
}

/** The targets that the losses of a graph with these outputs read. */
function targetsOf({ types }: BoundGraph, { pairs, itemOutputs, weights }: LossRequest): Operand[] {
  const F32 = 'F32' as const;
  const items = 2 * pairs;
  const targets: Operand[] = [{ name: TARGETS.pair, dtype: F32, shape: [pairs, 3] }];
  if (itemOutputs.includes('utility_logit') && weights.absolute > 0)
    for (const name of [TARGETS.score, TARGETS.scoreWeight]) targets.push({ name, dtype: F32, shape: [items] });
  for (const name of AUXILIARY) {
    const type = types.get(name);
    if (type && weights[name] > 0) targets.push({ name: TARGETS.class(name), dtype: F32, shape: type.shape });
  }
  return targets;
}

class LossBuilder {
  private readonly graph: Emitter;
  private readonly inputs: readonly Operand[];
  private readonly parts: { name: string; value: Operand; weight: number }[] = [];
  /** Values that get a name of their own. */
  private readonly aliases: { name: string; value: Operand }[] = [];

  constructor(
    bound: BoundGraph,
    private readonly request: LossRequest,
  ) {
    this.inputs = targetsOf(bound, request);
    const types = new Map([...bound.types, ...this.inputs.map((input) => [input.name, input] as const)]);
    this.graph = new Emitter({ ...bound, types }, 'loss/');
  }

  build(): LossGraph {
    const { weights, hasHead, itemOutputs, matchOutputs, pairs } = this.request;
    const { graph } = this;
    const utilities = itemOutputs.includes('utility_logit') ? graph.operand('utility_logit') : null;
    const outputs: string[] = [];
    let difference: Operand | null = null;
    if (utilities) {
      const half = { dtype: 'F32', shape: [pairs] } as const;
      const [left, right] = graph.nodeOf(
        'Split',
        [utilities],
        [half, half],
        [intAttribute('num_outputs', 2), intAttribute('axis', 0)],
      );
      difference = graph.sub(left, right);
    }
    const decision = hasHead ? graph.operand('pair_logit') : difference;
    if (hasHead) {
      this.add('pair', weights.pair, () => this.preference(graph.operand('pair_logit')));
      this.add('consistency', weights.consistency, () => this.consistency());
    }
    if (difference) {
      const weight = hasHead ? weights.utility : weights.pair + weights.utility;
      this.add('utility', weight, () => this.preference(difference));
    }
    if (utilities) this.add('absolute', weights.absolute, () => this.absolute(utilities));
    for (const name of AUXILIARY)
      if (itemOutputs.includes(name)) this.add(name, weights[name], () => this.crossEntropy(name));
    if (matchOutputs && weights.match) this.add('match', weights.match, () => this.contrast(matchOutputs));
    if (this.parts.length === 0 || decision === null) throw new RangeError('no loss has a weight');
    const weighted = this.parts.map(({ value, weight }) => graph.scale(value, weight));
    outputs.push(this.named('loss', graph.sum(weighted)));
    for (const { name, value } of this.parts) outputs.push(this.named(`loss.${name}`, value));
    outputs.push(hasHead ? 'pair_logit' : this.named('pair_logit', decision));
    return { graph: this.finish(), inputs: this.inputs, outputs };
  }

  private add(name: string, weight: number, build: () => Operand): void {
    if (weight > 0) this.parts.push({ name, weight, value: build() });
  }

  /**
   * Cross-entropy [] of votes under log-odds z [P]: logistic with soft labels, a tie counting half on each side; or Davidson's
   * model (1970), in which left, right and tie have the logits z / 2, -z / 2 and log nu.
   */
  private preference(logit: Operand): Operand {
    const { graph } = this;
    const pairTarget = graph.operand(TARGETS.pair);
    const column = graph.reshape(logit, [...logit.shape, 1]);
    if (this.request.weights.ties === 'davidson') {
      const half = graph.scale(column, 0.5);
      const tie = graph.expand(graph.scalar(this.request.weights.tieLogit, 'F32'), half.shape);
      return this.crossEntropyOf(graph.concat([half, graph.neg(half), tie], 1), pairTarget);
    }
    const zero = graph.expand(graph.scalar(0, 'F32'), column.shape);
    const shares = graph.matmul(pairTarget, graph.floats('F32', [3, 2], [1, 0, 0, 1, 0.5, 0.5]));
    return this.crossEntropyOf(graph.concat([column, zero], 1), shares);
  }

  /** ((head(l, r) + head(r, l)) / 2)^2 over the pairs that count. */
  private consistency(): Operand {
    const { graph } = this;
    const bias = graph.sub(graph.operand('logit'), graph.operand('pair_logit'));
    const weight = graph.reduce('ReduceSum', graph.operand(TARGETS.pair), [1], false);
    return graph.reduce('ReduceSum', graph.mul(weight, graph.mul(bias, bias)), [0], false);
  }

  /**
   * How well the left item's own text is told from those of the other items of the run, and its own picture from theirs: the
   * cross-entropies of a / sqrt(width) over the rows and the columns of a = left right^T. Sides of one pair often share a picture, so
   * right items take no part.
   */
  private contrast(names: readonly [string, string]): Operand {
    const { graph } = this;
    const { pairs } = this.request;
    const half = (name: string): Operand => {
      const both = graph.operand(name);
      const type = { dtype: both.dtype, shape: [pairs, both.shape[1]] };
      const attributes = [intAttribute('num_outputs', 2), intAttribute('axis', 0)];
      return graph.nodeOf('Split', [both], [type, type], attributes)[0];
    };
    const [left, right] = names.map(half);
    const similarity = graph.scale(graph.matmul(left, graph.transposed(right)), 1 / Math.sqrt(left.shape[1]));
    const own = Array.from({ length: pairs * pairs }, (_, i) => (i % (pairs + 1) === 0 ? 1 / (2 * pairs) : 0));
    const target = graph.floats('F32', [pairs, pairs], own);
    return graph.sum([
      this.crossEntropyOf(similarity, target),
      this.crossEntropyOf(graph.transposed(similarity), target),
    ]);
  }

  private absolute(utilities: Operand): Operand {
    const { graph } = this;
    const target = graph.operand(TARGETS.score);
    const weight = graph.operand(TARGETS.scoreWeight);
    const error = graph.unary('Abs', graph.sub(graph.unary('Tanh', utilities), target));
    return graph.reduce('ReduceSum', graph.mul(weight, error), [0], false);
  }

  private crossEntropy(name: Auxiliary): Operand {
    const logits = this.graph.operand(name);
    return this.crossEntropyOf(logits, this.graph.operand(TARGETS.class(name)));
  }

  /** - sum(target log softmax(logits)), the softmax over the last axis. */
  private crossEntropyOf(logits: Operand, target: Operand): Operand {
    const { graph } = this;
    const logs = graph.node('LogSoftmax', [logits], logits, [intAttribute('axis', -1)]);
    return graph.neg(graph.reduce('ReduceSum', graph.mul(target, logs), [0, 1], false));
  }

  private named(name: string, value: Operand): string {
    this.aliases.push({ name, value });
    return name;
  }

  private finish(): BoundGraph {
    const { model, types, constants } = this.graph.finish();
    const names = this.aliases.map(({ name, value }): NodeProto => {
      return { name, opType: 'Identity', input: [value.name], output: [name], attribute: [] };
    });
    return {
      model: { ...model, graph: { ...model.graph, node: [...model.graph.node, ...names] } },
      types: new Map([
        ...types,
        ...this.aliases.map(({ name, value: { dtype, shape } }) => [name, { dtype, shape }] as const),
      ]),
      constants,
    };
  }
}
