import { HpsError } from '../../errors.js';
import { systemFfmpeg } from './system-ffmpeg.js';
import { wasmFfmpeg } from './wasm-ffmpeg.js';

/** Options of FFmpeg's programs, before and after the name of the clip. */
export interface ToolArguments {
  readonly input: readonly string[];
  readonly output: readonly string[];
}

/** FFmpeg's two programs for one clip, wherever they come from. */
export interface VideoTools {
  /** What `ffprobe` prints. */
  probe(args: ToolArguments): Promise<string>;
  /** What `ffmpeg` writes, in pieces. */
  decode(args: ToolArguments): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

/** A way to decode clips that a machine may or may not have. */
export interface VideoBackend {
  readonly id: string;
  /** The tools for the clip at `path`, which errors call `name`; null where they are not installed. */
  open(path: string, name: string, signal?: AbortSignal): Promise<VideoTools | null>;
}

/** In the order they are tried. */
export const VIDEO_BACKENDS: readonly VideoBackend[] = [systemFfmpeg, wasmFfmpeg];

/** @throws HpsError BACKEND_UNAVAILABLE where none is installed */
export async function openVideoTools(
  path: string,
  name: string,
  signal?: AbortSignal,
  backends = VIDEO_BACKENDS,
): Promise<VideoTools> {
  for (const backend of backends) {
    const tools = await backend.open(path, name, signal);
    if (tools) return tools;
  }
  throw new HpsError('BACKEND_UNAVAILABLE', 'clips cannot be decoded: ffmpeg and ffprobe are not installed', {
    hint: 'Install ffmpeg (Debian and Ubuntu: `apt install ffmpeg`), or `npm install @ffmpeg/core` beside hpsv3.',
    details: { backends: backends.map(({ id }) => id) },
  });
}
