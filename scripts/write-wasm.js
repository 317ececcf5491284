// Assembles src/core/training/optimizer.wat into the bytes that optimizer-wasm.ts holds.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import wabt from 'wabt';

const SOURCE = new URL('../src/core/training/optimizer.wat', import.meta.url);
const TARGET = new URL('../src/core/training/optimizer-wasm.ts', import.meta.url);

/** The module that holds the assembled bytes. */
export async function assemble() {
  const { parseWat } = await wabt();
  const { buffer } = parseWat('optimizer.wat', readFileSync(SOURCE, 'utf8'), { simd: true }).toBinary({});
  const base64 = Buffer.from(buffer).toString('base64');
  return [
    '/** optimizer.wat, assembled by scripts/write-wasm.js. */',
    'export const OPTIMIZER_WASM =',
    `  '${base64}';`,
    '',
  ].join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(TARGET, await assemble());
