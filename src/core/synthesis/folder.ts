import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FILE_SYSTEM } from '../bytes/file-system.js';
import { sha256Hex } from '../bytes/hash.js';
import { outputError } from '../bytes/output-error.js';
import { FileSink, type WrittenFile } from '../bytes/sink.js';
import { formatJsonlRow } from '../data/jsonl.js';
import type { DataRow, ScoreRow } from '../data/rows.js';
import { formatScore } from '../data/write-scores.js';

/** A row file as the manifest names it. */
export interface RowFile extends WrittenFile {
  readonly rows: number;
}

/** A JSONL file being written. */
export class RowFileWriter {
  private rows = 0;

  private constructor(private readonly sink: FileSink) {}

  static async open(folder: string, name: string): Promise<RowFileWriter> {
    return new RowFileWriter(new FileSink(await FILE_SYSTEM.open(join(folder, name), 'wx+'), name));
  }

  writeRow = (row: DataRow): Promise<void> => this.writeLine(formatJsonlRow(row));
  writeScore = (row: ScoreRow): Promise<void> => this.writeLine(formatScore(row));

  async finish(): Promise<RowFile> {
    return { ...(await this.sink.finish()), rows: this.rows };
  }

  abandon(): Promise<void> {
    return this.sink.abandon();
  }

  private async writeLine(line: string): Promise<void> {
    this.rows++;
    await this.sink.write(Buffer.from(line, 'utf8'));
  }
}

/** The media files of a folder, counted and hashed. */
export class MediaFolder {
  private readonly listing = createHash('sha256');
  private readonly subfolders = new Set<string>();
  private pending: { readonly path: string; readonly sha256: string }[] = [];
  private files = 0;
  private bytes = 0;

  constructor(private readonly folder: string) {}

  /** @returns its path from the folder, with slashes on every system */
  async keep(modality: string, name: string, bytes: Uint8Array): Promise<string> {
    const subfolder = `media/${modality}`;
    const path = `${subfolder}/${name}`;
    if (!this.subfolders.has(subfolder)) {
      mkdirSync(join(this.folder, subfolder), { recursive: true });
      this.subfolders.add(subfolder);
    }
    try {
      await writeFile(join(this.folder, path), bytes, { flag: 'wx' });
    } catch (error) {
      throw outputError(name, error);
    }
    this.files++;
    this.bytes += bytes.byteLength;
    this.pending.push({ path, sha256: sha256Hex(bytes) });
    return path;
  }

  /** Takes the files since the last call into the hash, by name: they may have been written in any order. */
  settle(): void {
    this.pending.sort((a, b) => (a.path < b.path ? -1 : 1));
    for (const { path, sha256 } of this.pending) this.listing.update(`${sha256}  ${path}\n`);
    this.pending = [];
  }

  /** @returns with the SHA-256 of a list of the files in the form of `sha256sum` */
  report(): { readonly files: number; readonly bytes: number; readonly sha256: string } {
    return { files: this.files, bytes: this.bytes, sha256: this.listing.digest('hex') };
  }
}
