import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FILE_SYSTEM, type OutputFileSystem } from '../bytes/file-system.js';
import { withAtomicOutput } from '../bytes/output.js';
import type { OnnxModel } from './model.js';
import { writeOnnx } from './write.js';

/** What lives for some seconds need not reach the disk. */
const UNSYNCED: OutputFileSystem = {
  ...FILE_SYSTEM,
  open: async (path, flags) => {
    const handle = await FILE_SYSTEM.open(path, flags);
    return {
      write: (buffer, offset, length) => handle.write(buffer, offset, length),
      sync: async () => {},
      close: () => handle.close(),
    };
  },
};

/** Writes a model into a folder of its own, which is removed afterwards. Its weights stream. */
export async function withTemporaryModel<T>(model: OnnxModel, use: (path: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'hpsv3-model-'));
  try {
    const path = join(folder, 'model.onnx');
    await withAtomicOutput(path, { fileSystem: UNSYNCED }, (output) => writeOnnx(model, output));
    return await use(path);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
