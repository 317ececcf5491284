import { HpsError } from '../errors.js';

/** A file or model that breaks the rules of ONNX or protobuf (ONNX_CORRUPT, exit 5). `rule` continues the sentence `FILE: …`. */
export function corruptOnnx(file: string, rule: string, details: Readonly<Record<string, unknown>> = {}): HpsError {
  return new HpsError('ONNX_CORRUPT', `${file}: ${rule}`, {
    hint: 'The model is damaged or was built wrongly: get it again, or export it again.',
    details: { file, rule, ...details },
  });
}

/** A model that reaches outside its own folder (ONNX_UNSAFE, exit 5). */
export function unsafeOnnx(file: string, rule: string, details: Readonly<Record<string, unknown>> = {}): HpsError {
  return new HpsError('ONNX_UNSAFE', `${file}: ${rule}`, {
    hint: 'Do not load this model with other tools; get it again from a source you trust.',
    details: { file, rule, ...details },
  });
}
