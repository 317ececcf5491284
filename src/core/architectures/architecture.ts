import type { JsonObject } from '../bytes/json.js';
import type { Checkpoint } from '../checkpoint/checkpoint.js';
import { HpsError } from '../errors.js';
import type { GraphBuilder } from '../onnx/builder.js';
import type { ContractInput, ContractOutput, Decision, Modality, Mode } from '../onnx/manifest.js';
import type { Tensor, TensorInfo } from '../tensor/tensor.js';
import type { ExampleValue } from './example-inputs.js';
import type { HeadFile } from './head-file.js';

export type TensorInfos = ReadonlyMap<string, TensorInfo>;

/** Options by name: the values each may have, or null for any text. */
export type OptionSpecs = Readonly<Record<string, readonly string[] | null>>;
export type OptionsOf<S extends OptionSpecs> = {
  readonly [K in keyof S]?: S[K] extends readonly (infer T)[] ? T : string;
};

/** What a configuration says of a model. */
export interface ModelSection {
  /** Base name of its file, for messages. */
  readonly name?: string;
  readonly model: JsonObject;
}

export interface ExportRequest {
  /** Undefined lets the architecture choose its most useful modality. */
  readonly modality: Modality | undefined;
  readonly mode: Mode;
  /** What `--config` says of the model. */
  readonly config: JsonObject | null;
  /** Name of the file `config` came from, for messages. */
  readonly configOrigin: string | null;
  /** Element type of weights and of matrix arithmetic; inputs, outputs, norms and the head stay float32. */
  readonly dtype: 'F32' | 'F16';
  /** What the architecture is told beside that, as `ArchitectureExporter.options` says. */
  readonly options: Readonly<Record<string, string>>;
  /** A score head from another file, over the embeddings of this checkpoint. */
  readonly head?: HeadFile;
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
  /** What is worth knowing, one sentence each. */
  readonly warnings?: readonly string[];
  /** Whether the text inputs say themselves how texts are padded; otherwise the tokenizer does. */
  readonly textAsStated?: boolean;
  /** Files beside the checkpoint that the graph or its contract depends on: lineage names them. */
  readonly sources?: readonly string[];
}

/** Weights of a model that has not been trained. */
export interface InitialModel {
  readonly tensors: readonly Tensor[];
  /** Rows of its table of words; null for a model that reads no text. */
  readonly vocabSize: number | null;
}

/** A family of models. It is recognised by what a checkpoint holds, never by a file's name. */
export interface Architecture {
  readonly id: string;
  readonly label: string;
  /** Keys of a configuration that it reads, or that may stand beside them: in the `model` section of a file any other is refused. */
  readonly configKeys?: readonly string[];
  /** By tensor names and shapes; by the checkpoint's configuration only where tensors of two families look the same. */
  recognise(tensors: TensorInfos, config: JsonObject | null): boolean;
  /** Loads the exporter on first use, so that `--help` imports nothing heavy. */
  load(): Promise<ArchitectureExporter>;
}

export interface ArchitectureExporter {
  /** Modalities the checkpoint can be exported for, the most useful first; empty where the notion does not apply. */
  modalities(checkpoint: Checkpoint): readonly Modality[];
  /** Options it takes beside those that all have; absent where it takes none. */
  readonly options?: OptionSpecs;
  /** Whether it makes embeddings that a head from another file can score. */
  readonly takesHead?: boolean;
  /**
   * Builds the graph of one modality and mode.
   * @throws HpsError TENSORS_MISMATCH listing every missing, unexpected and mis-shaped tensor; CONFIG_INVALID naming both
   *   sides of a contradiction; MODALITY_MISSING
   */
  buildGraph(checkpoint: Checkpoint, graph: GraphBuilder, request: ExportRequest): Contract;
  /**
   * A new model of the sizes a configuration states, for `init` and `train`; absent where models of the family are only converted.
   * @throws HpsError CONFIG_INVALID
   */
  initialModel?(config: JsonObject, seed: number): InitialModel;
  /** Seeded inputs of the contract for the conformance test that runs over every registered architecture. */
  exampleInputs(contract: Contract, seed: number): ReadonlyMap<string, ExampleValue>;
  /** Largest accepted |exported - reference| of a score, in its own units, for weights in float32. */
  readonly parityTolerance: number;
}

/**
 * What an architecture was told, checked by what it takes.
 * @throws HpsError USAGE for an option it does not take or a value it does not know
 */
export function parseOptions<S extends OptionSpecs>(
  architecture: string,
  specs: S,
  options: Readonly<Record<string, string>>,
): OptionsOf<S> {
  for (const [name, value] of Object.entries(options)) {
    const values = Object.hasOwn(specs, name) ? specs[name] : undefined;
    const rule =
      values === undefined
        ? 'is not one it takes'
        : values !== null && !values.includes(value)
          ? `is ${JSON.stringify(value)}, not one of ${values.join(', ')}`
          : null;
    if (rule === null) continue;
    throw new HpsError('USAGE', `architecture ${architecture}: option ${name} ${rule}`, {
      hint: 'Leave the option out, or see the options of `hpsv3 export`.',
      details: { architecture, option: name },
    });
  }
  return options as OptionsOf<S>;
}
