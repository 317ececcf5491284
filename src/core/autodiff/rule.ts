import type { NodeProto } from '../onnx/model.js';
import type { TensorValue } from '../runtime/value.js';
import type { Emitter } from './emitter.js';
import type { Operand } from './types.js';

/** What a rule sees of the node it differentiates. */
export interface GradientContext {
  readonly node: NodeProto;
  readonly graph: Emitter;
  /** An input that is there. */
  input(index: number): Operand;
  hasInput(index: number): boolean;
  output(index?: number): Operand;
  /** Gradient of an output; zeros where the loss does not read it. */
  gradient(index?: number): Operand;
  hasGradient(index: number): boolean;
  /** Whether anything asks for the gradient of an input. */
  wants(index: number): boolean;
  /** Adds to the gradient of an input; it must have the input's shape. Ignored where nothing asks for it. */
  give(index: number, gradient: Operand): void;
  /** The values of an input that must be known; undefined where it is left out. */
  constant(index: number): TensorValue | undefined;
  /** The same as numbers. */
  numbers(index: number): number[] | undefined;
  /** Stops: this form of the operator has no gradient here. */
  unsupported(reason: string): never;
}

/** How the gradient of a node's outputs becomes that of its inputs. */
export interface GradientRule {
  readonly opTypes: readonly string[];
  backward(context: GradientContext): void;
}
