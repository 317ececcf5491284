import { fileURLToPath } from 'node:url';

/** Path of a model made by tests/golden/FOLDER/make.py. */
export const goldenModel = (folder: string, name: string): string =>
  fileURLToPath(new URL(`../golden/${folder}/${name}.onnx`, import.meta.url));
