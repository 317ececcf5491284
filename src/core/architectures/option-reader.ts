import { isJsonObject, type JsonValue } from '../bytes/json.js';
import type { CheckpointConfig } from '../checkpoint/checkpoint.js';
import { HpsError } from '../errors.js';
import type { TensorInfos } from './architecture.js';
import type { Reading } from './readings.js';

/** A model as it is published, for checkpoints that come without a configuration. */
export interface PublishedShape {
  readonly name: string;
  /** Sizes that the tensors must show, by the names they are read under. */
  readonly sizes: Readonly<Record<string, number>>;
  /** What the tensors cannot tell. */
  readonly options: Readonly<Record<string, JsonValue>>;
}

interface Lookup<T extends JsonValue> {
  /** What the tensors say. */
  readonly tensor?: Reading<T>;
  /** Paths in a configuration (`text_config.hidden_size`), the newest spelling first. */
  readonly keys?: readonly string[];
  /** What the family's configuration class takes where a configuration leaves the key out. */
  readonly otherwise?: T;
}

/** No size of a real model comes near it; it keeps products of sizes exact. */
const MAX_SIZE = 100_000_000;

/**
 * Reads the options of a model from where they can come from: the tensors, the configurations, the defaults of the configuration
 * class where a configuration says nothing, a table of published shapes where there is no configuration at all. Sources that say
 * a thing must agree. All that is wrong is told at once, by `finish`.
 */
export class OptionReader {
  /** The published model that the sizes are those of; null where none is. */
  published: PublishedShape | null = null;
  private readonly values = new Map<string, JsonValue>();
  private readonly contradictions: string[] = [];
  private readonly missing = new Map<string, readonly string[]>();

  constructor(
    readonly tensors: TensorInfos,
    private readonly configs: readonly CheckpointConfig[],
  ) {}

  /** A count of something: a positive integer, or at least `least`. */
  size(name: string, lookup: Lookup<number>, least = 1): number {
    const isCount = (value: JsonValue): boolean =>
      Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= MAX_SIZE;
    return this.read(name, lookup, isCount, least === 1 ? 'a positive integer' : `an integer from ${least}`) ?? least;
  }

  /** A finite number. */
  number(name: string, lookup: Lookup<number>, least = Number.NEGATIVE_INFINITY): number {
    const isNumber = (value: JsonValue): boolean => typeof value === 'number' && value >= least;
    return this.read(name, lookup, isNumber, least === 0 ? 'a number from 0' : 'a number') ?? 0;
  }

  flag(name: string, lookup: Lookup<boolean>): boolean {
    return this.read(name, lookup, (value) => typeof value === 'boolean', 'true or false') ?? false;
  }

  /** One of a few words. */
  choice<T extends string>(name: string, known: readonly T[], lookup: Lookup<T>): T {
    const isKnown = (value: JsonValue): boolean => (known as readonly JsonValue[]).includes(value);
    return this.read<T>(name, lookup, isKnown, `one of ${known.join(', ')}`) ?? known[0];
  }

  /** What the first configuration that has one of these paths says, null included; undefined where none has. Unchecked. */
  raw(...keys: readonly string[]): JsonValue | undefined {
    for (const { config } of this.configs) {
      for (const key of keys) {
        const value = valueAt(config, key);
        if (value !== undefined) return value;
      }
    }
    return undefined;
  }

  get hasConfig(): boolean {
    return this.configs.length > 0;
  }

  /** Takes what nothing says from the first published model whose sizes are those that were read so far. */
  lookUp(table: readonly PublishedShape[]): void {
    const fits = ({ sizes }: PublishedShape): boolean =>
      Object.entries(sizes).every(([name, size]) => this.values.get(name) === size);
    this.published = table.find(fits) ?? null;
  }

  /** Notes that something read is not possible, and why. */
  refuse(problem: string): void {
    this.contradictions.push(problem);
  }

  /** Notes a number of heads that does not divide its width. */
  assertDivides(heads: string, width: string): void {
    const [part, whole] = [this.values.get(heads), this.values.get(width)];
    if (typeof part === 'number' && typeof whole === 'number' && whole % part > 0)
      this.refuse(`${heads} ${part} does not divide ${width} ${whole}`);
  }

  /** Notes a `model_type` that is none of the family's. A configuration without one says nothing. */
  assertModelType(family: string, known: readonly string[], key = 'model_type'): void {
    for (const { config, origin } of this.configs) {
      const type = valueAt(config, key);
      if (typeof type === 'string' && !known.includes(type))
        this.refuse(`the tensors are those of ${family}, but ${key} is ${JSON.stringify(type)} by ${origin}`);
    }
  }

  /**
   * @throws HpsError CONFIG_INVALID with every contradiction, both sides named, or with all that nothing tells
   */
  finish(): void {
    if (this.contradictions.length > 0) {
      const rule = this.contradictions.join('; ');
      throw new HpsError('CONFIG_INVALID', `the configuration contradicts the checkpoint: ${rule}`, {
        hint: 'Give the configuration the checkpoint was trained with.',
        details: { contradictions: this.contradictions },
      });
    }
    if (this.missing.size === 0) return;
    const missing = [...this.missing.keys()];
    const keys = [...this.missing.values()].map(([key]) => key).filter((key) => key !== undefined);
    throw new HpsError('CONFIG_INVALID', `the tensors do not tell ${missing.join(', ')}, and no configuration does`, {
      hint: `Put the configuration it was published with beside the checkpoint, or give \`config\` FILE with: ${keys.join(', ')}.`,
      details: { missing, keys },
    });
  }

  private read<T extends JsonValue>(
    name: string,
    { tensor, keys = [], otherwise }: Lookup<T>,
    isGood: (value: JsonValue) => boolean,
    rule: string,
  ): T | undefined {
    const claims = [...(tensor ? [tensor] : []), ...this.claims(keys)];
    const [first] = claims;
    for (const other of claims.slice(1)) {
      if (other.value !== first.value)
        this.refuse(`${name} is ${spell(first.value)} by ${first.from} but ${spell(other.value)} by ${other.from}`);
    }
    const value = first?.value ?? (this.hasConfig ? otherwise : undefined) ?? this.published?.options[name];
    if (value === undefined) {
      this.missing.set(name, keys);
      return undefined;
    }
    if (!isGood(value)) {
      this.refuse(`${name} must be ${rule}, not ${spell(value)}${first ? ` (${first.from})` : ''}`);
      return undefined;
    }
    this.values.set(name, value);
    return value as T;
  }

  /** What each configuration says: the first of the paths that it has. A null says nothing. */
  private claims(keys: readonly string[]): Reading<JsonValue>[] {
    return this.configs.flatMap(({ config, origin }) => {
      for (const key of keys) {
        const value = valueAt(config, key);
        if (value !== undefined && value !== null) return [{ value, from: `${origin} (${key})` }];
      }
      return [];
    });
  }
}

/** The value at a dotted path, or undefined. */
export function valueAt(config: JsonValue, path: string): JsonValue | undefined {
  let value: JsonValue | undefined = config;
  for (const key of path.split('.')) {
    if (!isJsonObject(value) || !Object.hasOwn(value, key)) return undefined;
    value = value[key];
  }
  return value;
}

const spell = (value: JsonValue): string => {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
};
