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
  /** A new file beside the others, of so many bytes; of the model's own name by default. */
  create(name?: string, expectedBytes?: number): Promise<FileSink>;
}

export interface WriteOnnxOptions {
  /** Weights in `NAME.data` beside the model. By default only when the model would pass `singleFileBytes`. */
  externalData?: boolean;
  /** Largest file that holds its own weights; protobuf's limit. */
  singleFileBytes?: number;
  /** Values of `metadata_props` that are ready only later, such as a hash of the source: read when all weights are written. */
  deferred?: ReadonlyMap<string, WeightSource>;
  /**
   * Which initializers are read first: those of the lowest number; those without one come last. By default they are read as they
   * stand in the file. For weights that are quicker to read in another order: the file is the same.
   */
  order?: (initializer: string) => number | undefined;
  /** Called with the bytes of the whole, before anything is written. */
  onSize?: (bytes: number) => Promise<void>;
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
  await options.onSize?.(whole.byteLength);
  if (!externalData && whole.byteLength <= singleFileBytes) {
    const progress = new Progress(options, whole.byteLength);
    return { model: await writePieces(output, output.name, whole, progress, ranksOf(model, options)), data: undefined };
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
  const data =
    ranges.size > 0 ? await writeData(output, dataName, ranges, progress, ranksOf(model, options)) : undefined;
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

/** The order in which pieces are read; null for that of the file. */
type Ranks = ReadonlyMap<Piece, number> | null;

function ranksOf(model: OnnxModel, { order }: WriteOnnxOptions): Ranks {
  if (order === undefined) return null;
  const ranks = new Map<Piece, number>();
  for (const tensor of model.graph.initializer) {
    const rank = order(tensor.name ?? '');
    if (rank !== undefined) ranks.set(rawBytesOf(tensor), rank);
  }
  return ranks;
}

async function writeData(
  output: ModelOutput,
  name: string,
  ranges: ReadonlyMap<TensorProto, ExternalRange>,
  progress: Progress,
  ranks: Ranks,
): Promise<WrittenFile> {
  const sink = await output.create(name, endOf(ranges));
  if (ranks !== null) return writePlaced(sink, [...ranges.values()], progress, ranks);
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
  { pieces, byteLength }: EncodedModel,
  progress: Progress,
  ranks: Ranks = null,
): Promise<WrittenFile> {
  const sink = await output.create(name, byteLength);
  if (ranks !== null) {
    let end = 0;
    const ranges = pieces.map((bytes) => {
      const offset = end;
      end += bytes.byteLength;
      return { offset, bytes };
    });
    return writePlaced(sink, ranges, progress, ranks);
  }
  for (const piece of pieces) await writePiece(sink, piece, progress);
  return sink.finish();
}

/** Each range at its place, in the order of their ranks; those without one last, as they stand. */
async function writePlaced(
  sink: FileSink,
  ranges: readonly ExternalRange[],
  progress: Progress,
  ranks: ReadonlyMap<Piece, number>,
): Promise<WrittenFile> {
  const rankOf = ({ bytes }: ExternalRange): number => ranks.get(bytes) ?? Number.MAX_SAFE_INTEGER;
  for (const { offset, bytes } of ranges.toSorted((a, b) => rankOf(a) - rankOf(b))) {
    let at = offset;
    for await (const chunk of chunksOf(bytes)) {
      await sink.writeAt(at, chunk);
      at += chunk.byteLength;
      progress.advance(chunk.byteLength);
    }
    if (at - offset !== bytes.byteLength)
      throw new RangeError(`a weight of ${bytes.byteLength} bytes gave ${at - offset}`);
  }
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
