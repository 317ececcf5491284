/** Clip formats that are read, told apart by their first bytes. */
export type VideoFormat = 'mp4' | 'webm';

const EBML = [0x1a, 0x45, 0xdf, 0xa3];

/** The container the content claims, whatever the file is called (WebM: any Matroska); null for any other. */
export function sniffVideo(head: Uint8Array): VideoFormat | null {
  if (EBML.every((byte, i) => head[i] === byte)) return 'webm';
  return Buffer.from(head.subarray(4, 8)).toString('latin1') === 'ftyp' ? 'mp4' : null;
}
