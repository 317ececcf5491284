import { LIMITS } from '../../limits.js';
import type { Pixels } from '../image/pixels.js';
import { invalidMedia } from '../refusal.js';
import { IN_WINDOWS } from '../windows.js';
import type { VideoTools } from './backend.js';
import type { VideoFormat } from './format.js';
import { PpmReader } from './ppm.js';

export interface Clip {
  /** What errors call it. */
  readonly name: string;
  readonly format: VideoFormat;
}

const HINT = 'Convert it to an MP4 of H.264.';
/** Containers round the length of their last frame: a clip of 300 frames at 29.97 Hz is 10.01 s long. */
const ROUNDING = 1.01;

/**
 * Hands over frames of a clip, one after the other: 8-bit RGB at the size of the clip, turned as it says.
 * @param pick - which of them, by how many there are and how long the clip is by its own rate; null where there are too few
 * @param onFrame - told the place of the frame among those picked, and how many those are
 * @throws HpsError MEDIA_INVALID for a clip that is longer than the limit, damaged, or has no video track
 */
export async function readFrames(
  tools: VideoTools,
  { name, format }: Clip,
  pick: (count: number, seconds: number) => readonly number[] | null,
  onFrame: (frame: Pixels, index: number, picked: number) => void,
): Promise<void> {
  const input = inputArguments(format);
  const { times, seconds, rate } = await readTimes(tools, { name, format }, { frames: LIMITS.videoFrames });
  if (seconds > LIMITS.videoSeconds * ROUNDING) {
    throw invalidMedia(name, `is ${seconds.toFixed(2)} s long, more than ${LIMITS.videoSeconds} s`, IN_WINDOWS);
  }
  const picked = pick(times.length, rate === null ? seconds : times.length / rate);
  if (picked === null)
    throw invalidMedia(name, `has ${times.length} frames, too few for this model`, 'Give a longer clip.');
  const distinct = [...new Set(picked)];
  const select = `select='${distinct.map((frame) => `eq(n,${frame})`).join('+')}'`;
  const ppm = new PpmReader(LIMITS.imagePixels, name);
  let seen = 0;
  for await (const bytes of tools.decode({ input, output: ['-vf', select, ...decodeArguments(distinct.length)] })) {
    for (const frame of ppm.push(bytes)) {
      for (const [index, at] of picked.entries()) if (at === distinct[seen]) onFrame(frame, index, picked.length);
      seen++;
    }
  }
  if (seen < distinct.length) {
    throw invalidMedia(name, `only ${seen} of the ${distinct.length} frames looked for could be decoded`, HINT);
  }
}

/** Options before the name of a clip, for both programs. */
export const inputArguments = (format: VideoFormat): string[] => [
  ...['-v', 'error', '-protocol_whitelist', 'file,pipe', '-max_pixels', String(LIMITS.imagePixels), '-f', format],
];

/** A PPM for each selected frame, none repeated or left out to keep a rate. */
export const decodeArguments = (frames: number): string[] => [
  ...['-map', '0:V:0', '-fps_mode', 'passthrough', '-frames:v', String(frames)],
  ...['-sws_flags', 'bicubic+accurate_rnd+full_chroma_int+bitexact', '-c:v', 'ppm', '-f', 'image2pipe'],
];

/** When the frames of a clip are shown. */
export interface FrameTimes {
  /** In the order they are shown in, seconds from the first. */
  readonly times: Float64Array;
  /** To the end of the last frame. */
  readonly seconds: number;
  /** Frames a second that the clip says it has on average; null where it does not. */
  readonly rate: number | null;
}

/**
 * When the frames of a clip are shown: packets without the flag D, which an edit list sets on those that only others are
 * decoded from.
 * @param limit - most frames
 * @throws HpsError MEDIA_INVALID for a clip that is damaged, has no video track, or is HDR
 */
export async function readTimes(
  tools: VideoTools,
  { name, format }: Clip,
  { frames, isLong }: { readonly frames: number; readonly isLong?: boolean },
): Promise<FrameTimes> {
  // One line a packet of the first picture stream. One more than the limit shows that it is passed.
  const shown = [
    'packet=pts_time,duration_time,flags',
    'stream=color_transfer,avg_frame_rate,duration',
    'stream_tags=DURATION',
  ].join(':');
  const output = [
    '-select_streams',
    'V:0',
    '-show_entries',
    shown,
    '-of',
    'csv',
    '-read_intervals',
    `%+#${frames + 1}`,
  ];
  let times = new Float64Array(1024);
  let count = 0;
  let end = Number.NEGATIVE_INFINITY;
  let stated = Number.NaN;
  let rate = Number.NaN;
  for await (const line of linesOf(tools.probe({ input: inputArguments(format), output, isLong }))) {
    const [kind, first, duration, flags, tag] = line.split(',');
    if (kind === 'stream') {
      if (HDR.has(first))
        throw invalidMedia(name, `is HDR (${first}), and models are made for SDR`, 'Convert it to SDR (BT.709).');
      const [frames, perSeconds] = duration.split('/').map(Number);
      rate = frames / perSeconds;
      stated = secondsOf(flags) || secondsOf(tag);
    }
    if (kind !== 'packet' || flags === undefined || flags.includes('D')) continue;
    const time = Number(first);
    if (!Number.isFinite(time)) throw invalidMedia(name, 'has frames without a time', HINT);
    if (count === frames)
      throw invalidMedia(name, `has more than ${frames} frames`, isLong ? 'Cut it into parts.' : IN_WINDOWS);
    if (count === times.length) {
      const longer = new Float64Array(2 * count);
      longer.set(times);
      times = longer;
    }
    times[count++] = time;
    end = Math.max(end, time + (Number(duration) || 0));
  }
  if (count === 0) throw invalidMedia(name, 'has no video track', HINT);
  const sorted = times.subarray(0, count).sort();
  const [begin] = sorted;
  const seconds = end - begin;
  if (stated - seconds > Math.max(1, CUT_OFF * stated)) {
    const rule = `breaks off after ${seconds.toFixed(1)} s of the ${stated.toFixed(1)} s that it says it has`;
    throw invalidMedia(name, rule, 'Copy or download it again.');
  }
  return { times: sorted.map((time) => time - begin), seconds, rate: rate > 0 ? rate : null };
}

/** Share of the length that a file states of its pictures, by which they may fall short of it. */
const CUT_OFF = 0.05;

/** Of `40.0` or `00:00:40.0`; NaN of anything else, as where a file does not say. */
const secondsOf = (text: string | undefined): number =>
  (text ?? '').split(':').reduce((sum, part) => 60 * sum + (part === '' ? Number.NaN : Number(part)), 0);

/** Transfer functions of HDR, as FFmpeg calls them: PQ and HLG. Without tone mapping they look washed out. */
const HDR: ReadonlySet<string> = new Set(['smpte2084', 'arib-std-b67']);

async function* linesOf(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let rest = '';
  for await (const piece of pieces) {
    const lines = (rest + Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength).toString('latin1')).split('\n');
    rest = lines.pop()!;
    for (const line of lines) yield line.trimEnd();
  }
  if (rest !== '') yield rest;
}
