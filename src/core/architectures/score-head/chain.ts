import type { TensorInfo } from '../../tensor/tensor.js';

export interface LinearLayer {
  /** State-dict prefix: `layers.0`; empty for a lone `weight` and `bias`. */
  readonly key: string;
  readonly inputs: number;
  readonly outputs: number;
  /** Whether a module without tensors (an activation, a dropout) can stand between this layer and the next. */
  readonly gapAfter: boolean;
}

const byNumber = new Intl.Collator('en', { numeric: true });

/** Prefix and index of `layers.6`: a place in an nn.Sequential. Null for a name that is not numbered. */
function sequentialIndex(key: string): { parent: string; index: number } | null {
  const match = /^(.*?)(\d{1,6})$/.exec(key);
  return match?.[1].endsWith('.') || match?.[1] === '' ? { parent: match[1], index: Number(match[2]) } : null;
}

/**
 * The tensors as one chain of linear layers, each [outputs, inputs], in the natural order of their names; null where they are
 * anything else. In an nn.Sequential, neighbouring indices leave no room for an activation between two layers.
 */
export function linearChain(tensors: ReadonlyMap<string, TensorInfo>): LinearLayer[] | null {
  const weights = [...tensors.keys()]
    .filter((name) => name === 'weight' || name.endsWith('.weight'))
    .sort(byNumber.compare);
  const biases = [...tensors.keys()].filter((name) => name === 'bias' || name.endsWith('.bias'));
  if (weights.length === 0 || weights.length + biases.length !== tensors.size) return null;

  const keys = weights.map((name) => name.slice(0, -'.weight'.length));
  const prefix = (key: string): string => (key === '' ? '' : `${key}.`);
  const layers: LinearLayer[] = [];
  for (const [i, name] of weights.entries()) {
    const shape = tensors.get(name)?.shape ?? [];
    const bias = tensors.get(`${prefix(keys[i])}bias`)?.shape;
    if (shape.length !== 2 || (bias && (bias.length !== 1 || bias[0] !== shape[0]))) return null;
    const [here, next] = [sequentialIndex(keys[i]), i + 1 < keys.length ? sequentialIndex(keys[i + 1]) : null];
    const neighbours = here !== null && next !== null && here.parent === next.parent && next.index === here.index + 1;
    layers.push({ key: keys[i], inputs: shape[1], outputs: shape[0], gapAfter: !neighbours });
  }
  const owners = new Set(keys.map((key) => `${prefix(key)}bias`));
  const joined = layers.every((layer, i) => i === 0 || layer.inputs === layers[i - 1].outputs);
  return joined && biases.every((name) => owners.has(name)) ? layers : null;
}
