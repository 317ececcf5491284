import type { Preprocess } from '../../onnx/manifest.js';
import { roundEven } from '../round-even.js';

export type VideoContract = Extract<Preprocess, { kind: 'video' }>;

/**
 * Which frames of a clip a model sees: the middle ones of `wanted` equal parts, frame floor((i + 1/2) * count / wanted).
 * A clip of fewer frames than are wanted has some of them more than once.
 */
export const evenFrames = (count: number, wanted: number): number[] =>
  Array.from({ length: wanted }, (_, i) => Math.floor(((i + 0.5) * count) / wanted));

/**
 * The first frame, the last, and `wanted - 2` between them at equal distances: round(i * (count - 1) / (wanted - 1)), halves to even,
 * in float32 from both ends (torch.linspace).
 */
export function framesToEnds(count: number, wanted: number): number[] {
  if (wanted === 1) return [0];
  const last = count - 1;
  const step = Math.fround(last / (wanted - 1));
  return Array.from({ length: wanted }, (_, i) =>
    roundEven(
      i < Math.floor(wanted / 2) ? Math.fround(step * i) : Math.fround(last - Math.fround(step * (wanted - i - 1))),
    ),
  );
}

/** The frames of a clip by its contract; null where it has too few. @param seconds - how long it is by its own rate */
export function sampledFrames(
  count: number,
  seconds: number,
  { frames, sampling, rate }: VideoContract,
): number[] | null {
  if (!rate) return sampling === 'even' ? evenFrames(count, frames) : framesToEnds(count, Math.min(frames, count));
  const { perSecond, least, multiple } = rate;
  const most = Math.floor(Math.min(frames, count) / multiple) * multiple;
  const smallest = Math.ceil(least / multiple) * multiple;
  const near = Math.min(Math.max(seconds * perSecond, smallest), most);
  const wanted = roundEven(near / multiple) * multiple;
  if (wanted < 1) return null;
  return sampling === 'even' ? evenFrames(count, wanted) : framesToEnds(count, wanted);
}
