import * as fs from 'node:fs/promises';

/** The open file an output is written to. */
export interface OutputHandle {
  write(buffer: Uint8Array, offset: number, length: number, position?: number): Promise<{ bytesWritten: number }>;
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** The calls that outputs are made of, so that tests can let any of them fail. */
export interface OutputFileSystem {
  mkdir(path: string): Promise<void>;
  open(path: string, flags: 'wx+' | 'r'): Promise<OutputHandle>;
  rename(from: string, to: string): Promise<void>;
}

export const FILE_SYSTEM: OutputFileSystem = {
  mkdir: (path) => fs.mkdir(path),
  open: (path, flags) => fs.open(path, flags),
  rename: (from, to) => fs.rename(from, to),
};
