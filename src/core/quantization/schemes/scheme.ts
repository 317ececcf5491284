import type { NodeProto, OnnxModel } from '../../onnx/model.js';
import type { Ranges } from '../ranges/range.js';

/** A node that stays as it was, and why. */
export interface Excluded {
  readonly node: string;
  readonly why: string;
}

export interface SchemeRequest {
  /** One scale an output channel instead of one a weight. */
  readonly perChannel: boolean;
  /** All 8 bits for weights of integer kernels, at the price of sums that processors without VNNI cut off. */
  readonly fullRange: boolean;
  /** Why a node must stay as it is, or undefined. */
  readonly exclude: (node: NodeProto) => string | undefined;
  /** Ranges of the values that `observes` names; absent for schemes that look at no activations. */
  readonly ranges?: Ranges;
  /**
   * Whether the file can say which session options it needs. Without a manifest it cannot, and what needs no option is
   * chosen instead.
   */
  readonly hasManifest: boolean;
  /** Allow operators of onnxruntime that are not of ONNX, where the opset has none. */
  readonly contrib: boolean;
}

export interface QuantizedModel {
  readonly model: OnnxModel;
  /** Nodes that now compute with fewer bits, or whose weights have fewer. */
  readonly quantized: readonly string[];
  readonly excluded: readonly Excluded[];
  /** Session options without which a runtime would change the results. */
  readonly session: Readonly<Record<string, string>>;
  /** What the reader should know, one sentence each. */
  readonly notes: readonly string[];
}

/** Multiplications by one of each channel: the value that each passes on, by the name of its result. */
export type Gains = ReadonlyMap<string, string>;

/** A float model as calibration runs it. */
export interface ObservedModel {
  readonly model: OnnxModel;
  /** Multiplications by one in it, of which those are kept that equalize channels; absent where channels stay as they are. */
  readonly gains?: Gains;
  readonly values: readonly string[];
}

/** A way to spend fewer bits. A member is one file and one line of the registry. */
export interface QuantizationScheme {
  readonly id: string;
  readonly label: string;
  /** The first opset that can express it. */
  readonly minOpset: number;
  /** Whether batch norms are folded into convolutions first; parameters then lose their checkpoint names. */
  readonly foldsNorms: boolean;
  /** Whether the score head stays float: 8 bits of two embeddings can hide what they differ in. */
  readonly sparesHead?: boolean;
  /** Whether integer kernels add its products of 8 bits, which processors without VNNI do in 16. */
  readonly addsIntegers?: boolean;
  /**
   * How far the same file may differ from itself: `exact` at every level of optimisation; `rounded` where integer kernels
   * round otherwise than their emulation; `batch-dependent` where the scale of a row depends on its neighbours.
   */
  readonly determinism: 'exact' | 'rounded' | 'batch-dependent';
  /** Largest accepted |quantized - float| of a score on the models of the conformance test, as a part of the spread of the float scores. */
  readonly tolerance: number;
  /** Values whose ranges must be known first, and in which model. */
  observes?(model: OnnxModel, request: SchemeRequest): ObservedModel;
  /** Reads what `apply` needs of the weights, while the model runs for its ranges. It ends early, and throws, where the signal aborts. */
  readAhead?(model: OnnxModel, request: SchemeRequest, signal: AbortSignal): Promise<unknown>;
  apply(model: OnnxModel, request: SchemeRequest): Promise<QuantizedModel>;
}

/** What reports and `--exclude` call a node. */
export const nodeLabel = (node: NodeProto): string => node.name || node.output[0] || node.opType;
