export { MODALITIES, type Modality } from '../modality.js';

/**
 * The manifest: what an .onnx file says of itself, as JSON under `metadata_props` key `hpsv3.manifest`.
 * It holds what changes the content only (names without folders, hashes, options), so that equal inputs give equal bytes.
 */
export const MANIFEST_KEY = 'hpsv3.manifest';
/** The tokenizer.json of a model that reads text, as a second key: it is too large to sit inside the manifest. */
export const TOKENIZER_KEY = 'hpsv3.tokenizer';
export const MANIFEST_SCHEMA = 'hpsv3/manifest@1';
/** A manifest that uses fields which the first schema lacks: tools that do not know them must not read the file. */
export const NEWER_MANIFEST_SCHEMA = 'hpsv3/manifest@2';

export const MODES = ['item', 'pair', 'head'] as const;
export const DECISIONS = ['pair-head', 'utility-difference'] as const;

/** Kinds of inputs made of a text: its tokens, which of them count, and which of two texts each belongs to. */
export const isTextual = (kind: string): boolean => kind === 'text' || kind === 'text-mask' || kind === 'text-types';

/** What a file of pairs calls the embeddings of both sides; a file of items calls its own `embedding`. */
export const PAIR_EMBEDDINGS = ['left_embedding', 'right_embedding'] as const;

export type Mode = (typeof MODES)[number];
/** Which of its outputs a file decides a pair by; calibrators and ensembles are bound to it. */
export type Decision = (typeof DECISIONS)[number];
