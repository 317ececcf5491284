import { basename } from 'node:path';
import { FileSource } from '../bytes/source.js';
import type { MediaSource } from './item.js';
import { invalidMedia } from './refusal.js';

/** What errors call the source: a base name, never a path. */
export const mediaName = (source: MediaSource): string =>
  basename('path' in source ? (source.name ?? source.path) : source.name);

/**
 * All the bytes of a source.
 * @throws HpsError MEDIA_INVALID for none, or more than `maxBytes`; FILE_NOT_FOUND or FILE_UNREADABLE
 */
export async function readMedia(source: MediaSource, maxBytes: number): Promise<Uint8Array> {
  if ('bytes' in source) {
    assertLength(mediaName(source), source.bytes.byteLength, maxBytes);
    return source.bytes;
  }
  const file = FileSource.open(source.path);
  try {
    assertLength(mediaName(source), file.byteLength, maxBytes);
    const bytes = new Uint8Array(file.byteLength);
    await file.readInto(0, bytes);
    return bytes;
  } finally {
    file.close();
  }
}

/** @throws HpsError MEDIA_INVALID */
export function assertLength(name: string, byteLength: number, maxBytes: number): void {
  if (byteLength === 0) throw invalidMedia(name, 'is empty', 'Get the file again.');
  if (byteLength > maxBytes) {
    throw invalidMedia(name, `is ${byteLength} bytes long, more than ${maxBytes}`, 'Give a smaller file.');
  }
}
