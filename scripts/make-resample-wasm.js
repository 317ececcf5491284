// npm install --no-save wabt@1.0.39 && node scripts/make-resample-wasm.js: assembles scripts/resample.wat.
import { readFileSync, writeFileSync } from 'node:fs';
import openWabt from 'wabt';

const source = readFileSync(new URL('resample.wat', import.meta.url), 'utf8');
const wabt = await openWabt();
const { buffer } = wabt.parseWat('resample.wat', source, { simd: true }).toBinary({});
const lines = Buffer.from(buffer)
  .toString('base64')
  .match(/.{1,116}/g);
const text = `// Made by scripts/make-resample-wasm.js from scripts/resample.wat. Do not edit.

/** WebAssembly with 128-bit SIMD, in base64: \`resizeRows\` and \`resizeColumns\`. */
export const RESAMPLE_WASM = [
${lines.map((line) => `  '${line}',`).join('\n')}
].join('');
`;
writeFileSync(new URL('../src/core/media/image/resample-wasm.ts', import.meta.url), text);
