import { realpathSync, type Stats, statSync } from 'node:fs';
import { basename, dirname, join, sep } from 'node:path';
import { fileKind } from '../bytes/file-kind.js';
import { FileSource } from '../bytes/source.js';
import { HpsError, systemErrorCode } from '../errors.js';
import { numel } from '../tensor/shape.js';
import type { TensorProto } from './model.js';
import { corruptOnnx, unsafeOnnx } from './refusal.js';
import { checkTensor, rawByteLength } from './tensor-data.js';
import { weightOf } from './weight.js';

const KNOWN_KEYS: ReadonlySet<string> = new Set(['location', 'offset', 'length', 'checksum']);

export interface ExternalDataOptions {
  /** Refuse a data file that has other names too: whoever holds one of them can change the weights. Else it is a warning. */
  strict?: boolean;
}

/** Gives tensors whose bytes lie in other files of the model's folder those bytes, as ranges; opens each file once. */
export class ExternalDataResolver {
  readonly warnings: string[] = [];
  private readonly files = new Map<string, FileSource>();
  private readonly model: string;
  /** Where data may lie: beside the model, or beside what the model's name links to (Hugging Face's cache is made of links). */
  private readonly roots: readonly string[];

  constructor(
    private readonly modelPath: string,
    private readonly options: ExternalDataOptions = {},
  ) {
    this.model = basename(modelPath);
    this.roots = [realpathSync(dirname(modelPath)), dirname(realpathSync(modelPath))];
  }

  /** The data files, in the order in which the model names them. */
  get sources(): readonly FileSource[] {
    return [...this.files.values()];
  }

  /**
   * Replaces `externalData` by `rawData`.
   * @throws HpsError ONNX_UNSAFE for a place outside the folder, ONNX_CORRUPT for a range outside the file, FILE_NOT_FOUND
   */
  resolve(tensor: TensorProto): void {
    const entry = parseExternalData(tensor, this.model);
    const source = this.open(entry.location);
    const due = rawByteLength(tensor.dataType, numel(tensor.dims));
    const length = entry.length ?? due ?? source.byteLength - entry.offset;
    if (entry.offset + length > source.byteLength) {
      const pointer = fileKind(source);
      if (pointer?.is === 'pointer')
        throw new HpsError('FILE_UNREADABLE', `${source.name}: ${pointer.what}`, {
          hint: pointer.hint,
          details: { file: source.name },
        });
      const rule = `tensor ${tensor.name}: bytes ${entry.offset}+${length} are outside the ${source.byteLength} of ${source.name}`;
      throw corruptOnnx(this.model, rule);
    }
    tensor.rawData = weightOf(source.slice(entry.offset, length));
    delete tensor.externalData;
    delete tensor.dataLocation;
    checkTensor(tensor, this.model);
  }

  close(): void {
    for (const source of this.files.values()) source.close();
    this.files.clear();
  }

  private open(location: string): FileSource {
    const path = this.locate(location);
    const open = this.files.get(path);
    if (open) return open;
    this.checkFile(statSync(path), location);
    const source = FileSource.open(path);
    this.files.set(path, source);
    return source;
  }

  /** The real path of a data file, known to be in one of the roots. */
  private locate(location: string): string {
    let path: string;
    try {
      path = realpathSync(join(dirname(this.modelPath), location));
    } catch (cause) {
      if (systemErrorCode(cause) === 'ELOOP') throw unsafeOnnx(this.model, 'external data is a circle of links');
      throw new HpsError('FILE_NOT_FOUND', `${this.model}: its data file ${basename(location)} is not there`, {
        hint: 'Put the data file beside the model: both belong together.',
        details: { file: this.model, location: basename(location) },
        cause,
      });
    }
    if (!this.roots.some((root) => path.startsWith(root.endsWith(sep) ? root : root + sep))) {
      throw unsafeOnnx(
        this.model,
        `external data ${JSON.stringify(location)} links to a place outside the model's folder`,
      );
    }
    return path;
  }

  private checkFile(stat: Stats, location: string): void {
    const name = basename(location);
    if (!stat.isFile()) throw unsafeOnnx(this.model, `external data ${name} is not a regular file`);
    if (stat.nlink <= 1) return;
    const rule = `external data ${name} is a hard link: it has ${stat.nlink} names`;
    if (this.options.strict) throw unsafeOnnx(this.model, rule);
    this.warnings.push(rule);
  }
}

interface ExternalDataEntry {
  readonly location: string;
  readonly offset: number;
  readonly length: number | undefined;
}

/** The checked entries of a tensor; nothing is looked up in the file system. */
export function parseExternalData(tensor: TensorProto, model: string): ExternalDataEntry {
  const values = new Map<string, string>();
  for (const { key, value = '' } of tensor.externalData ?? []) {
    if (!KNOWN_KEYS.has(key)) throw unsafeOnnx(model, `external data has the unknown key ${JSON.stringify(key)}`);
    if (values.has(key)) throw corruptOnnx(model, `external data has ${key} twice`);
    values.set(key, value);
  }
  const location = values.get('location') ?? '';
  const fault = locationFault(location);
  if (fault) throw unsafeOnnx(model, `external data ${JSON.stringify(location)} ${fault}`);
  return {
    location,
    offset: byteCount(values.get('offset') ?? '0', 'offset', model),
    length: values.has('length') ? byteCount(values.get('length') as string, 'length', model) : undefined,
  };
}

/** What is wrong with a location by its letters alone, on any system: what is harmless here may not be where the file goes next. */
function locationFault(location: string): string | undefined {
  if (location === '') return 'names no file';
  if (location.includes('\0')) return 'holds a NUL';
  if (/^[/\\]/.test(location) || /^[A-Za-z]:/.test(location)) return 'is an absolute path';
  const parts = location.split(/[/\\]/);
  if (parts.includes('..')) return 'leaves the folder of the model';
  if (parts.every((part) => part === '' || part === '.')) return 'is a folder';
  return undefined;
}

function byteCount(text: string, key: string, model: string): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw corruptOnnx(model, `external data has ${key} ${JSON.stringify(text)}`);
  return value;
}
