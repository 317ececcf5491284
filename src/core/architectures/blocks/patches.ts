import type { GraphBuilder } from '../../onnx/builder.js';
import type { Value } from '../../onnx/graph-core.js';

export interface PatchOptions {
  /** State-dict key of the convolution. */
  readonly key: string;
  readonly width: number;
  readonly patchSize: number;
  readonly bias: boolean;
}

/** Patches along one side of a picture: what does not fill one is left out. */
export const patchesOf = (imageSize: number, patchSize: number): number => Math.floor(imageSize / patchSize);

/** pixel_values [batch, 3, S, S] -> [batch, patches, width], row by row: a convolution whose stride is its kernel. */
export function patchEmbedding(
  graph: GraphBuilder,
  pixels: Value,
  { key, width, patchSize, bias }: PatchOptions,
): Value {
  return graph.scope('patches', () => {
    const size = [patchSize, patchSize];
    const shape = [width, pixels.shape[1] as number, ...size];
    const map = graph.convolution(pixels, key, { strides: size, pads: [0, 0], shape, bias });
    return graph.transpose(graph.reshape(map, [0, width, -1]), [0, 2, 1]);
  });
}

/** Puts a learnt token before the others: tokens [batch, n, width], token of any shape with `width` elements -> [batch, n + 1, width]. */
export function prependToken(graph: GraphBuilder, tokens: Value, token: Value): Value {
  const width = tokens.shape[2] as number;
  const row = graph.reshape(token, [1, 1, width]);
  return graph.concat([graph.repeatRows(row, tokens), tokens], 1);
}
