/** How a picture is cut. */
export interface PatchRule {
  /** Side of a patch in pixels. */
  readonly size: number;
  /** Neighbours along one side of a square whose patches stand together. */
  readonly merge: number;
  /** Equal frames that a picture stands for. */
  readonly frames: number;
}

export interface Patches {
  /** [rows * columns, 3 * frames * size * size]. */
  readonly data: Float32Array;
  /** Patches from top to bottom and from left to right. */
  readonly rows: number;
  readonly columns: number;
}

/**
 * A picture as rows of patches, each all its channels, of each channel its equal frames. Squares of merged neighbours follow each
 * other row by row, and so do the patches within each (Qwen2-VL's image processor).
 * @param planes - [3, height, width]
 * @throws RangeError for sides that are no multiples of merged patches
 */
export function patchesOf(
  planes: Float32Array,
  { width, height }: { readonly width: number; readonly height: number },
  { size, merge, frames }: PatchRule,
): Patches {
  const side = size * merge;
  if (width % side > 0 || height % side > 0)
    throw new RangeError(`a picture of ${width} x ${height} is no grid of squares of ${side}`);
  const [rows, columns] = [height / size, width / size];
  const data = new Float32Array(3 * frames * height * width);
  let to = 0;
  for (let top = 0; top < rows; top += merge) {
    for (let left = 0; left < columns; left += merge) {
      for (let within = 0; within < merge ** 2; within++) {
        const row = (top + Math.floor(within / merge)) * size;
        const column = (left + (within % merge)) * size;
        for (let channel = 0; channel < 3; channel++) {
          const start = to;
          for (let y = row; y < row + size; y++) {
            const from = (channel * height + y) * width + column;
            data.set(planes.subarray(from, from + size), to);
            to += size;
          }
          for (let frame = 1; frame < frames; frame++) {
            data.copyWithin(to, start, start + size ** 2);
            to += size ** 2;
          }
        }
      }
    }
  }
  return { data, rows, columns };
}
