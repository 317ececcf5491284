import { type AsyncBuffer, type FileMetaData, parquetMetadata, parquetRead, parquetSchema } from 'hyparquet';
import { getMaxDefinitionLevel, getMaxRepetitionLevel } from 'hyparquet/src/schema.js';
import { ByteWriter, ParquetWriter, schemaFromColumnData } from 'hyparquet-writer';
import type { ByteSink } from '../bytes/sink.js';
import type { ByteSource } from '../bytes/source.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { FlatColumns, NOT_UTF8, type TableCell } from './flat.js';
import type { DataInput } from './input.js';
import { badRow } from './jsonl.js';
import { type ColumnLevels, checkColumnChunk, DECOMPRESSORS, ParquetError } from './parquet-check.js';
import type { RowFields } from './row-json.js';
import type { RowResult } from './rows.js';

const MAGIC = 'PAR1';
/** Footer length (u32, little-endian) and magic at the end of the file. */
const TRAILER_BYTES = 8;
/** Rows decoded at a time: a small group of runs may stand for millions. Of them, rows that are handed on at a time. */
const SLICE_ROWS = 131_072;
const BATCH_ROWS = 8192;
/** Rows of a row group that we write. */
const GROUP_ROWS = 50_000;

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Fields of the rows of a Parquet file. Lines are row numbers from 1.
 *
 * @param needs - columns without which no row can be read; any one of several sets will do
 * @throws HpsError USAGE without random access; DATA_INVALID when the file does not hold together, or lacks a column
 */
export async function* readParquetFields(
  input: DataInput,
  needs: readonly (readonly string[])[],
): AsyncGenerator<RowResult<RowFields>[]> {
  const source = input.source;
  if (!source) {
    throw new HpsError('USAGE', `${input.name}: Parquet cannot be read from a stream, or while it is unpacked`, {
      hint: 'Give the path of a file that is not compressed as a whole.',
    });
  }
  const metadata = refusing(source, () => readFooter(source));
  const schema = refusing(source, () => readSchema(metadata));
  const columns = new FlatColumns(schema.names, source.name, needs);
  let line = 1;
  for await (const rows of readSlices(source, metadata, schema, { columns: columns.names, most: SLICE_ROWS })) {
    for (let i = 0; i < rows.length; i += BATCH_ROWS) {
      const first = line + i;
      yield rows.slice(i, i + BATCH_ROWS).map((cells, k) => toFields(cells, columns, first + k));
    }
    line += rows.length;
  }
}

/** Rows of one read of embeddings: a row has hundreds of numbers. */
const EMBEDDING_ROWS = 1024;

/**
 * Values of the columns `id` and `embedding` (a list of numbers), row by row; an id that is missing is null.
 * @throws HpsError DATA_INVALID when the file does not hold together, or lacks the column of embeddings
 */
export async function* readParquetEmbeddings(source: ByteSource): AsyncGenerator<{ id: unknown; embedding: unknown }> {
  const metadata = refusing(source, () => readFooter(source));
  const schema = refusing(source, () => readSchema(metadata));
  if (!schema.names.includes('embedding')) throw invalidFile(source, new ParquetError('it has no column embedding'));
  const columns = schema.names.filter((name) => name === 'id' || name === 'embedding'); // in the order of the file, as cells are
  for await (const rows of readSlices(source, metadata, schema, { columns, most: EMBEDDING_ROWS })) {
    for (const cells of rows)
      yield { id: cells[columns.indexOf('id')] ?? null, embedding: cells[columns.indexOf('embedding')] };
  }
}

/** The cells of all rows in the columns named, at most so many rows at a time; each group is checked before it is decoded. */
async function* readSlices(
  source: ByteSource,
  metadata: FileMetaData,
  { levels }: Schema,
  { columns, most }: { readonly columns: readonly string[]; readonly most: number },
): AsyncGenerator<readonly unknown[][]> {
  for (const group of metadata.row_groups) {
    const count = refusing(source, () => checkRowGroup(source, group, levels));
    const alone = { ...metadata, row_groups: [group] }; // hyparquet looks at every group it is told of
    for (let rowStart = 0; rowStart < count; rowStart += most) {
      const rowEnd = Math.min(rowStart + most, count);
      yield await readSlice(source, alone, { columns: [...columns], rowStart, rowEnd });
    }
  }
}

/** Names of the columns of a Parquet file, nested ones by their first name. @throws HpsError DATA_INVALID */
export const parquetColumns = (source: ByteSource): readonly string[] =>
  refusing(source, () => readSchema(readFooter(source)).names);

function toFields(cells: readonly unknown[], columns: FlatColumns, line: number): RowResult<RowFields> {
  try {
    return { line, row: columns.toFields(cells) };
  } catch (error) {
    return badRow(error, line);
  }
}

function readFooter(source: ByteSource): FileMetaData {
  const end = source.byteLength;
  if (end < MAGIC.length + TRAILER_BYTES) throw new ParquetError(`${end} bytes are too few for a Parquet file`);
  const isMagic = (offset: number): boolean => Buffer.from(source.readSync(offset, 4)).toString('latin1') === MAGIC;
  if (!isMagic(0) || !isMagic(end - 4)) throw new ParquetError(`it does not begin and end with ${MAGIC}`);
  const length = Buffer.from(source.readSync(end - TRAILER_BYTES, 4)).readUInt32LE();
  const most = Math.min(LIMITS.parquetFooterBytes, end - MAGIC.length - TRAILER_BYTES);
  if (length > most) throw new ParquetError(`the footer's length ${length} is over ${most}`);
  return parquetMetadata(source.readSync(end - TRAILER_BYTES - length, length + TRAILER_BYTES), { geoparquet: false });
}

/** Names of the columns, and how deep each of them is nested, by its path. */
interface Schema {
  readonly names: readonly string[];
  readonly levels: ReadonlyMap<string, ColumnLevels>;
}

function readSchema(metadata: FileMetaData): Schema {
  const elements = metadata.schema.length;
  if (elements > LIMITS.columns)
    throw new ParquetError(`a schema of ${elements} columns is over the limit of ${LIMITS.columns}`);
  if (metadata.schema.some(({ name }) => typeof name !== 'string')) throw new ParquetError('a column has no name');
  const root = parquetSchema(metadata);
  const levels = new Map<string, ColumnLevels>();
  const pending = root.children.map((node) => ({ node, above: [root] }));
  for (const { node, above } of pending) {
    const path = [...above, node];
    if (node.children.length === 0)
      levels.set(node.path.join('.'), {
        repetition: getMaxRepetitionLevel(path),
        definition: getMaxDefinitionLevel(path),
      });
    for (const child of node.children) pending.push({ node: child, above: path });
  }
  return { names: root.children.map(({ element }) => element.name), levels };
}

type RowGroup = FileMetaData['row_groups'][number];

/** Checks all of a row group's pages before hyparquet decodes them; returns its number of rows. */
function checkRowGroup(source: ByteSource, group: RowGroup, levels: Schema['levels']): number {
  const columns = group.columns.length;
  const rows = Number(group.num_rows);
  if (!Number.isSafeInteger(rows) || rows < 0 || rows * Math.max(columns, 1) > LIMITS.parquetGroupCells) {
    throw new ParquetError(
      `a row group of ${group.num_rows} rows is over the limit of ${LIMITS.parquetGroupCells} cells`,
    );
  }
  const bytes = group.columns.reduce((sum, { meta_data }) => sum + Number(meta_data?.total_uncompressed_size ?? 0), 0);
  if (bytes > LIMITS.parquetGroupBytes) {
    throw new ParquetError(
      `a row group of ${bytes} bytes is over the limit of ${LIMITS.parquetGroupBytes}; write the file with smaller ones`,
    );
  }
  for (const { meta_data: column } of group.columns) {
    if (!column) throw new ParquetError('a column has no metadata');
    const path = column.path_in_schema.join('.');
    const level = levels.get(path);
    if (!level) throw new ParquetError(`column ${path} is not in the schema`);
    const start = Number(column.dictionary_page_offset || column.data_page_offset);
    const length = Number(column.total_compressed_size);
    if (!(start >= MAGIC.length && length >= 0 && start + length <= source.byteLength)) {
      throw new ParquetError(`column ${path} lies outside the file`);
    }
    checkColumnChunk(source.readSync(start, length), column, level, rows);
  }
  return rows;
}

async function readSlice(
  source: ByteSource,
  metadata: FileMetaData,
  range: { readonly columns: string[]; readonly rowStart: number; readonly rowEnd: number },
): Promise<readonly unknown[][]> {
  let rows: unknown[][] = [];
  try {
    await parquetRead({
      file: asyncBuffer(source),
      metadata,
      compressors: DECOMPRESSORS,
      ...range,
      utf8: false, // columns without a type may be pictures: see `toRowValue`
      parsers: { stringFromBytes: decodeText as (bytes: Uint8Array | undefined) => string | undefined },
      onComplete: (read) => {
        rows = read;
      },
    });
  } catch (cause) {
    throw invalidFile(source, cause);
  }
  return rows;
}

/** Bad text spoils its own row, not the file. */
function decodeText(bytes: Uint8Array | undefined): string | typeof NOT_UTF8 | undefined {
  try {
    return bytes && UTF8.decode(bytes);
  } catch {
    return NOT_UTF8;
  }
}

function asyncBuffer(source: ByteSource): AsyncBuffer {
  return {
    byteLength: source.byteLength,
    // A copy of its own: a view into a larger buffer would hand over that whole buffer.
    slice: (start, end = source.byteLength) => new Uint8Array(source.readSync(start, end - start)).buffer,
  };
}

/** hyparquet throws plain errors of many kinds on damaged bytes; all of them mean the same here. */
function refusing<T>(source: ByteSource, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw cause instanceof HpsError ? cause : invalidFile(source, cause);
  }
}

function invalidFile(source: ByteSource, cause: unknown): HpsError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new HpsError('DATA_INVALID', `${source.name}: not a readable Parquet file: ${reason}`, {
    hint: 'Write the file anew; it may be damaged or cut short.',
    details: { file: source.name },
    cause,
  });
}

/** A column to be written, and how its values are kept. */
export interface ParquetColumn {
  readonly name: string;
  readonly type: 'STRING' | 'DOUBLE' | 'BOOLEAN' | 'INT32';
}

/** Writes rows as Parquet (snappy), a row group at a time. Call `finish` for the footer. */
export class ParquetRowWriter<T> {
  private readonly buffer = new ByteWriter();
  private readonly writer: ParquetWriter;
  private readonly cells: TableCell[][];
  private pending = 0;

  /** @param cellsOf - what a row has in each of the columns */
  constructor(
    private readonly sink: Pick<ByteSink, 'write'>,
    private readonly columns: readonly ParquetColumn[],
    private readonly cellsOf: (row: T) => readonly TableCell[],
  ) {
    this.cells = columns.map(() => []);
    const schema = schemaFromColumnData({
      columnData: columns.map((column) => ({ ...column, data: [], nullable: true })),
    });
    this.writer = new ParquetWriter({ writer: this.buffer, schema, createdBy: 'hpsv3' });
  }

  async write(row: T): Promise<void> {
    const cells = this.cellsOf(row);
    this.cells.forEach((column, i) => void column.push(cells[i]));
    if (++this.pending === GROUP_ROWS) await this.flushGroup();
  }

  async finish(): Promise<void> {
    if (this.pending > 0) await this.flushGroup();
    this.writer.finish();
    await this.drain();
  }

  private async flushGroup(): Promise<void> {
    const columnData = this.columns.map(({ name }, i) => ({ name, data: this.cells[i] }));
    this.writer.write({ columnData, rowGroupSize: this.pending });
    for (const column of this.cells) column.length = 0;
    this.pending = 0;
    await this.drain();
  }

  private async drain(): Promise<void> {
    await this.sink.write(this.buffer.getBytes());
    this.buffer.index = 0;
  }
}
