import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const { SOURCES, assemble, targetOf }: WasmScript = await import(
  new URL('../../scripts/write-wasm.js', import.meta.url).href
);

interface WasmScript {
  readonly SOURCES: readonly string[];
  assemble(source: string): Promise<string>;
  targetOf(source: string): URL;
}

describe('write-wasm', () => {
  it.each(SOURCES)('%s is assembled into the bytes beside it', async (source) => {
    expect(await assemble(source)).toBe(readFileSync(targetOf(source), 'utf8'));
  });
});
