import type { JsonValue } from '../bytes/json.js';
import type { FileSource } from '../bytes/source.js';
import type { Tensor } from '../tensor/tensor.js';

/**
 * What a checkpoint file holds: tensors and plain values in nested maps and lists, as the training code saved them.
 * Maps, never plain objects: a key such as `__proto__` is only a key.
 */
export type CheckpointNode =
  | { readonly kind: 'tensor'; readonly tensor: Tensor }
  | { readonly kind: 'map'; readonly entries: ReadonlyMap<string, CheckpointNode> }
  | { readonly kind: 'list'; readonly items: readonly CheckpointNode[] }
  | { readonly kind: 'value'; readonly value: JsonValue }
  /** Something that is neither (an optimizer object, a date): kept by its description only. */
  | { readonly kind: 'opaque'; readonly description: string };

/** What a format yields before a state dict is chosen in it. */
export interface RawCheckpoint {
  readonly root: CheckpointNode;
  readonly files: readonly string[];
  /** Things the format itself leaves out, with the reason. */
  readonly ignored: readonly { readonly name: string; readonly reason: string }[];
  /** Strings the container carries beside the tensors (`__metadata__` of safetensors); absent where a format has none. */
  readonly metadata?: ReadonlyMap<string, string>;
  close(): void;
}

export interface CheckpointFormat {
  readonly id: string;
  readonly label: string;
  /** Decides on content alone, from the first `LIMITS.sniffBytes` bytes. Must not throw. */
  sniff(head: Uint8Array): boolean;
  /**
   * @param source - ownership passes to the returned checkpoint, which closes it; on an error the caller closes it
   * @throws HpsError CHECKPOINT_CORRUPT or CHECKPOINT_UNSAFE (exit 5), naming the file and the rule
   */
  open(source: FileSource): Promise<RawCheckpoint>;
}
