import type { OnnxModel } from '../onnx/model.js';
import { withTemporaryModel } from '../onnx/temporary-model.js';
import { type LocalSession, openSession } from '../runtime/ort.js';

/** A session of a graph that is in memory. */
export const openOwnSession = (model: OnnxModel, threads?: number): Promise<LocalSession> =>
  withTemporaryModel(model, (path) => openSession(path, { threads }));
