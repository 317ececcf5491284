import { HpsError } from '../../errors.js';
import type { Excluded } from './scheme.js';

export const refuseQuantized = (file: string, opType: string): HpsError =>
  new HpsError('ALREADY_QUANTIZED', `${file}: is quantized already (it has ${opType})`, {
    hint: 'Quantize the float model it was made from.',
    details: { file, opType },
  });

export const refuseOpset = (file: string, scheme: string, opset: number, needs: number): HpsError =>
  new HpsError('OPSET_UNSUPPORTED', `${file}: ${scheme} needs opset ${needs}, the model has ${opset}`, {
    hint: `Export the model again with \`opset\` ${needs}, or choose another scheme.`,
    details: { file, scheme, opset, needs },
  });

export const nothingToQuantize = (file: string, scheme: string, excluded: readonly Excluded[]): HpsError => {
  const why = excluded.length > 0 ? `; ${excluded[0].node}: ${excluded[0].why}` : '';
  return new HpsError('NOTHING_TO_QUANTIZE', `${file}: ${scheme} finds nothing to quantize${why}`, {
    hint: 'It needs float32 weights of Conv, MatMul, Gemm or Gather in the main graph that are not excluded.',
    details: { file, scheme, excluded },
  });
};
