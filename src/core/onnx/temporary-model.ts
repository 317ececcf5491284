import { join } from 'node:path';
import { FILE_SYSTEM } from '../bytes/file-system.js';
import { outputError } from '../bytes/output-error.js';
import { FileSink } from '../bytes/sink.js';
import { withTemporaryFolder } from '../bytes/temporary-folder.js';
import type { OnnxModel } from './model.js';
import { type ModelOutput, writeOnnx } from './write.js';

/**
 * Writes a model into a folder of its own, which is removed afterwards. Its weights stream.
 * @param name - of the file, which errors show
 */
export const withTemporaryModel = <T>(
  model: OnnxModel,
  use: (path: string) => Promise<T>,
  name = 'model.onnx',
): Promise<T> => withTemporaryFolder('model', async (folder) => use(await writeTemporaryModel(model, folder, name)));

/**
 * Writes a model for this process alone into a temporary folder. It is no release: what lives for some seconds need not be
 * whole when the process dies, nor reach the disk.
 * @returns its path
 */
async function writeTemporaryModel(model: OnnxModel, folder: string, name: string): Promise<string> {
  const sinks: FileSink[] = [];
  const output: ModelOutput = {
    name,
    create: async (file = name) => {
      const sink = new FileSink(unsynced(await FILE_SYSTEM.open(join(folder, file), 'wx+')), file);
      sinks.push(sink);
      return sink;
    },
  };
  try {
    await writeOnnx(model, output);
  } catch (error) {
    for (const sink of sinks) await sink.abandon();
    throw outputError(name, error);
  }
  return join(folder, name);
}

const unsynced = (handle: Awaited<ReturnType<typeof FILE_SYSTEM.open>>): typeof handle => ({
  write: (...args) => handle.write(...args),
  read: (...args) => handle.read(...args),
  sync: async () => {},
  close: () => handle.close(),
});
