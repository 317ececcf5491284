import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FileSource } from '../../bytes/source.js';
import { makeTemporaryFolder, temporaryError } from '../../bytes/temporary-folder.js';
import { LIMITS } from '../../limits.js';
import { float32Value, type TensorValue } from '../../runtime/value.js';
import { fitFrame, normalizeInto } from '../image/frame.js';
import type { MediaSource } from '../item.js';
import { assertLength, mediaName } from '../read-media.js';
import { invalidMedia } from '../refusal.js';
import { type Clip, readFrames } from './clip.js';
import { sniffVideo, type VideoFormat } from './format.js';
import { sampledFrames, type VideoContract } from './sampling.js';
import { openVideoTools } from './tools.js';

/**
 * Frames of a clip, sampled evenly, resized and normalised as the contract says: [1, 3, frames, height, width].
 * @throws HpsError MEDIA_INVALID for what is no MP4 or WebM, too long or damaged; BACKEND_UNAVAILABLE where no decoder is installed
 */
export async function prepareClip(
  source: MediaSource,
  contract: VideoContract,
  signal?: AbortSignal,
): Promise<TensorValue> {
  const file = await openClip(source, LIMITS.videoBytes);
  try {
    return await framesOf(file.path, file, contract, signal);
  } finally {
    await file.remove();
  }
}

/** A clip as a file that decoders can seek in: an MP4 may have its index at the end. */
export interface ClipFile extends Clip {
  readonly path: string;
  /** Removes what was made for bytes in memory. */
  remove(): Promise<void>;
}

/** @throws HpsError MEDIA_INVALID for what is no MP4 or WebM, or larger than `maxBytes` */
export async function openClip(source: MediaSource, maxBytes: number): Promise<ClipFile> {
  const name = mediaName(source);
  if ('path' in source)
    return { path: source.path, name, format: formatOf(source.path, name, maxBytes), remove: async () => {} };
  assertLength(name, source.bytes.byteLength, maxBytes);
  const format = knownFormat(source.bytes, name);
  const folder = await makeTemporaryFolder('clip');
  const remove = () => rm(folder, { recursive: true, force: true });
  const path = join(folder, `clip.${format}`);
  try {
    await writeFile(path, source.bytes, { mode: 0o600 });
  } catch (error) {
    await remove();
    throw temporaryError(folder, error);
  }
  return { path, name, format, remove };
}

const SNIFF_BYTES = 8;

function formatOf(path: string, name: string, maxBytes: number): VideoFormat {
  const file = FileSource.open(path);
  try {
    assertLength(name, file.byteLength, maxBytes);
    return knownFormat(file.readSync(0, Math.min(SNIFF_BYTES, file.byteLength)), name);
  } finally {
    file.close();
  }
}

function knownFormat(head: Uint8Array, name: string): VideoFormat {
  const format = sniffVideo(head);
  if (format === null) throw invalidMedia(name, 'is not an MP4 or WebM clip', 'Convert it to an MP4 of H.264.');
  return format;
}

async function framesOf(path: string, clip: Clip, contract: VideoContract, signal?: AbortSignal): Promise<TensorValue> {
  const tools = await openVideoTools(path, clip.name, signal);
  let size: readonly [number, number] | undefined;
  let data = new Float32Array();
  let frames = 0;
  try {
    const pick = (count: number, seconds: number) => sampledFrames(count, seconds, contract);
    await readFrames(tools, clip, pick, (decoded, index, picked) => {
      const frame = fitFrame(decoded, contract);
      size ??= [frame.height, frame.width];
      frames = picked;
      const plane = size[0] * size[1];
      if (data.length === 0) data = new Float32Array(3 * frames * plane);
      normalizeInto(data, frame, contract, { channelStride: frames * plane, offset: index * plane });
    });
  } finally {
    await tools.close();
  }
  const [height, width] = size ?? [0, 0];
  return float32Value([1, 3, frames, height, width], data);
}
