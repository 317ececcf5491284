// onnxruntime's own rate: the same model on tensors that are ready, nothing else. MODEL BATCH THREADS IMAGES
import { openSession } from '../../dist/core/runtime/ort.js';

const [model, batch, threads, images] = [process.argv[2], ...process.argv.slice(3).map(Number)];
const session = await openSession(model, { threads });
const data = Float32Array.from({ length: batch * 3 * 224 * 224 }, (_, i) => Math.sin(i));
const feeds = new Map([['pixel_values', { dtype: 'F32', shape: [batch, 3, 224, 224], data }]]);
await session.run(feeds);
const started = performance.now();
for (let done = 0; done < images; done += batch) await session.run(feeds);
console.log((1000 * Math.ceil(images / batch) * batch) / (performance.now() - started));
