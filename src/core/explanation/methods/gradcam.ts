import { HpsError } from '../../errors.js';
import { floatsOf } from '../../runtime/value.js';
import { numel } from '../../tensor/shape.js';
import { LOGIT } from '../decision.js';
import { Differentiator } from '../differentiator.js';
import { leadingTo, reachedFrom } from '../graph-walk.js';
import type { Part } from '../parts.js';
import type { Attribution, GradientCase, MethodResult } from './method.js';

/**
 * Sum over the channels of the last convolution of each part, every one weighted with the mean of its gradient (Selvaraju and others
 * 2017). It stays signed: a pair has reasons against as well as for. What the paper shows is the part above 0.
 */
export async function gradcam(given: GradientCase): Promise<MethodResult> {
  const { decision, inputs, settings } = given;
  const places = new Map<Part, string>();
  const session = await Differentiator.open(decision, inputs.feeds, {
    wrt: (types) => {
      for (const part of inputs.parts) {
        const conv = lastConvolution(given, part, (value) => types.get(value)?.shape ?? []);
        if (conv !== null) places.set(part, conv);
      }
      if (places.size === 0) throw noConvolution();
      return [...places.values()];
    },
    fed: inputs.fed,
    withValues: true,
    threads: settings.threads,
  });
  try {
    const { logits, gradients, values } = await session.run([inputs.feeds]);
    const attributions = Array.from(places, ([part, place]): Attribution => {
      const value = values.get(place)!;
      const [, channels, ...shape] = value.shape;
      return { part, shape, values: weighted(floatsOf(value), gradients.get(place)!, channels, numel(shape)) };
    });
    const left = inputs.parts.filter((part) => !places.has(part)).map(({ side, kind }) => `${side} ${kind}`);
    const warnings = left.length > 0 ? [`No convolution looks at: ${left.join(', ')}. It has no Grad-CAM.`] : [];
    return { attributions, logit: logits[0], baselineLogit: null, completeness: null, warnings };
  } finally {
    await session.close();
  }
}

function weighted(values: Float32Array, gradient: Float32Array, channels: number, size: number): Float32Array {
  const map = new Float32Array(size);
  for (let channel = 0; channel < channels; channel++) {
    const start = channel * size;
    let mean = 0;
    for (let at = start; at < start + size; at++) mean += gradient[at] / size;
    for (let at = 0; at < size; at++) map[at] += mean * values[start + at];
  }
  return map;
}

/** The last one on the way from a part to f that still has places: not one that works on pooled channels. */
function lastConvolution(
  { decision }: GradientCase,
  { value, kind }: Part,
  shapeOf: (value: string) => readonly number[],
): string | null {
  if (kind === 'text') return null;
  const reached = reachedFrom(decision.model, [value]);
  const leading = leadingTo(decision.model, LOGIT);
  const last = decision.model.graph.node.findLast(
    ({ opType, input, output }) =>
      opType === 'Conv' && reached.has(input[0]) && leading.has(output[0]) && numel(shapeOf(output[0]).slice(2)) > 1,
  );
  return last?.output[0] ?? null;
}

const noConvolution = (): HpsError =>
  new HpsError('METHOD_INAPPLICABLE', 'the model has no convolution that looks at this sample, so it has no Grad-CAM', {
    hint: 'Use `method` ig, or relevance for a transformer.',
  });
