import type { FileSink, WrittenFile } from '../bytes/sink.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { type EncodedModel, encodeModel } from './encode.js';
import {
  EXTERNAL_LOCATION,
  type GraphProto,
  type OnnxModel,
  type StringStringEntryProto,
  subgraphsOf,
  type TensorProto,
  type WeightSource,
} from './model.js';
import { rawBytesOf } from './tensor-data.js';
import { chunksOf } from './weight.js';
import type { Piece } from './wire.js';

/** Below this a tensor stays in the model: `onnx.save`'s own threshold. */
const EXTERNAL_THRESHOLD_BYTES = 1024;
/** Offsets of external data are whole pages, so that a runtime can map them. */
const EXTERNAL_ALIGNMENT = 4096;

/** Where a model and its external data are written: a staged output, or a folder of nobody else's. */
export interface ModelOutput {
  /** Base name of the model. */
  readonly name: string;
  /** A new file beside the others; of the model's own name by default. */
  create(name?: string): Promise<FileSink>;
}

export interface WriteOnnxOptions {
  /** Weights in `NAME.data` beside the model. By default only when the model would pass `singleFileBytes`. */
  externalData?: boolean;
  /** Largest file that holds its own weights; protobuf's limit. */
  singleFileBytes?: number;
  /** Values of `metadata_props` that are ready only later, such as a hash of the source: read when all weights are written. */
  deferred?: ReadonlyMap<string, WeightSource>;
  signal?: AbortSignal;
  onProgress?: (done: number, total: number) => void;
}

export interface WrittenOnnx {
  readonly model: WrittenFile;
  /** The external data; undefined where there is none, also because no initializer is large. */
  readonly data: WrittenFile | undefined;
}

interface ExternalRange {
  readonly offset: number;
  readonly bytes: Piece;
}

/**
 * Writes a model as the main file of an output, weights streamed from where they are; equal models give equal bytes.
 * @throws HpsError ONNX_UNSUPPORTED where even the structure alone is too large for protobuf; OUTPUT_WRITE_FAILED
 */
export async function writeOnnx(
  model: OnnxModel,
  output: ModelOutput,
  options: WriteOnnxOptions = {},
): Promise<WrittenOnnx> {
  const { externalData = false, singleFileBytes = LIMITS.onnxFileBytes } = options;
  const metadataProps = [...model.metadataProps, ...deferredEntries(options.deferred)];
  const whole = encodeModel({ ...model, metadataProps });
  if (!externalData && whole.byteLength <= singleFileBytes) {
    const progress = new Progress(options, whole.byteLength);
    return { model: await writePieces(output, output.name, whole, progress), data: undefined };
  }
  const dataName = `${output.name}.data`;
  const ranges = layOut(model);
  const structure = encodeModel({ ...model, metadataProps }, (tensor) =>
    withoutData(tensor, ranges.get(tensor), dataName),
  );
  if (structure.byteLength > singleFileBytes) {
    throw new HpsError(
      'ONNX_UNSUPPORTED',
      `${output.name}: ${structure.byteLength} bytes remain without the initializers`,
      {
        hint: 'Move large constants from node attributes to initializers.',
        details: { bytes: structure.byteLength, limit: singleFileBytes },
      },
    );
  }
  const progress = new Progress(options, structure.byteLength + endOf(ranges));
  const data = ranges.size > 0 ? await writeData(output, dataName, ranges, progress) : undefined;
  return { model: await writePieces(output, output.name, structure, progress), data };
}

/** The codec splices whatever is not yet text; `metadata_props` come after the graph in the file. */
const deferredEntries = (deferred: WriteOnnxOptions['deferred']): StringStringEntryProto[] =>
  Array.from(deferred ?? [], ([key, value]) => ({ key, value: value as unknown as string }));

class Progress {
  private done = 0;

  constructor(
    private readonly options: WriteOnnxOptions,
    private readonly total: number,
  ) {}

  advance(bytes: number): void {
    this.options.signal?.throwIfAborted();
    this.done += bytes;
    this.options.onProgress?.(this.done, this.total);
  }
}

function* initializersOf(graph: GraphProto): Generator<TensorProto> {
  yield* graph.initializer;
  for (const node of graph.node) for (const subgraph of subgraphsOf(node)) yield* initializersOf(subgraph);
}

/** Where each large initializer goes in the data file. */
function layOut(model: OnnxModel): ReadonlyMap<TensorProto, ExternalRange> {
  const ranges = new Map<TensorProto, ExternalRange>();
  let end = 0;
  for (const tensor of initializersOf(model.graph)) {
    const bytes = rawBytesOf(tensor);
    if (tensor.stringData || bytes.byteLength < EXTERNAL_THRESHOLD_BYTES) continue;
    const offset = Math.ceil(end / EXTERNAL_ALIGNMENT) * EXTERNAL_ALIGNMENT;
    ranges.set(tensor, { offset, bytes });
    end = offset + bytes.byteLength;
  }
  return ranges;
}

function endOf(ranges: ReadonlyMap<TensorProto, ExternalRange>): number {
  const last = [...ranges.values()].at(-1);
  return last ? last.offset + last.bytes.byteLength : 0;
}

function withoutData(tensor: TensorProto, range: ExternalRange | undefined, location: string): TensorProto {
  if (range === undefined) return tensor;
  const { rawData, floatData, int32Data, int64Data, doubleData, uint64Data, ...rest } = tensor;
  const externalData = [
    { key: 'location', value: location },
    { key: 'offset', value: String(range.offset) },
    { key: 'length', value: String(range.bytes.byteLength) },
  ];
  return { ...rest, externalData, dataLocation: EXTERNAL_LOCATION };
}

async function writeData(
  output: ModelOutput,
  name: string,
  ranges: ReadonlyMap<TensorProto, ExternalRange>,
  progress: Progress,
): Promise<WrittenFile> {
  const sink = await output.create(name);
  for (const { bytes } of ranges.values()) {
    const before = sink.byteLength;
    await sink.align(EXTERNAL_ALIGNMENT);
    progress.advance(sink.byteLength - before);
    await writePiece(sink, bytes, progress);
  }
  return sink.finish();
}

async function writePieces(
  output: ModelOutput,
  name: string,
  { pieces }: EncodedModel,
  progress: Progress,
): Promise<WrittenFile> {
  const sink = await output.create(name);
  for (const piece of pieces) await writePiece(sink, piece, progress);
  return sink.finish();
}

async function writePiece(sink: FileSink, piece: Piece, progress: Progress): Promise<void> {
  const start = sink.byteLength;
  for await (const chunk of chunksOf(piece)) {
    await sink.write(chunk);
    progress.advance(chunk.byteLength);
  }
  const written = sink.byteLength - start;
  if (written !== piece.byteLength) throw new RangeError(`a weight of ${piece.byteLength} bytes gave ${written}`);
}

/** The whole model in one array; for models known to be small, such as a folded subgraph for the runtime. */
export const modelBytes = (model: OnnxModel): Promise<Uint8Array> => joinPieces(encodeModel(model));

/** What was encoded, in one array. */
export async function joinPieces({ pieces, byteLength }: EncodedModel): Promise<Uint8Array> {
  const bytes = new Uint8Array(byteLength);
  let at = 0;
  for (const piece of pieces) {
    for await (const chunk of chunksOf(piece)) {
      bytes.set(chunk, at);
      at += chunk.byteLength;
    }
  }
  return bytes;
}
