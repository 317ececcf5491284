import { describe, expect, it } from 'vitest';
import { publishedModelOf } from '../../../src/core/architectures/published.js';
import type { TensorInfo } from '../../../src/core/tensor/tensor.js';

const tensors = (shapes: Readonly<Record<string, readonly number[]>>): Map<string, TensorInfo> =>
  new Map(Object.entries(shapes).map(([name, shape]) => [name, { name, dtype: 'F32', shape }]));

const layers = (prefix: string, count: number): Record<string, readonly number[]> =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`${prefix}${i}.weight`, [1]]));

describe('the published model that tensors look like', () => {
  it.each([
    [
      'DeBERTa-v3 large',
      { 'deberta.embeddings.word_embeddings.weight': [128_100, 1024], ...layers('deberta.encoder.layer.', 24) },
    ],
    ['HPSv2', { 'visual.conv1.weight': [1280, 3, 14, 14], 'token_embedding.weight': [49_408, 1024] }],
    ['Qwen3-8B', { 'model.embed_tokens.weight': [151_936, 4096], ...layers('model.layers.', 36) }],
  ])('is %s by shapes and layers', (name, shapes) => {
    expect(publishedModelOf(tensors(shapes))).toContain(name);
  });

  it('is none where a size differs', () => {
    const words = { 'deberta.embeddings.word_embeddings.weight': [128_100, 1024] };
    expect(publishedModelOf(tensors({ ...words, ...layers('deberta.encoder.layer.', 23) }))).toBeNull();
    expect(publishedModelOf(tensors({ 'visual.conv1.weight': [1280, 3, 14, 14] }))).toBeNull();
  });
});
