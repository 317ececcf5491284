// What cannot be spared: Node, onnxruntime, and a session of the model: node bench/startup/load.js MODEL.
import { InferenceSession } from 'onnxruntime-node';

await InferenceSession.create(process.argv[2]);
