import type { Run } from '../run.js';
import { isAddress } from './address.js';

/** How files on other machines are reached. */
export interface RemoteFileOptions {
  /** Hosts (`example.org`, `example.org:8443`) that may have a private address, and be asked over http. */
  readonly hosts?: readonly string[];
  /** Whether any other host may have an IP address; by default public unicast ones only. */
  readonly isAddressAllowed?: (address: string) => boolean;
  /** Files of the Hub that are read are fetched whole, into the cache of huggingface_hub on this machine. */
  readonly hubCache?: boolean;
  /** Variables that say how the Hub and buckets are reached; those of the process by default. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** What was read over the network. */
export interface RemoteReport {
  /** Pinned: `hf://org/name@commit`. */
  readonly sources: readonly string[];
  readonly files: readonly {
    readonly address: string;
    readonly bytes: number;
    /** Of these, over the network. */
    readonly fetchedBytes: number;
  }[];
  readonly bytes: number;
  readonly fetchedBytes: number;
}

/** Paths that stand for files on other machines, to those who work with them. */
export interface Sources {
  /** Where the file of a path lies, pinned; null for one of this machine. */
  addressOf(path: string): string | null;
  /** Null where all files are of this machine. */
  report(): RemoteReport | null;
  /** From now on hashes are those that hosts state, where they do: nothing is fetched for them. */
  trustHashes(): void;
  /** Whether the host of a file states its hash, so that all of it is compared with that; true for a file of this machine. */
  statesHash(path: string): boolean;
  /** Whether the hash of a file is stated, or the file small enough to be hashed for the asking. */
  knowsHash(path: string): boolean;
}

const ALL_HERE: Sources = {
  addressOf: () => null,
  report: () => null,
  trustHashes: () => undefined,
  statesHash: () => false,
  knowsHash: () => true,
};

/** Options that may name files on other machines. */
export interface AddressKeys<Options> {
  /** Read by ranges, with what lies beside them. */
  readonly checkpoints?: readonly (keyof Options)[];
  /** Fetched whole into a temporary file: rows. */
  readonly files?: readonly (keyof Options)[];
}

/**
 * Runs `use` with paths where options name files on other machines (`hf://`, `https://`, `s3://`); whoever opens those paths reads by
 * ranges. Work that could not wait for bytes begins anew once they are here: it must leave its targets alone until it has read.
 * @param keys - of the options that may hold addresses: of checkpoints and what lies beside them, and of files that are read whole
 * @throws HpsError USAGE, REMOTE_REFUSED, REMOTE_FAILED, ACCESS_DENIED, CREDENTIALS_INVALID, FILE_NOT_FOUND
 */
export async function withAddresses<Options extends Run & { readonly remote?: RemoteFileOptions }, Result>(
  options: Options,
  { checkpoints = [], files = [] }: AddressKeys<Options>,
  use: (options: Options, sources: Sources) => Promise<Result>,
): Promise<Result> {
  const named = [...checkpoints, ...files].filter((key) =>
    [options[key]].flat().some((text) => typeof text === 'string' && isAddress(text)),
  );
  if (named.length === 0) return use(options, ALL_HERE);
  const { Mounts } = await import('./mounts.js'); // brings the HTTP client
  const mounts = await Mounts.open(options);
  try {
    const paths: Partial<Options> = {};
    for (const key of named) {
      const value = options[key] as string | readonly string[];
      const pathOf = files.includes(key) ? mounts.copyOf : mounts.pathOf;
      paths[key] = (
        typeof value === 'string'
          ? await pathOf.call(mounts, value)
          : await Promise.all(value.map((text) => pathOf.call(mounts, text)))
      ) as Options[keyof Options];
    }
    return await mounts.run({ ...options, ...paths }, use);
  } finally {
    await mounts.close();
  }
}
