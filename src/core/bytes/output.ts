import { lstatSync, realpathSync, rmSync, type Stats, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { HpsError, systemErrorCode } from '../errors.js';
import { FILE_SYSTEM, type OutputFileSystem } from './file-system.js';
import { invalidOutput, outputError, printable } from './output-error.js';
import { FileSink, type WrittenFile } from './sink.js';
import { abandonStaging, makeReplaced, REPLACED, registerStaging, stagingName, sweepStaging } from './staging.js';

const MAX_NAME_BYTES = 255; // NAME_MAX of the usual file systems

export interface OutputOptions {
  /** Replace what is there. */
  force?: boolean;
  /** Files the output is made from: none may be the output itself. */
  inputs?: readonly string[];
  fileSystem?: OutputFileSystem;
}

/**
 * Files that are written whole or not at all. They are made under their final names in a staging folder beside the target,
 * where a check can load them as they will be; `commit` then moves them into place, the main file last.
 */
export class StagedOutput {
  private readonly sinks = new Map<string, FileSink>();

  private constructor(
    /** Name of the main file. */
    readonly name: string,
    private readonly parent: string,
    private readonly folder: string,
    private readonly options: OutputOptions,
    private readonly fileSystem: OutputFileSystem,
  ) {}

  /**
   * @throws HpsError OUTPUT_EXISTS without `force`; OUTPUT_INVALID for a path that is a folder, a link, an input, or cannot be
   *   written; OUTPUT_BUSY where another process is writing the same file
   */
  static async open(path: string, options: OutputOptions = {}): Promise<StagedOutput> {
    const name = basename(path);
    const fileSystem = options.fileSystem ?? FILE_SYSTEM;
    try {
      const parent = folderOf(path);
      const staging = stagingName(name);
      const folder = join(parent, staging);
      registerStaging(folder); // before it is there: another output of this process may sweep the parent at any moment
      try {
        await fileSystem.mkdir(folder);
        refuseSecondWriter(name, sweepStaging(parent, name, staging));
        checkTarget(join(parent, name), options); // after the sweep, which may put a file back
      } catch (error) {
        abandonStaging(folder);
        throw error;
      }
      return new StagedOutput(name, parent, folder, options, fileSystem);
    } catch (error) {
      throw outputError(name, error);
    }
  }

  /** Where a staged file lies until the commit. */
  path(name = this.name): string {
    return join(this.folder, name);
  }

  /**
   * A new file of the output, in the folder of the main one. Finish it before the commit.
   * @param expectedBytes - how long it becomes, as far as it is known
   * @throws HpsError OUTPUT_EXISTS, OUTPUT_INVALID as for the main file
   */
  async create(name = this.name, expectedBytes?: number): Promise<FileSink> {
    try {
      if (name !== this.name) this.check(name);
      const sink = new FileSink(await this.fileSystem.open(this.path(name), 'wx+'), name, expectedBytes);
      this.sinks.set(name, sink);
      return sink;
    } catch (error) {
      throw outputError(name, error);
    }
  }

  /** Refuses a file of the output that could not be written: as `create`, before there is anything to write. */
  check(name: string): void {
    try {
      checkTarget(join(this.parent, name), this.options);
    } catch (error) {
      throw outputError(name, error);
    }
  }

  /** Removes a staged file, so that it can be created again; does nothing where there is none. */
  async drop(name: string): Promise<void> {
    await this.sinks.get(name)?.abandon();
    this.sinks.delete(name);
    rmSync(this.path(name), { force: true });
  }

  /** A small file in one go. */
  async writeFile(name: string, content: string | Uint8Array): Promise<WrittenFile> {
    const sink = await this.create(name);
    await sink.write(typeof content === 'string' ? Buffer.from(content) : content);
    return sink.finish();
  }

  /**
   * Moves the files into place. When this fails, or the process dies before the main file is moved, the targets are as they were:
   * at once, or for a process that was killed, once the next output is written to the folder.
   */
  async commit(): Promise<void> {
    const { fileSystem, folder, parent } = this;
    const names = [...this.sinks.keys()].filter((name) => name !== this.name).concat(this.name);
    const unfinished = names.find((name) => !this.sinks.get(name)?.finished);
    if (unfinished !== undefined) throw new RangeError(`${unfinished} is committed before it is finished`);
    const moved: string[] = [];
    try {
      if (names.length > 1) await this.setAside(names.toReversed());
      for (const name of names) {
        await fileSystem.rename(join(folder, name), join(parent, name));
        moved.push(name);
      }
      await syncFolder(fileSystem, parent);
    } catch (error) {
      await this.undo(names, moved);
      throw outputError(this.name, error);
    }
    abandonStaging(folder);
  }

  /** Removes everything staged; the targets are untouched. */
  async discard(): Promise<void> {
    for (const sink of this.sinks.values()) await sink.abandon();
    abandonStaging(this.folder);
  }

  /** The main file first: without it nobody takes the others for a whole. */
  private async setAside(names: readonly string[]): Promise<void> {
    makeReplaced(this.folder);
    for (const name of names) {
      const target = join(this.parent, name);
      if (lstatSync(target, { throwIfNoEntry: false })) {
        await this.fileSystem.rename(target, join(this.folder, REPLACED, name));
      }
    }
  }

  /** Takes moved files back before the old ones return; a commit whose last move succeeded stands. */
  private async undo(names: readonly string[], moved: readonly string[]): Promise<void> {
    if (moved.length < names.length) {
      for (const name of moved) await FILE_SYSTEM.rename(join(this.parent, name), join(this.folder, name));
    }
    await this.discard();
  }
}

/**
 * Runs `write` over a staged output and commits it, or discards it when `write` throws.
 * @throws HpsError as StagedOutput.open, and OUTPUT_WRITE_FAILED (exit 74) where the disk is full or fails
 */
export async function withAtomicOutput<T>(
  path: string,
  options: OutputOptions,
  write: (output: StagedOutput) => Promise<T>,
): Promise<T> {
  const output = await StagedOutput.open(path, options);
  try {
    const result = await write(output);
    await output.commit();
    return result;
  } catch (error) {
    await output.discard();
    throw outputError(output.name, error);
  }
}

/** As `withAtomicOutput`; `write` gets null where there is no path. */
export function withOptionalOutput<T>(
  path: string | undefined,
  options: OutputOptions,
  write: (output: StagedOutput | null) => Promise<T>,
): Promise<T> {
  return path === undefined ? write(null) : withAtomicOutput(path, options, write);
}

/**
 * Finds before the work what would refuse its output after it: a file that is there, a folder that is not.
 * @param suffixes - of files that will be written beside the main one: its name and this
 * @throws HpsError OUTPUT_EXISTS, OUTPUT_INVALID as StagedOutput.open and create
 */
export function checkOutput(path: string, options: OutputOptions, suffixes: readonly string[] = []): void {
  try {
    const target = join(folderOf(path), basename(path));
    for (const suffix of ['', ...suffixes]) checkTarget(`${target}${suffix}`, options);
  } catch (error) {
    throw outputError(basename(path), error);
  }
}

function folderOf(path: string): string {
  const parent = dirname(resolve(path));
  refuseForeignBytes(basename(path));
  if (path === '' || path.includes('\0') || /[/\\]$/.test(path) || ['.', '..'].includes(basename(path))) {
    throw invalidOutput(basename(path), 'not the path of a file', 'Give the path of the file to write.');
  }
  statSync(join(parent, '.')); // ENOENT or ENOTDIR
  return parent;
}

/** Node puts U+FFFD for each byte of an argument that is not UTF-8: the file would get another name than was asked for. */
function refuseForeignBytes(name: string): void {
  if (name.includes('\ufffd')) throw invalidOutput(name, 'the name is not UTF-8', 'Give a name in UTF-8.');
}

function checkTarget(target: string, { force, inputs = [] }: OutputOptions): void {
  const name = basename(target);
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) {
    throw invalidOutput(name, `the name is longer than ${MAX_NAME_BYTES} bytes`, 'Give a shorter name.');
  }
  const stat = lstatSync(target, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (stat.isDirectory()) throw invalidOutput(name, 'is a folder', 'Give the path of the file to write.');
  if (stat.isSymbolicLink()) {
    throw invalidOutput(name, 'is a symbolic link', 'Give the path of the file itself, or remove the link.');
  }
  if (!stat.isFile()) throw invalidOutput(name, 'is not a regular file', 'Give the path of a file.');
  if (inputs.some((input) => isSameFile(input, target, stat))) {
    throw invalidOutput(name, 'is also an input', 'Write to another path, then replace the input yourself.');
  }
  if (!force) {
    throw new HpsError('OUTPUT_EXISTS', `${printable(name)}: exists already`, {
      hint: 'Set `force` to replace it, or another path.',
      details: { file: name },
    });
  }
}

function isSameFile(input: string, target: string, stat: Stats): boolean {
  const other = statSync(input, { throwIfNoEntry: false });
  if (other === undefined) return false;
  return (other.ino === stat.ino && other.dev === stat.dev) || realpathSync(input) === realpathSync(target);
}

function refuseSecondWriter(name: string, pid: number | undefined): void {
  if (pid === undefined) return;
  throw new HpsError('OUTPUT_BUSY', `${printable(name)}: is being written by process ${pid}`, {
    hint: 'Wait until it is done, or give another path.',
    details: { file: name, pid },
  });
}

/** Makes the renames last. Some file systems cannot sync a folder, and then need not. */
async function syncFolder(fileSystem: OutputFileSystem, folder: string): Promise<void> {
  const handle = await fileSystem.open(folder, 'r').catch((error: unknown) => {
    if (['EISDIR', 'EPERM', 'EACCES'].includes(systemErrorCode(error) ?? '')) return undefined; // Windows
    throw error;
  });
  if (handle === undefined) return;
  try {
    await handle.sync();
  } catch (error) {
    if (!['EINVAL', 'EPERM', 'ENOTSUP'].includes(systemErrorCode(error) ?? '')) throw error;
  } finally {
    await handle.close();
  }
}
