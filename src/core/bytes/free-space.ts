import { statfs } from 'node:fs/promises';
import { HpsError } from '../errors.js';
import { printable } from './output-error.js';

/**
 * Refuses, before anything is written, a file that its disk has no room for. What is there already counts as taken: it stays until
 * the new file is whole.
 * @param folder - where the file goes
 * @param name - what errors call it
 * @throws HpsError OUTPUT_WRITE_FAILED with both figures
 */
export async function assertSpace(folder: string, name: string, bytes: number): Promise<void> {
  const disk = await statfs(folder).catch(() => null); // not every file system tells
  if (disk === null) return;
  const free = disk.bavail * disk.bsize;
  if (bytes <= free) return;
  throw new HpsError('OUTPUT_WRITE_FAILED', `${printable(name)}: takes ${bytes} bytes, and its disk has ${free} free`, {
    hint: 'Free space or choose another disk, then run the command again; nothing has been written.',
    details: { file: name, bytes, freeBytes: free },
  });
}
