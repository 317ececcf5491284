import { HpsError } from '../../errors.js';
import { LIMITS } from '../../limits.js';
import { float32Value, type TensorValue } from '../../runtime/value.js';
import { fitFrame, normalizeInto } from '../image/frame.js';
import type { Pixels } from '../image/pixels.js';
import type { MediaSource } from '../item.js';
import { invalidMedia } from '../refusal.js';
import { type Span, spansOf, TIME_TOLERANCE, type Windowing } from '../windows.js';
import { decodeArguments, type FrameTimes, inputArguments, readTimes } from './clip.js';
import { PpmReader } from './ppm.js';
import { openClip } from './prepare.js';
import { evenFrames, type VideoContract } from './sampling.js';
import { openVideoTools } from './tools.js';

/** A window of a clip, prepared as `prepareClip` prepares a clip of its own. */
export interface ClipWindow {
  readonly value: TensorValue;
  readonly span: Span;
  /** Windows of the whole clip. */
  readonly count: number;
}

/**
 * The windows of a clip of any length, decoded once, as a stream: in memory are the frames of the windows that overlap at a time.
 * A frame belongs to a window by the time at which it is shown, whatever the rate; of a window in which none begins it is the
 * frame before.
 * @throws HpsError as `prepareClip`, but for length; MEDIA_INVALID as `spansOf`
 */
export async function* clipWindows(
  source: MediaSource,
  contract: VideoContract,
  windowing: Windowing,
  signal?: AbortSignal,
): AsyncGenerator<ClipWindow> {
  const file = await openClip(source, LIMITS.windowedBytes);
  try {
    const { path, name, format } = file;
    const tools = await openVideoTools(path, name, signal);
    try {
      const times = await readTimes(tools, file, { frames: LIMITS.windowedFrames, isLong: true });
      if (times.seconds > LIMITS.windowedSeconds) {
        const rule = `is ${times.seconds.toFixed(0)} s long, more than ${LIMITS.windowedSeconds} s`;
        throw invalidMedia(name, rule, 'Cut it into parts.');
      }
      const spans = spansOf(times.seconds, windowing, name);
      if (spans.length > 1 && !tools.streams) throw cannotStream();
      const picked = spans.map((span) => framesIn(span, times, contract.frames));
      const wanted = distinct(picked);
      const filter = `select='${selection(wanted)}'`;
      const args = { input: inputArguments(format), output: decodeArguments(wanted.length), isLong: true };
      const pieces = tools.decode(
        tools.streams ? { ...args, filter } : { ...args, output: ['-vf', filter, ...args.output] },
      );
      const filler = new WindowFiller(picked, contract);
      const ppm = new PpmReader(LIMITS.imagePixels, name);
      let seen = 0;
      let done = 0;
      for await (const bytes of pieces) {
        for (const frame of ppm.push(bytes)) {
          if (seen === wanted.length) continue;
          for (const value of filler.take(frame, wanted[seen++]))
            yield { value, span: spans[done++], count: spans.length };
        }
      }
      if (done === spans.length) return;
      const rule = `only ${seen} of the ${wanted.length} frames looked for could be decoded`;
      throw invalidMedia(
        name,
        `${rule}: it breaks off after ${formatTime(spans[done].start)}`,
        'Copy or download it again, or convert it to an MP4 of H.264.',
      );
    } finally {
      await tools.close();
    }
  } finally {
    await file.remove();
  }
}

const formatTime = (seconds: number): string => `${seconds.toFixed(1)} s`;

const cannotStream = (): HpsError =>
  new HpsError('BACKEND_UNAVAILABLE', 'long clips cannot be decoded: ffmpeg and ffprobe are not installed', {
    hint: 'Install ffmpeg (Debian and Ubuntu: `apt install ffmpeg`): @ffmpeg/core holds a whole clip in memory.',
  });

/** The frames of a span that a model sees, as numbers in the order they are shown in. */
function framesIn({ start, end }: Span, { times, seconds }: FrameTimes, wanted: number): number[] {
  const first = firstAtOrAfter(times, start);
  const after = end >= seconds - TIME_TOLERANCE ? times.length : firstAtOrAfter(times, end);
  if (after <= first) return evenFrames(1, wanted).map(() => Math.max(0, first - 1));
  return evenFrames(after - first, wanted).map((frame) => first + frame);
}

function firstAtOrAfter(times: Float64Array, time: number): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < time - TIME_TOLERANCE) low = middle + 1;
    else high = middle;
  }
  return low;
}

const distinct = (picked: readonly (readonly number[])[]): number[] =>
  [...new Set(picked.flat())].sort((a, b) => a - b);

/** Terms of a leaf: below it a tree only makes the expression longer. */
const LEAF = 4;

/**
 * An expression that is true of these frames, in FFmpeg's language: a search tree, since it is worked out for every frame of
 * the clip.
 */
function selection(frames: readonly number[]): string {
  if (frames.length <= LEAF) return frames.map((frame) => `eq(n,${frame})`).join('+');
  const middle = frames.length >> 1;
  return `if(lt(n,${frames[middle]}),${selection(frames.slice(0, middle))},${selection(frames.slice(middle))})`;
}

/** Puts frames into the windows they belong to. Windows begin and end in their order, so the first one open is the first one full. */
class WindowFiller {
  private open = 0;
  private readonly data: (Float32Array | undefined)[] = [];

  constructor(
    private readonly picked: readonly (readonly number[])[],
    private readonly contract: VideoContract,
  ) {}

  /** The windows that are full with this frame. */
  *take(decoded: Pixels, number: number): Generator<TensorValue> {
    const { picked, contract } = this;
    const { frames } = contract;
    const frame = fitFrame(decoded, contract);
    const plane = frame.height * frame.width;
    for (let window = this.open; window < picked.length && picked[window][0] <= number; window++) {
      for (const [index, at] of picked[window].entries()) {
        if (at !== number) continue;
        this.data[window] ??= new Float32Array(3 * frames * plane);
        normalizeInto(this.data[window]!, frame, contract, { channelStride: frames * plane, offset: index * plane });
      }
    }
    for (; this.open < picked.length && picked[this.open].at(-1) === number; this.open++) {
      const data = this.data[this.open]!;
      this.data[this.open] = undefined;
      yield float32Value([1, 3, frames, frame.height, frame.width], data);
    }
  }
}
