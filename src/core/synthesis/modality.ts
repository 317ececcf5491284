import type { Random } from '../bytes/random.js';
import type { ItemPart } from '../modality.js';
import type { Perturbation } from './perturbation.js';

/** An item as it is stored: a text stands in the row, anything else is a file beside it. */
export interface StoredItem {
  readonly text?: string;
  readonly file?: { readonly part: Exclude<ItemPart, 'text'>; readonly ending: string; readonly bytes: Uint8Array };
}

/** What can be compared in one modality: where items come from, how they are damaged, how they are stored. */
export interface SynthModality<T> {
  readonly id: SynthModalityId;
  readonly perturbations: readonly Perturbation<T>[];
  /** Further ones, which are made only where they are asked for by name. */
  readonly onRequest?: readonly Perturbation<T>[];
  /** @throws HpsError BACKEND_UNAVAILABLE where a program it needs is missing */
  prepare?(): Promise<void>;
  /** A source of its own making. */
  draw(random: Random): T;
  /** Endings of the user's files that can be sources, in lower case; none where sources can only be drawn. */
  readonly endings: readonly string[];
  /** @throws HpsError MEDIA_INVALID, FILE_NOT_FOUND or FILE_UNREADABLE */
  read(path: string): Promise<T>;
  store(item: T): Promise<StoredItem>;
}

export const SYNTH_MODALITIES = ['image', 'text', 'image-text', 'audio', 'video'] as const;
export type SynthModalityId = (typeof SYNTH_MODALITIES)[number];
