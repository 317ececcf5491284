/** What is used of WebAssembly: TypeScript brings its types with those of browsers alone. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: object };
};

export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  /** Adds pages of 64 KiB; `buffer` is then another one. */
  grow(pages: number): void;
}

/** The exports of a module without imports, assembled by scripts/write-wasm.js into base64. */
export const openWasm = <Exports extends object>(base64: string): Exports =>
  new WebAssembly.Instance(new WebAssembly.Module(Buffer.from(base64, 'base64'))).exports as Exports;
