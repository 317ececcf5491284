// node floor.js OUT BYTES CHECKPOINT…: what no export can leave out. Files are read and hashed in one thread, while as many bytes as an
// export has are written from memory, and hashed in another, until the disk has them.
import { open } from 'node:fs/promises';
import { hashFile } from '../../dist/core/bytes/hash.js';
import { FileSink } from '../../dist/core/bytes/sink.js';

const PIECE = new Uint8Array(2 ** 22).fill(7);
const [out, bytes, ...files] = process.argv.slice(2);

async function hashAll() {
  for (const file of files) await hashFile(file);
}

async function writeAll() {
  const sink = new FileSink(await open(out, 'wx+'), 'floor', Number(bytes));
  for (let left = Number(bytes); left > 0; left -= PIECE.length) await sink.write(PIECE.subarray(0, left));
  await sink.finish();
}

await Promise.all([hashAll(), writeAll()]);
