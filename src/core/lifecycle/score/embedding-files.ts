import { type FileHandle, open } from 'node:fs/promises';
import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import { npyHeader } from '../../bytes/npy-header.js';
import type { StagedOutput } from '../../bytes/output.js';
import type { FileSink } from '../../bytes/sink.js';
import { FileSource, readChunks } from '../../bytes/source.js';
import { writeSafetensors } from '../../checkpoint/write-safetensors.js';
import { HpsError } from '../../errors.js';
import { LIMITS } from '../../limits.js';
import { bytesOf } from '../../tensor/values.js';

export const EMBEDDING_FORMATS = ['npy', 'parquet', 'safetensors'] as const;
export type EmbeddingFormat = (typeof EMBEDDING_FORMATS)[number];

/** @throws HpsError USAGE for a name that ends in none of them */
export function embeddingFormatOf(name: string): EmbeddingFormat {
  const found = EMBEDDING_FORMATS.find((format) => name.toLowerCase().endsWith(`.${format}`));
  if (found) return found;
  throw new HpsError('USAGE', `${name}: no format of embeddings has that ending`, {
    hint: 'Name it F.npy, F.parquet or F.safetensors.',
  });
}

/** Writes embeddings with their ids as a staged output, in bounded memory. */
export interface EmbeddingWriter {
  write(id: string, embedding: Float32Array): Promise<void>;
  /** Finishes the output's files; it is not committed yet. */
  finish(): Promise<{ readonly name: string; readonly sha256: string }>;
}

/** @param metadata - what a safetensors file says of itself beside the ids */
export function createEmbeddingWriter(
  output: StagedOutput,
  format: EmbeddingFormat,
  metadata: ReadonlyMap<string, string>,
): Promise<EmbeddingWriter> {
  if (format === 'parquet') return ParquetEmbeddingWriter.open(output);
  return format === 'npy' ? NpyWriter.open(output) : SafetensorsWriter.open(output, metadata);
}

/** Numbers that wait for the header before them, which has to say how many there are: in the staging folder. */
class Spool {
  private rows = 0;
  private columns = 0;

  private constructor(
    private readonly path: string,
    private readonly file: FileHandle,
  ) {}

  static async open(output: StagedOutput): Promise<Spool> {
    const path = output.path('.spool');
    return new Spool(path, await open(path, 'wx'));
  }

  /** [rows, columns] */
  get shape(): readonly [number, number] {
    return [this.rows, this.columns];
  }

  async write(embedding: Float32Array): Promise<void> {
    this.rows++;
    this.columns = embedding.length;
    await this.file.appendFile(bytesOf(embedding));
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    await this.file.close();
    const source = FileSource.open(this.path);
    try {
      yield* readChunks(source, LIMITS.chunkBytes);
    } finally {
      source.close();
    }
  }
}

/** F.npy, float32 [rows, columns], and F.npy.ids.jsonl with the id of each row as a JSON string. */
class NpyWriter implements EmbeddingWriter {
  private constructor(
    private readonly output: StagedOutput,
    private readonly spool: Spool,
    private readonly ids: FileSink,
  ) {}

  static async open(output: StagedOutput): Promise<NpyWriter> {
    return new NpyWriter(output, await Spool.open(output), await output.create(`${output.name}.ids.jsonl`));
  }

  async write(id: string, embedding: Float32Array): Promise<void> {
    await this.ids.write(Buffer.from(`${JSON.stringify(id)}\n`));
    await this.spool.write(embedding);
  }

  async finish() {
    await this.ids.finish();
    const sink = await this.output.create();
    await sink.write(npyHeader(this.spool.shape));
    for await (const chunk of this.spool.chunks()) await sink.write(chunk);
    return sink.finish();
  }
}

/** Tensor `embeddings`, float32 [rows, columns]; the ids stand in the metadata as a JSON list. */
class SafetensorsWriter implements EmbeddingWriter {
  private readonly ids: string[] = [];

  private constructor(
    private readonly output: StagedOutput,
    private readonly spool: Spool,
    private readonly metadata: ReadonlyMap<string, string>,
  ) {}

  static async open(output: StagedOutput, metadata: ReadonlyMap<string, string>): Promise<SafetensorsWriter> {
    return new SafetensorsWriter(output, await Spool.open(output), metadata);
  }

  async write(id: string, embedding: Float32Array): Promise<void> {
    this.ids.push(id);
    await this.spool.write(embedding);
  }

  async finish() {
    const sink = await this.output.create();
    const { spool, ids, metadata } = this;
    const tensor = { name: 'embeddings', dtype: 'F32' as const, shape: spool.shape, chunks: () => spool.chunks() };
    await writeSafetensors(sink, [tensor], new Map([...metadata, ['ids', JSON.stringify(ids)]]));
    return sink.finish();
  }
}

/** Rows of a row group. */
const GROUP_ROWS = 4096;

/** Columns `id` (string) and `embedding` (list of float), a row group at a time. */
class ParquetEmbeddingWriter implements EmbeddingWriter {
  private readonly buffer = new ByteWriter();
  private readonly writer = new ParquetWriter({
    writer: this.buffer,
    schema: [
      { name: 'root', num_children: 2 },
      { name: 'id', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'REQUIRED' },
      { name: 'embedding', repetition_type: 'REQUIRED', converted_type: 'LIST', num_children: 1 },
      { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
      { name: 'element', type: 'FLOAT', repetition_type: 'REQUIRED' },
    ],
    createdBy: 'hpsv3',
  });
  private ids: string[] = [];
  private rows: number[][] = [];

  private constructor(private readonly sink: FileSink) {}

  static async open(output: StagedOutput): Promise<ParquetEmbeddingWriter> {
    return new ParquetEmbeddingWriter(await output.create());
  }

  async write(id: string, embedding: Float32Array): Promise<void> {
    this.ids.push(id);
    this.rows.push(Array.from(embedding));
    if (this.ids.length === GROUP_ROWS) await this.flushGroup();
  }

  async finish() {
    if (this.ids.length > 0) await this.flushGroup();
    this.writer.finish();
    await this.drain();
    return this.sink.finish();
  }

  private async flushGroup(): Promise<void> {
    const columnData = [
      { name: 'id', data: this.ids },
      { name: 'embedding', data: this.rows },
    ];
    this.writer.write({ columnData, rowGroupSize: this.ids.length });
    this.ids = [];
    this.rows = [];
    await this.drain();
  }

  private async drain(): Promise<void> {
    await this.sink.write(this.buffer.getBytes());
    this.buffer.index = 0;
  }
}
