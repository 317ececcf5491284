import { withOutputs } from '../../autodiff/emitter.js';
import type { Modality } from '../../onnx/manifest.js';
import type { LocalSession } from '../../runtime/ort.js';
import { float32Value, type TensorValue } from '../../runtime/value.js';
import { auc } from '../../stats/auc.js';
import { bothOrders, concatenate, type Outcomes } from '../../stats/outcomes.js';
import type { EngineOptions } from '../engines/engine.js';
import { openOnDevice } from '../engines/onnxruntime.js';
import type { ForwardModel } from '../graph/forward.js';
import { bindForward } from '../graph/loss-model.js';
import type { Slab } from '../update/slabs.js';
import { ItemBatch } from './batch.js';
import { type ModalityData, type PairExample, type StreamData, streamsOf } from './dataset.js';

/** Pair logits of held-out pairs, in the order of `pairs`. */
export interface Judged {
  readonly modality: Modality;
  readonly pairs: readonly PairExample[];
  readonly logits: Float64Array;
}

/** The forward pass over the held-out pairs of one modality, at whatever parameters it is given. */
export class Evaluator {
  private constructor(
    readonly data: ModalityData,
    private readonly parts: readonly { stream: StreamData; batch: ItemBatch; session: LocalSession }[],
    private readonly pairsPerRun: number,
    private readonly decision: 'pair_logit' | 'utility_logit',
    private readonly order: ReadonlyMap<PairExample, number>,
  ) {}

  static async open(
    forward: ForwardModel,
    data: ModalityData,
    options: { readonly slabs: readonly Slab[]; readonly pairs: number } & EngineOptions,
  ): Promise<Evaluator> {
    const decision = forward.head ? 'pair_logit' : 'utility_logit';
    const parts = [];
    for (const stream of streamsOf({ ...data, absolutes: [] })) {
      const batch = new ItemBatch(data.inputs, 2 * options.pairs, stream.shape);
      for (let row = 0; row < batch.rows; row++) batch.set(row, data.items[stream.pairs[0].left]);
      const bound = await bindForward(forward, batch.feeds, {
        ...options,
        mixing: false,
        masking: false,
        branches: [],
      });
      const { session } = await openOnDevice(withOutputs(bound, [decision]).model, options);
      parts.push({ stream, batch, session });
    }
    return new Evaluator(data, parts, options.pairs, decision, new Map(data.pairs.map((pair, i) => [pair, i])));
  }

  /** @param parameters - by slab */
  async judge(parameters: ReadonlyMap<string, TensorValue>): Promise<Judged> {
    const { pairs, items, modality } = this.data;
    const logits = new Float64Array(pairs.length);
    for (const { stream, batch, session } of this.parts) {
      const inputs = new Set(session.inputs.map(({ name }) => name));
      const rows = this.decision === 'pair_logit' ? this.pairsPerRun : 2 * this.pairsPerRun;
      const result = new Float32Array(rows);
      const targets = new Map([[this.decision, float32Value([rows], result)]]);
      const logitOf = (i: number): number =>
        rows === this.pairsPerRun ? result[i] : result[i] - result[i + this.pairsPerRun];
      for (let start = 0; start < stream.pairs.length; start += this.pairsPerRun) {
        const count = Math.min(this.pairsPerRun, stream.pairs.length - start);
        for (let i = 0; i < count; i++) {
          const { left, right } = stream.pairs[start + i];
          batch.set(i, items[left]);
          batch.set(i + this.pairsPerRun, items[right]);
        }
        const feeds = new Map([...batch.feeds, ...parameters].filter(([name]) => inputs.has(name)));
        await session.runInto(feeds, targets);
        for (let i = 0; i < count; i++) logits[this.order.get(stream.pairs[start + i])!] = logitOf(i);
      }
    }
    return { modality, pairs, logits };
  }

  async release(): Promise<void> {
    for (const { session } of this.parts) await session.release();
  }
}

/** AUC of pair logits over the votes, each pair seen from both sides; null where no vote is decided. */
export function pairAuc({ pairs, logits }: Pick<Judged, 'pairs' | 'logits'>): number | null {
  const votes: Outcomes = {
    positive: Float64Array.from(pairs, ({ votes: [left, , tie] }) => left + tie / 2),
    negative: Float64Array.from(pairs, ({ votes: [, right, tie] }) => right + tie / 2),
  };
  return auc(
    concatenate(
      logits,
      logits.map((logit) => -logit),
    ),
    bothOrders(votes),
  );
}
