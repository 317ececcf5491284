import { LIMITS } from '../../limits.js';
import type { Pixels } from '../image/pixels.js';
import { invalidMedia } from '../refusal.js';
import type { VideoTools } from './backend.js';
import type { VideoFormat } from './format.js';
import { PpmReader } from './ppm.js';
import { evenFrames } from './sampling.js';

export interface Clip {
  /** What errors call it. */
  readonly name: string;
  readonly format: VideoFormat;
}

const HINT = 'Convert it to an MP4 of H.264, at most 10 s long.';
/** Containers round the length of their last frame: a clip of 300 frames at 29.97 Hz is 10.01 s long. */
const ROUNDING = 1.01;

/**
 * Hands over `wanted` frames of a clip, sampled evenly, one after the other: 8-bit RGB at the size of the clip, turned as it says.
 * @throws HpsError MEDIA_INVALID for a clip that is longer than the limit, damaged, or has no picture
 */
export async function readFrames(
  tools: VideoTools,
  { name, format }: Clip,
  wanted: number,
  onFrame: (frame: Pixels, index: number) => void,
): Promise<void> {
  const input = [
    '-v',
    'error',
    '-protocol_whitelist',
    'file,pipe',
    '-max_pixels',
    String(LIMITS.imagePixels),
    '-f',
    format,
  ];
  const count = frameCount(await tools.probe({ input, output: PROBE }), name);
  const picked = evenFrames(count, wanted);
  const distinct = [...new Set(picked)];
  const select = `select='${distinct.map((frame) => `eq(n,${frame})`).join('+')}'`;
  const ppm = new PpmReader(LIMITS.imagePixels, name);
  let seen = 0;
  for await (const bytes of tools.decode({ input, output: decodeArguments(select, distinct.length) })) {
    for (const frame of ppm.push(bytes)) {
      for (const [index, at] of picked.entries()) if (at === distinct[seen]) onFrame(frame, index);
      seen++;
    }
  }
  if (seen < distinct.length) {
    throw invalidMedia(name, `only ${seen} of the ${distinct.length} frames looked for could be decoded`, HINT);
  }
}

/** One line a packet of the first picture stream: time, length, flags. One more than the limit shows that it is passed. */
const PROBE: readonly string[] = [
  ...['-select_streams', 'V:0', '-show_entries', 'packet=pts_time,duration_time,flags', '-of', 'csv=p=0'],
  ...['-read_intervals', `%+#${LIMITS.videoFrames + 1}`],
];

/** A PPM for each selected frame, none repeated or left out to keep a rate. */
const decodeArguments = (select: string, frames: number): string[] => [
  ...['-map', '0:V:0', '-vf', select, '-fps_mode', 'passthrough', '-frames:v', String(frames)],
  ...['-sws_flags', 'bicubic+accurate_rnd+full_chroma_int+bitexact', '-c:v', 'ppm', '-f', 'image2pipe'],
];

/** Frames that are shown: packets without the flag D, which an edit list sets on those that only others are decoded from. */
function frameCount(packets: string, name: string): number {
  const rows = packets.split('\n').map((line) => line.split(','));
  const shown = rows.filter((row) => row.length >= 3 && !row[2].includes('D'));
  if (shown.length === 0) throw invalidMedia(name, 'has no picture', HINT);
  if (shown.length > LIMITS.videoFrames) {
    throw invalidMedia(name, `has more than ${LIMITS.videoFrames} frames`, HINT);
  }
  const starts = shown.map(([start]) => Number(start));
  if (!starts.every(Number.isFinite)) throw invalidMedia(name, 'has frames without a time', HINT);
  const ends = shown.map(([start, length]) => Number(start) + (Number(length) || 0));
  const seconds = maximum(ends) + maximum(starts.map((start) => -start));
  if (seconds > LIMITS.videoSeconds * ROUNDING) {
    throw invalidMedia(name, `is ${seconds.toFixed(2)} s long, more than ${LIMITS.videoSeconds} s`, HINT);
  }
  return shown.length;
}

const maximum = (values: readonly number[]): number => values.reduce((a, b) => Math.max(a, b));
