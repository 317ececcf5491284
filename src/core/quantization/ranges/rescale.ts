import type { OnnxModel, TensorProto } from '../../onnx/model.js';
import { mapWeight } from '../../onnx/passes/map-weight.js';
import { numel } from '../../tensor/shape.js';
import type { Channels } from '../channel-layout.js';
import type { ChannelClass } from '../channels.js';

/** What the channels of a class are divided by. */
export interface ChannelScales extends ChannelClass {
  readonly scales: Float64Array;
}

/**
 * The model with the channels of values divided, which computes the same up to the rounding of float32. Constants are scaled as
 * they are read.
 */
export function rescaleChannels(model: OnnxModel, classes: readonly ChannelScales[]): OnnxModel {
  const factors = new Map<string, Map<string, ChannelFactors>>();
  for (const { sides, scales } of classes) {
    for (const { constant, role, channels, inner } of sides) {
      const values = role === 'reads' ? scales : scales.map((scale) => 1 / scale);
      factors.set(constant, (factors.get(constant) ?? new Map()).set(role, { channels, inner, values }));
    }
  }
  const { graph } = model;
  const initializer = graph.initializer.map((tensor) => {
    const found = factors.get(tensor.name ?? '');
    return found ? scaled(tensor, [...found.values()]) : tensor;
  });
  return { ...model, graph: { ...graph, initializer } };
}

interface ChannelFactors extends Channels {
  readonly values: Float64Array;
}

/** A float32 tensor times factors of its channels, rounded once. */
function scaled(weight: TensorProto, factors: readonly ChannelFactors[]): TensorProto {
  const [first, second = everywhere(first.inner === 1 ? numel(weight.dims) : 1)] = factors;
  const [coarse, fine] = first.inner > second.inner ? [first, second] : [second, first];
  const row = Float64Array.from(
    { length: fine.channels * fine.inner },
    (_, i) => fine.values[Math.floor(i / fine.inner)],
  );
  return mapWeight(weight, (values, at, result) => {
    for (let start = 0, end = 0; start < values.length; start = end) {
      const position = at + start;
      end = Math.min(values.length, start + coarse.inner - (position % coarse.inner));
      const factor = coarse.values[Math.floor(position / coarse.inner) % coarse.channels];
      let place = position % row.length;
      for (let i = start; i < end; i++) {
        result[i] = values[i] * (factor * row[place]);
        if (++place === row.length) place = 0;
      }
    }
  });
}

const everywhere = (inner: number): ChannelFactors => ({ channels: 1, inner, values: Float64Array.of(1) });
