import type { JsonValue } from '../bytes/json.js';
import { corruptFile } from '../bytes/refusal.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import type { Tensor } from '../tensor/tensor.js';
import type { CheckpointNode } from './format.js';
import { type Ignored, unwrapNames } from './wrappers.js';

/** Keys under which training code keeps the state dict, the preferred first; averaged copies come after the model itself. */
const STATE_DICT_KEYS = [
  'state_dict',
  'model_state_dict',
  'model',
  'module',
  'net',
  'network',
  'params',
  'weights',
  'ema_state_dict',
  'model_ema',
  'state_dict_ema',
  'params_ema',
  'ema',
] as const;

/** Keys of what else a training run saves: tensors below them are not the model's. */
const TRAINING_STATE = /(^|_)(optim\w*|lr_schedulers?|schedulers?|scaler|amp|rng|callbacks|loops)(_|$)/i;

/** Keys under which training code keeps its settings, those of the model alone first. */
const CONFIG_KEYS = ['config', 'cfg', 'hparams', 'hyper_parameters', 'args', 'opt'] as const;

export interface StateDict {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly key: string;
  readonly strippedPrefix: string;
  readonly strippedInside: readonly string[];
  readonly config: Readonly<Record<string, JsonValue>> | null;
  /** Key of `config` in the file, or null. */
  readonly configKey: string | null;
  readonly ignored: readonly Ignored[];
}

interface Place {
  readonly node: CheckpointNode;
  readonly key: string;
}

/**
 * The model's tensors in what a checkpoint file holds, by name, with what is left out and why.
 *
 * Without `key` the well-known keys of training code are followed as long as they lead to tensors, the model before its
 * moving average; nested maps and lists of tensors become dotted names.
 *
 * @param file - what errors call the file
 * @param key - path to the state dict, its steps separated by dots or slashes; or the first steps of the names in a flat one
 * @throws HpsError TENSOR_NOT_FOUND where `key` leads nowhere or nothing is found, CHECKPOINT_CORRUPT where two names are the same
 */
export function chooseStateDict(root: CheckpointNode, file: string, key?: string): StateDict {
  const config = findConfig(root);
  const found = locate(root, file, config?.key ?? null, key);
  if (found === null || found.flat.size === 0) throw nothingFound(root, file, key);
  const { names, strippedPrefix, strippedInside, ignored } = unwrapNames(found.flat);
  const tensors = new Map<string, Tensor>();
  for (const [name, short] of names) tensors.set(short, renamed(found.flat.get(name)!, short));
  return {
    tensors,
    key: found.key,
    strippedPrefix,
    strippedInside,
    config: config?.value ?? null,
    configKey: config?.key ?? null,
    ignored: [...found.ignored, ...ignored],
  };
}

/** Tensors by their dotted names below `key`. */
interface Located {
  readonly flat: ReadonlyMap<string, Tensor>;
  readonly key: string;
  readonly ignored: readonly Ignored[];
}

function locate(root: CheckpointNode, file: string, configKey: string | null, key?: string): Located | null {
  const ignored: Ignored[] = [];
  const node = key === undefined ? null : follow(root, key);
  if (key !== undefined && node === null) return selectNames(locate(root, file, configKey)!, key);
  const place = node === null ? descend({ node: root, key: '' }, configKey, ignored) : { node, key: key! };
  const flat = new Map<string, Tensor>();
  flatten(place.node, '', { file, flat, ignored, configKey: place.key === '' ? configKey : null });
  return { flat, key: place.key, ignored };
}

/** Those of a flat state dict whose names begin with the steps of `key`; null where none does. */
function selectNames(all: Located, key: string): Located | null {
  const steps = key.replace(/\.$/, '');
  const prefix = `${steps.startsWith(`${all.key}.`) ? steps.slice(all.key.length + 1) : steps}.`;
  const flat = new Map<string, Tensor>();
  const others = new Map<string, { name: string; count: number }>();
  for (const [name, tensor] of all.flat) {
    const [first] = name.split('.', 1);
    if (name.startsWith(prefix) && name.length > prefix.length) flat.set(name.slice(prefix.length), tensor);
    else others.set(first, { name, count: (others.get(first)?.count ?? 0) + 1 });
  }
  if (flat.size === 0) return null;
  const beside = [...others].map(([first, { name, count }]) => ({
    name: count === 1 ? name : `${first}.*`,
    reason: `outside ${steps}: ${count === 1 ? 'a tensor' : `${count} tensors`}`,
  }));
  return { flat, key: steps, ignored: [...all.ignored, ...beside] };
}

/** Follows well-known keys while the map has one that leads to tensors; the entries beside it are noted. */
function descend(start: Place, configKey: string | null, ignored: Ignored[]): Place {
  let place = start;
  for (;;) {
    const { node } = place;
    if (node.kind !== 'map') return place;
    const chosen = STATE_DICT_KEYS.find(
      (name) => isContainer(node.entries.get(name)) && holdsTensors(node.entries.get(name)),
    );
    if (chosen === undefined) return place;
    const key = join(place.key, chosen);
    for (const [name, sibling] of node.entries) {
      if (name === chosen || (place.key === '' && name === configKey)) continue;
      const alternative = (STATE_DICT_KEYS as readonly string[]).includes(name) && holdsTensors(sibling);
      const reason = alternative
        ? `another state dict; \`key\` ${join(place.key, name)} reads it`
        : `outside ${key}: ${summary(sibling)}`;
      ignored.push({ name: join(place.key, name), reason });
    }
    place = { node: node.entries.get(chosen)!, key };
  }
}

/** The node at a path that leads to tensors, or null; a key may itself hold dots or slashes, so every way to split is tried, the longest step first. */
function follow(root: CheckpointNode, path: string): CheckpointNode | null {
  const find = (node: CheckpointNode | undefined, rest: string): CheckpointNode | undefined => {
    if (node === undefined) return undefined;
    const whole = child(node, rest);
    if (whole !== undefined) return whole;
    for (let at = rest.length - 1; at > 0; at--) {
      if (rest[at] !== '.' && rest[at] !== '/') continue;
      const found = find(child(node, rest.slice(0, at)), rest.slice(at + 1));
      if (found !== undefined) return found;
    }
    return undefined;
  };
  const node = path.length > LIMITS.tensorNameLength ? undefined : find(root, path);
  return node !== undefined && holdsTensors(node) ? node : null;
}

function child(node: CheckpointNode, key: string): CheckpointNode | undefined {
  if (node.kind === 'map') return node.entries.get(key);
  if (node.kind === 'list' && /^\d+$/.test(key)) return node.items[Number(key)];
  return undefined;
}

interface Flattening {
  readonly file: string;
  readonly flat: Map<string, Tensor>;
  readonly ignored: Ignored[];
  readonly configKey: string | null;
}

function flatten(node: CheckpointNode, path: string, to: Flattening): void {
  switch (node.kind) {
    case 'tensor':
      addTensor(path === '' ? 'tensor' : path, node.tensor, to);
      return;
    case 'map':
    case 'list':
      for (const [key, item] of children(node)) {
        const name = join(path, key);
        if (path === '' && key === to.configKey) continue;
        if (path === '' && isContainer(item) && TRAINING_STATE.test(key))
          to.ignored.push({ name, reason: 'state of the training run' });
        else if (isContainer(item) && !holdsTensors(item))
          to.ignored.push({ name, reason: `not a tensor: ${summary(item)}` });
        else flatten(item, name, to);
      }
      return;
    default:
      to.ignored.push({ name: path, reason: `not a tensor: ${summary(node)}` });
  }
}

function addTensor(name: string, tensor: Tensor, { file, flat }: Flattening): void {
  if (flat.has(name)) throw corruptFile(file, `two tensors are named ${JSON.stringify(name)}`);
  if (flat.size >= LIMITS.tensors) throw corruptFile(file, `more than ${LIMITS.tensors} tensors`);
  flat.set(name, tensor);
}

function findConfig(root: CheckpointNode): { key: string; value: Record<string, JsonValue> } | null {
  if (root.kind !== 'map') return null;
  for (const key of CONFIG_KEYS) {
    const node = root.entries.get(key);
    if (node?.kind === 'map' && node.entries.size > 0 && !holdsTensors(node)) {
      return { key, value: toJson(node) as Record<string, JsonValue> };
    }
  }
  return null;
}

/** Plain values as JSON; what is not plain stands as its description. */
function toJson(node: CheckpointNode): JsonValue {
  switch (node.kind) {
    case 'value':
      return node.value;
    case 'list':
      return node.items.map(toJson);
    case 'map':
      // fromEntries defines own members, so `__proto__` stays a key like any other.
      return Object.fromEntries([...node.entries].map(([key, item]) => [key, toJson(item)]));
    default:
      return summary(node);
  }
}

const isContainer = (node: CheckpointNode | undefined): boolean => node?.kind === 'map' || node?.kind === 'list';

/** Whether a tensor lies anywhere below; remembered, as deep trees are asked at every level. */
function holdsTensors(node: CheckpointNode | undefined): boolean {
  if (node === undefined || node.kind === 'value' || node.kind === 'opaque') return false;
  if (node.kind === 'tensor') return true;
  let holds = HOLDS_TENSORS.get(node);
  if (holds === undefined) {
    holds = [...(node.kind === 'map' ? node.entries.values() : node.items)].some(holdsTensors);
    HOLDS_TENSORS.set(node, holds);
  }
  return holds;
}

const HOLDS_TENSORS = new WeakMap<CheckpointNode, boolean>();

function children(node: CheckpointNode & { kind: 'map' | 'list' }): Iterable<[string, CheckpointNode]> {
  return node.kind === 'map' ? node.entries : node.items.map((item, i): [string, CheckpointNode] => [String(i), item]);
}

function summary(node: CheckpointNode): string {
  switch (node.kind) {
    case 'tensor':
      return 'a tensor';
    case 'map':
      return `a map of ${node.entries.size}`;
    case 'list':
      return `a list of ${node.items.length}`;
    case 'opaque':
      return node.description;
    case 'value':
      return JSON.stringify(node.value).slice(0, 80);
  }
}

function nothingFound(root: CheckpointNode, file: string, key: string | undefined): HpsError {
  const entries = root.kind === 'map' ? [...root.entries].filter(([, node]) => holdsTensors(node)) : [];
  // Of a flat dict, the first steps of its names.
  const keys = [...new Set(entries.map(([name, { kind }]) => (kind === 'tensor' ? name.split('.', 1)[0] : name)))];
  const shown = keys.slice(0, 10).join(', ');
  return new HpsError(
    'TENSOR_NOT_FOUND',
    `${file}: no tensors ${key === undefined ? 'in it' : `at ${JSON.stringify(key)}`}`,
    {
      hint:
        keys.length > 0
          ? `Choose with \`key\`; tensors lie under: ${shown}${keys.length > 10 ? ', …' : ''}.`
          : 'Give a checkpoint that holds a state dict.',
      details: { file, key: key ?? null, keys: keys.slice(0, 100) },
    },
  );
}

const renamed = (tensor: Tensor, name: string): Tensor => ({
  name,
  dtype: tensor.dtype,
  shape: tensor.shape,
  storageId: tensor.storageId,
  chunks: () => tensor.chunks(),
  ...(tensor.verify && { verify: () => tensor.verify!() }),
});

const join = (path: string, key: string): string => (path === '' ? key : `${path}.${key}`);
