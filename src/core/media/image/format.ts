/** Picture formats that are read, told apart by their first bytes. */
export type ImageFormat = 'jpeg' | 'png' | 'webp' | 'bmp';

const startsWith = (bytes: Uint8Array, signature: string, at = 0): boolean =>
  bytes.byteLength >= at + signature.length &&
  [...signature].every((character, i) => bytes[at + i] === character.charCodeAt(0));

/** The format the content claims, whatever the file is called; null for any other. */
export function sniffImage(bytes: Uint8Array): ImageFormat | null {
  if (startsWith(bytes, '\xff\xd8\xff')) return 'jpeg';
  if (startsWith(bytes, '\x89PNG\r\n\x1a\n')) return 'png';
  if (startsWith(bytes, 'RIFF') && startsWith(bytes, 'WEBP', 8)) return 'webp';
  return startsWith(bytes, 'BM') ? 'bmp' : null;
}
