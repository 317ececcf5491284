import type { Manifest } from './manifest.js';
import { MANIFEST_KEY } from './manifest-names.js';
import { metadataOf, type OnnxModel } from './model.js';

/**
 * As `manifestOf`, but loads the schema only for a model that carries a manifest: zod takes as long as a small model does.
 * @throws HpsError ONNX_CORRUPT for a manifest that breaks its schema
 */
export async function readManifest(model: OnnxModel, file: string): Promise<Manifest | null> {
  if (metadataOf(model, MANIFEST_KEY) === undefined) return null;
  const { manifestOf } = await import('./manifest.js');
  return manifestOf(model, file);
}
