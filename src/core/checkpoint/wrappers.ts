import { DTYPES } from '../tensor/dtype.js';
import { numel } from '../tensor/shape.js';
import type { TensorInfo } from '../tensor/tensor.js';

/** Modules that only wrap another (torch.compile, FSDP, activation checkpoints, DeepSpeed's strategy, Opacus): no model has its own by these names. */
const TRANSPARENT: ReadonlySet<string> = new Set([
  '_orig_mod',
  '_fsdp_wrapped_module',
  '_checkpoint_wrapped_module',
  '_forward_module',
  '_fpw_module',
  '_module',
]);

/** The one child of DataParallel, DistributedDataParallel and AveragedModel, wherever in a model they stand. */
const ONLY_CHILD = 'module';

/** What training code calls the model inside a module of its own: a wrapper only before every name. */
const FRONT: readonly string[] = ['model', 'net', 'network'];

/** First steps of names that belong to the training and not to the model. */
const OF_TRAINING = /(^|_)(loss|losses|loss_fn|criterion|criteria|metrics?|acc|accuracy|auroc)(_|$)/i;

/** More steps than any module nests; names of more are left as they are. */
const MOST_STEPS = 64;

export interface Ignored {
  readonly name: string;
  readonly reason: string;
}

export interface Unwrapped {
  /** Short names by the names in the file, in the order of the file; those left out are not in it. */
  readonly names: ReadonlyMap<string, string>;
  /** Prefix removed from every name, e.g. `module._orig_mod.`. */
  readonly strippedPrefix: string;
  /** Steps removed inside of names, e.g. `_orig_mod`. */
  readonly strippedInside: readonly string[];
  readonly ignored: readonly Ignored[];
}

type Tensors = ReadonlyMap<string, TensorInfo>;
type Names = ReadonlyMap<string, string>;

/**
 * Names of a state dict without the steps that wrappers put into them. What stands beside a wrapped model (the counter of an
 * average, buffers of a loss, another copy of the model) is left out with the reason; beside anything else nothing is removed.
 */
export function unwrapNames(tensors: Tensors): Unwrapped {
  const ignored: Ignored[] = [];
  const all = [...tensors.keys()];
  const whole: Names = new Map(all.map((name) => [name, name]));
  if (all.some((name) => name.split('.', MOST_STEPS + 1).length > MOST_STEPS))
    return { names: whole, strippedPrefix: '', strippedInside: [], ignored };
  let names = withoutTransparent(whole);
  for (;;) {
    const next = withoutFront(withoutOnlyChild(names, tensors, ignored), tensors, ignored);
    if (next === names) return { names, ...removedSteps(names), ignored };
    names = next;
  }
}

/** Where two names would come to one, all stay as they are. */
function withoutTransparent(names: Names): Names {
  const short = new Map<string, string>();
  for (const name of names.keys()) {
    const steps = name.split('.');
    const last = steps.pop()!;
    short.set(name, [...steps.filter((step) => !TRANSPARENT.has(step)), last].join('.'));
  }
  return new Set(short.values()).size === names.size ? short : names;
}

/** Removes `module` where it is all that its parent holds, but for what is of the training. */
function withoutOnlyChild(names: Names, tensors: Tensors, ignored: Ignored[]): Names {
  const besides = new Map<string, string[]>();
  for (const short of names.values()) for (const at of placesOf(ONLY_CHILD, short)) besides.set(short.slice(0, at), []);
  if (besides.size === 0) return names;
  const lengths = new Set([...besides.keys()].map(({ length }) => length));
  for (const [name, short] of names) {
    for (const at of stepStarts(short)) {
      const parent = lengths.has(at) ? short.slice(0, at) : null;
      const beside = parent === null ? undefined : besides.get(parent);
      if (beside === undefined || isStep(ONLY_CHILD, short, at)) continue;
      if (isOfTraining(short.slice(at), tensors.get(name)!)) beside.push(name);
      else besides.delete(parent!);
    }
  }
  if (besides.size === 0) return names;
  const left = new Set([...besides.values()].flat());
  for (const name of left) ignored.push(ofTraining(name));
  const result = new Map<string, string>();
  for (const [name, short] of names) {
    if (left.has(name)) continue;
    const removed = placesOf(ONLY_CHILD, short).filter((at) => besides.has(short.slice(0, at)));
    const kept = removed.reduceRight((text, at) => text.slice(0, at) + text.slice(at + ONLY_CHILD.length + 1), short);
    result.set(name, kept);
  }
  return result;
}

/** Removes `model` and its like from before every name, but for what is of the training or is another copy of the model. */
function withoutFront(names: Names, tensors: Tensors, ignored: Ignored[]): Names {
  for (const step of FRONT) {
    const inside = new Map<string, string>();
    const shapes = new Map<string, string>();
    const beside: string[] = [];
    for (const [name, short] of names) {
      if (isStep(step, short, 0)) {
        inside.set(name, short.slice(step.length + 1));
        shapes.set(short.slice(step.length + 1), String(tensors.get(name)!.shape));
      } else beside.push(name);
    }
    if (inside.size === 0) continue;
    const copies = new Map<string, number>();
    const left: Ignored[] = [];
    for (const name of beside) {
      const short = names.get(name)!;
      const [first] = short.split('.', 1);
      const steps = name.split('.');
      const key = steps.slice(0, steps.indexOf(first) + 1).join('.');
      if (isOfTraining(short, tensors.get(name)!)) left.push(ofTraining(name));
      else if (shapes.get(short.slice(first.length + 1)) === String(tensors.get(name)!.shape))
        copies.set(key, (copies.get(key) ?? 0) + 1);
      else break;
    }
    const whole = [...copies.values()].every((count) => count === inside.size);
    if (!whole || left.length + copies.size * inside.size < beside.length) continue;
    ignored.push(...left);
    for (const key of copies.keys())
      ignored.push({ name: `${key}.*`, reason: `another state dict; \`key\` ${key} reads it` });
    return inside;
  }
  return names;
}

/** What was removed from before every name, and what else inside of them. */
function removedSteps(names: Names): Pick<Unwrapped, 'strippedPrefix' | 'strippedInside'> {
  let prefix: readonly string[] | null = null;
  for (const [name, short] of names) {
    const steps = name.split('.');
    const leading: readonly string[] = steps.slice(
      0,
      removedPlaces(steps, short).findIndex((at, i) => at !== i),
    );
    prefix = prefix === null ? leading : sharedStart(prefix, leading);
  }
  const front = prefix ?? [];
  const inside = new Set<string>();
  for (const [name, short] of names) {
    const steps = name.split('.');
    for (const at of removedPlaces(steps, short)) if (at >= front.length && at < steps.length) inside.add(steps[at]);
  }
  return { strippedPrefix: front.map((step) => `${step}.`).join(''), strippedInside: [...inside] };
}

function sharedStart(a: readonly string[], b: readonly string[]): readonly string[] {
  const differs = a.findIndex((step, i) => step !== b[i]);
  return differs < 0 ? a : a.slice(0, differs);
}

/** Places of the steps that `short` has not, in order; behind them the number of steps, which no place equals. */
function removedPlaces(steps: readonly string[], short: string): number[] {
  const kept = short.split('.');
  const places = [steps.length];
  for (let at = steps.length - 1, next = kept.length - 1; at >= 0; at--) {
    if (steps[at] === kept[next]) next--;
    else places.unshift(at);
  }
  return places;
}

const isStep = (step: string, name: string, at: number): boolean =>
  name.startsWith(`${step}.`, at) && name.length > at + step.length + 1;

/** Where the steps of a name begin. */
function* stepStarts(name: string): Generator<number> {
  for (let at = 0; at < name.length; ) {
    yield at;
    const dot = name.indexOf('.', at);
    if (dot < 0) return;
    at = dot + 1;
  }
}

const placesOf = (step: string, name: string): number[] => {
  const places: number[] = [];
  for (const at of stepStarts(name)) if (isStep(step, name, at)) places.push(at);
  return places;
};

/** A count (of averaged models, of updates), or a tensor of a loss or a metric. */
function isOfTraining(name: string, { dtype, shape }: TensorInfo): boolean {
  const [first] = name.split('.', 1);
  return OF_TRAINING.test(first) || (first === name && DTYPES[dtype].kind !== 'float' && numel(shape) === 1);
}

const ofTraining = (name: string): Ignored => ({ name, reason: 'of the training, beside the wrapped model' });
