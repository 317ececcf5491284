import { HpsError } from '../../errors.js';
import type { VideoBackend, VideoTools } from './backend.js';
import { systemFfmpeg } from './system-ffmpeg.js';
import { wasmFfmpeg } from './wasm-ffmpeg.js';

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
