import { basename } from 'node:path';
import { FileSource } from '../../bytes/source.js';
import { LIMITS } from '../../limits.js';
import { encodeMp4, requireVideoEncoder } from '../../media/encode-video.js';
import type { Pixels } from '../../media/image/pixels.js';
import { resize } from '../../media/image/resample.js';
import { invalidMedia } from '../../media/refusal.js';
import { readFrames } from '../../media/video/clip.js';
import { sniffVideo } from '../../media/video/format.js';
import { evenFrames } from '../../media/video/sampling.js';
import { openVideoTools } from '../../media/video/tools.js';
import type { SynthModality } from '../modality.js';
import { drawFootage, type Footage, FRAMES, FRAMES_PER_SECOND } from './footage.js';
import { VIDEO_PERTURBATIONS } from './perturbations.js';

/** @param size - side of the clips drawn, and the longer side that clips of the user's are reduced to; an even number */
export const videoModality = (size: number): SynthModality<Footage> => ({
  id: 'video',
  perturbations: VIDEO_PERTURBATIONS,
  prepare: requireVideoEncoder,
  draw: (random) => drawFootage(random, size),
  endings: ['.mp4', '.webm'],
  read: (path) => readFootage(path, size),
  store: async (frames) => ({
    file: { part: 'video', ending: '.mp4', bytes: await encodeMp4(frames, FRAMES_PER_SECOND) },
  }),
});

/** Two seconds' worth of frames from the whole of a clip, evenly; it plays faster or slower than it was. */
async function readFootage(path: string, size: number): Promise<Footage> {
  const name = basename(path);
  const format = sniffVideo(readHead(path));
  if (format === null) throw invalidMedia(name, 'is not an MP4 or WebM clip', 'Convert it to MP4.');
  const tools = await openVideoTools(path, name);
  const frames: Pixels[] = [];
  try {
    const pick = (count: number) => evenFrames(count, FRAMES);
    await readFrames(tools, { name, format }, pick, (frame, index) => {
      frames[index] = reduced(frame, size);
    });
  } finally {
    await tools.close();
  }
  return frames;
}

function readHead(path: string): Uint8Array {
  const file = FileSource.open(path);
  try {
    return file.readSync(0, Math.min(file.byteLength, LIMITS.sniffBytes));
  } finally {
    file.close();
  }
}

/** MP4 with colours at half resolution needs even sides. */
function reduced(frame: Pixels, size: number): Pixels {
  const scale = Math.min(1, size / Math.max(frame.width, frame.height));
  const even = (side: number): number => 2 * Math.max(1, Math.round((side * scale) / 2));
  const [width, height] = [even(frame.width), even(frame.height)];
  return resize(frame, { width, height, kernel: 'bicubic', antialias: true });
}
