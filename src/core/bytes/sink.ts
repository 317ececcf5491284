/** Where bytes go one after the other: a file being written, a hash, memory. */
export interface ByteSink {
  /** Takes all of `bytes`; the caller may reuse the array once the call (or its promise) is done. */
  write(bytes: Uint8Array): Promise<void> | void;
}
