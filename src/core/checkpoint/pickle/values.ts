/**
 * What a pickle describes, as inert data. Nothing here runs code, and dicts are Maps: a key is only a key.
 * Integers beyond 2^53 are bigints.
 */
export type PickleValue = null | boolean | number | bigint | string | Uint8Array | PickleObject;

/** Values with identity; each a class, so that an opcode can tell what it may be applied to. */
export type PickleObject = PickleTuple | PickleList | PickleDict | PickleGlobal | PickleOpaque | PickleExtension;

export class PickleTuple {
  constructor(readonly items: readonly PickleValue[]) {}
}

/** A list or a set. */
export class PickleList {
  constructor(readonly items: PickleValue[] = []) {}
}

export class PickleDict {
  readonly entries = new Map<PickleValue, PickleValue>();
  /** @param attributesAreEntries - a namespace object: its attribute state is what it holds */
  constructor(readonly attributesAreEntries = false) {}
}

/** A name the pickle looked up and the vocabulary allows. */
export class PickleGlobal {
  constructor(
    readonly module: string,
    readonly name: string,
  ) {}

  get qualifiedName(): string {
    return `${this.module}.${this.name}`;
  }
}

/** An object that is recognised as harmless but not read. */
export class PickleOpaque {
  constructor(readonly description: string) {}
}

/** Base of the values a vocabulary adds (storages, tensors, dtypes). */
export abstract class PickleExtension {
  abstract readonly description: string;
}
