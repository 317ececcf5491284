// Assembles each .wat of src/core into the bytes that its -wasm.ts holds.
import { readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import wabt from 'wabt';

export const SOURCES = [
  'ensemble/stack.wat',
  'tensor/bins.wat',
  'tensor/floats.wat',
  'tensor/transpose.wat',
  'training/update/optimizer.wat',
  'quantization/kernels/int8.wat',
];

const inCore = (path) => new URL(`../src/core/${path}`, import.meta.url);
export const targetOf = (source) => inCore(source.replace(/\.wat$/, '-wasm.ts'));

/** The module that holds the assembled bytes of a source. */
export async function assemble(source) {
  const { parseWat } = await wabt();
  const name = basename(source);
  const { buffer } = parseWat(name, readFileSync(inCore(source), 'utf8'), { simd: true }).toBinary({});
  const base64 = Buffer.from(buffer).toString('base64');
  return [
    `/** ${name}, assembled by scripts/write-wasm.js. */`,
    `export const ${basename(name, '.wat').toUpperCase()}_WASM =`,
    `  '${base64}';`,
    '',
  ].join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  for (const source of SOURCES) writeFileSync(targetOf(source), await assemble(source));
