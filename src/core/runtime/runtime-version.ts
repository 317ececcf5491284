import { createRequire } from 'node:module';

/** The version of onnxruntime behind the sessions, which need not be loaded for it. */
export const runtimeVersion = (): string =>
  (createRequire(import.meta.url)('onnxruntime-node/package.json') as { version: string }).version;
