import type { Dtype } from '../../tensor/dtype.js';
import { PickleExtension } from './values.js';

/** `torch.float32` and the like. */
export class TorchDtype extends PickleExtension {
  constructor(readonly dtype: Dtype) {
    super();
  }

  get description(): string {
    return `dtype ${this.dtype}`;
  }
}

/** A storage class such as `torch.FloatStorage`; dtype null for an untyped one, which counts bytes. */
export class TorchStorageType extends PickleExtension {
  readonly description = 'storage type';

  constructor(readonly dtype: Dtype | null) {
    super();
  }
}

/** A stretch of bytes outside the pickle. */
export class TorchStorage extends PickleExtension {
  readonly description = 'storage';

  constructor(
    /** The record (zip) or the number (legacy) under which the file keeps the bytes. */
    readonly key: string,
    readonly dtype: Dtype | null,
    /** Bytes of one element as the file counts them; 1 for an untyped storage. */
    readonly elementBytes: number,
    /** Elements of the record. */
    readonly numel: number,
    /** The part of the record this storage is; all of it but for legacy storage views. */
    readonly view: { readonly offset: number; readonly numel: number } = { offset: 0, numel },
  ) {
    super();
  }
}

/** A tensor as a view of a storage; its numbers are integers >= 0 but not yet compared with the storage. */
export class TorchTensor extends PickleExtension {
  readonly description = 'tensor';

  constructor(
    readonly storage: TorchStorage,
    readonly dtype: Dtype,
    /** In elements. */
    readonly offset: number,
    readonly shape: readonly number[],
    /** In elements. */
    readonly strides: readonly number[],
  ) {
    super();
  }
}
