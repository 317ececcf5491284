import type { RemoteEntry } from './remote-file.js';

/** What lies at an address: the file that is meant, or all of a folder, and what lies beside. */
export interface Listing {
  /** The address, pinned where that can be: `hf://org/name@commit`. */
  readonly label: string;
  /** Name of the folder that stands for it. */
  readonly root: string;
  /** Of the file or folder that is meant, in `root`; empty for all of it. */
  readonly target: string;
  readonly files: readonly ListedFile[];
}

export interface ListedFile {
  /** In `root`, with slashes. */
  readonly path: string;
  readonly entry: RemoteEntry;
  /** The file on this machine, where it lies here already. */
  readonly local?: string;
  /** Fetches it whole into a cache of this machine; the path it then has. */
  readonly cache?: (onBytes: (bytes: number) => void) => Promise<string>;
}
