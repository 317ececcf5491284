import { HpsError } from '../errors.js';
import type { OnnxModel, ValueInfoProto } from '../onnx/model.js';
import { dtypeOf } from '../onnx/tensor-data.js';
import type { ValueInfo } from './session.js';
import { isValueDtype } from './value.js';

/** What a graph reads that is no weight, as its file states it: no session needs to be opened. */
export function graphInputs({ graph }: OnnxModel, file: string): ValueInfo[] {
  const constants = new Set(graph.initializer.map((tensor) => tensor.name));
  return graph.input.filter((input) => !constants.has(input.name)).map((input) => valueInfo(input, file, 'Inputs'));
}

/** What a graph gives. */
export const graphOutputs = ({ graph }: OnnxModel, file: string): ValueInfo[] =>
  graph.output.map((output) => valueInfo(output, file, 'Outputs'));

function valueInfo({ name, type }: ValueInfoProto, file: string, what: 'Inputs' | 'Outputs'): ValueInfo {
  const dtype = dtypeOf(type?.tensorType?.elemType ?? 0);
  if (dtype === undefined || !isValueDtype(dtype)) {
    const kind = what === 'Inputs' ? 'input' : 'output';
    throw new HpsError('ONNX_UNSUPPORTED', `${file}: ${kind} ${name} is no tensor of numbers`, {
      hint: `${what} must be tensors of numbers.`,
      details: { file, value: name },
    });
  }
  const shape = (type?.tensorType?.shape?.dim ?? []).map(({ dimValue, dimParam }) => dimValue ?? dimParam ?? '');
  return { name, dtype, shape };
}
