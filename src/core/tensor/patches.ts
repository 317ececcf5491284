/** How a picture or a clip is cut. */
export interface PatchRule {
  /** Side of a patch in pixels. */
  readonly size: number;
  /** Neighbours along one side of a square whose patches stand together. */
  readonly merge: number;
  /** Frames of a patch; where fewer are left, the last is repeated. */
  readonly frames: number;
}

export interface Patches {
  /** [groups * rows * columns, 3 * frames * size * size]. */
  readonly data: Float32Array;
  /** Of frames: 1 for a picture. */
  readonly groups: number;
  /** Patches from top to bottom and from left to right. */
  readonly rows: number;
  readonly columns: number;
}

/**
 * A picture or a clip as rows of patches, each all its channels, of each channel its frames. Groups of frames follow each other;
 * within one, squares of merged neighbours row by row, and so do the patches within each (Qwen2-VL's processors).
 * @param planes - [3, given, height, width]
 * @throws RangeError for sides that are no multiples of merged patches
 */
export function patchesOf(
  planes: Float32Array,
  { width, height, given = 1 }: { readonly width: number; readonly height: number; readonly given?: number },
  { size, merge, frames }: PatchRule,
): Patches {
  const side = size * merge;
  if (width % side > 0 || height % side > 0)
    throw new RangeError(`a picture of ${width} x ${height} is no grid of squares of ${side}`);
  const [groups, rows, columns] = [Math.ceil(given / frames), height / size, width / size];
  const data = new Float32Array(groups * 3 * frames * height * width);
  let to = 0;
  const copy = (channel: number, frame: number, row: number, column: number): void => {
    const plane = (channel * given + Math.min(frame, given - 1)) * height;
    for (let y = row; y < row + size; y++) {
      const from = (plane + y) * width + column;
      data.set(planes.subarray(from, from + size), to);
      to += size;
    }
  };
  for (let group = 0; group < groups; group++) {
    for (let top = 0; top < rows; top += merge) {
      for (let left = 0; left < columns; left += merge) {
        for (let within = 0; within < merge ** 2; within++) {
          const row = (top + Math.floor(within / merge)) * size;
          const column = (left + (within % merge)) * size;
          for (let channel = 0; channel < 3; channel++)
            for (let frame = 0; frame < frames; frame++) copy(channel, group * frames + frame, row, column);
        }
      }
    }
  }
  return { data, groups, rows, columns };
}
