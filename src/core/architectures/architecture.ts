import type { JsonValue } from '../bytes/json.js';
import type { Checkpoint } from '../checkpoint/checkpoint.js';
import type { GraphBuilder } from '../onnx/builder.js';
import type { ContractInput, ContractOutput, Decision, Modality, Mode } from '../onnx/manifest.js';
import type { TensorInfo } from '../tensor/tensor.js';

export interface ExportRequest {
  /** Undefined lets the architecture choose its most useful modality. */
  readonly modality: Modality | undefined;
  readonly mode: Mode;
  /** What `--config` says of the model; goes over the checkpoint's own config. */
  readonly config: Readonly<Record<string, JsonValue>> | null;
  /** Name of the file `config` came from, for messages. */
  readonly configOrigin: string | null;
  /** Element type of weights and of matrix arithmetic; inputs, outputs, norms and the head stay float32. */
  readonly dtype: 'F32' | 'F16';
  /** Activation between the linear layers of a score head, which its file cannot tell. */
  readonly activation: 'none' | 'relu' | undefined;
}

/** What a graph promises, for the manifest. */
export interface Contract {
  readonly modality: Modality | null;
  readonly mode: Mode;
  readonly decision: Decision;
  readonly inputs: readonly ContractInput[];
  readonly outputs: readonly ContractOutput[];
  /** Tensors of the checkpoint that the graph does not use, each with the reason. */
  readonly ignored: readonly { readonly name: string; readonly reason: string }[];
}

/** A family of models, recognised by tensor names and shapes alone, never by a file's name. */
export interface Architecture {
  readonly id: string;
  readonly label: string;
  recognise(tensors: ReadonlyMap<string, TensorInfo>): boolean;
  /** Loads the exporter on first use, so that `--help` imports nothing heavy. */
  load(): Promise<ArchitectureExporter>;
}

export interface ArchitectureExporter {
  /** Modalities the checkpoint can be exported for, the most useful first; empty where the notion does not apply. */
  modalities(checkpoint: Checkpoint): readonly Modality[];
  /**
   * Builds the graph of one modality and mode.
   * @throws HpsError TENSORS_MISMATCH listing every missing, unexpected and mis-shaped tensor; CONFIG_INVALID naming both
   *   sides of a contradiction; MODALITY_MISSING
   */
  buildGraph(checkpoint: Checkpoint, graph: GraphBuilder, request: ExportRequest): Contract;
}
