import { type ByteSource, readChunks } from '../bytes/source.js';
import { LIMITS } from '../limits.js';
import { byteLength, type Tensor, type TensorInfo } from './tensor.js';

/**
 * A tensor over a range of a file, read when asked for: contiguous, row-major, little-endian.
 * @param source - exactly the tensor's bytes; stays open as long as the tensor is read
 */
export function tensorFromSource(info: TensorInfo, source: ByteSource): Tensor {
  if (source.byteLength !== byteLength(info)) {
    throw new RangeError(
      `${info.name}: ${source.byteLength} bytes do not fill ${info.dtype} [${info.shape.join(', ')}]`,
    );
  }
  return { ...info, chunks: () => readChunks(source, LIMITS.chunkBytes) };
}
