import type { EngineId, TrainingEngine } from './engine.js';

/** Loads an engine on first use: TensorFlow.js is heavy, and may not be installed. */
export async function loadEngine(id: EngineId): Promise<TrainingEngine> {
  if (id === 'tfjs') return (await import('./tfjs.js')).tfjsEngine;
  return (await import('./onnxruntime.js')).onnxruntimeEngine;
}
