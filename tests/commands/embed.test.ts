import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parquetReadObjects } from 'hyparquet';
import { beforeAll, describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../src/core/checkpoint/open.js';
import { readFloat32 } from '../../src/core/tensor/transform.js';
import { hpsv3 } from '../helpers/cli.js';
import { tinyModel, writeRows } from '../helpers/scoring.js';
import { sharedFolder } from '../helpers/temp.js';

const folder = sharedFolder();
const at = (name: string): string => join(folder, name);
const IDS = ['a', 'p#left', 'p#right', 'b'];
let model = '';
let input = '';

beforeAll(async () => {
  model = await tinyModel(folder, 'text');
  input = writeRows(folder, 'items.jsonl', [
    { id: 'a', type: 'text', text: 'first' },
    { id: 'p', type: 'pair', left: 'one', right: 'the other' },
    { id: 'bad', type: 'text' },
    { id: 'b', type: 'text', text: 'one' },
  ]);
}, 120_000);

const embed = (name: string) =>
  hpsv3(['embed', '--model', model, '--input', input, '--output', at(name), '--batch-size', '2', '--json']);

describe('hpsv3 embed', () => {
  it('writes the same latents as .npy, .parquet and .safetensors, with their ids', async () => {
    for (const name of ['e.npy', 'e.parquet', 'e.safetensors']) {
      const { code, stdout } = await embed(name);
      expect(code).toBe(6); // one row is bad
      expect(JSON.parse(stdout)).toMatchObject({ out: name, rows: 4, dimensions: 16, failed: 1 });
    }
    // NumPy's format 1.0 by its specification: magic, version, length of the header, header, data.
    const npy = readFileSync(at('e.npy'));
    expect(npy.subarray(0, 8)).toEqual(Buffer.from('\x93NUMPY\x01\x00', 'latin1'));
    const start = 10 + npy.readUInt16LE(8);
    expect(start % 64).toBe(0);
    expect(npy.toString('latin1', 10, start)).toMatch(
      /^\{'descr': '<f4', 'fortran_order': False, 'shape': \(4, 16\), \} *\n$/,
    );
    const values = new Float32Array(new Uint8Array(npy.subarray(start)).buffer);
    const ids = readFileSync(at('e.npy.ids.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(ids).toEqual(IDS);

    const safetensors = await openCheckpoint(at('e.safetensors'));
    expect(await readFloat32(safetensors.tensors.get('embeddings')!)).toEqual(values);
    safetensors.close();
    const header = readFileSync(at('e.safetensors'));
    const json = JSON.parse(header.subarray(8, 8 + Number(header.readBigUInt64LE())).toString());
    expect(JSON.parse(json.__metadata__.ids)).toEqual(IDS);

    const rows = await parquetReadObjects({ file: new Uint8Array(readFileSync(at('e.parquet'))).buffer });
    expect(rows.map(({ id }) => id)).toEqual(IDS);
    expect(rows.flatMap(({ embedding }) => embedding)).toEqual([...values]);
    expect(values.slice(16, 32)).toEqual(values.slice(48, 64)); // "one" twice
  });

  it('refuses a name without a format', async () => {
    expect((await embed('e.txt')).code).toBe(2);
  });
});
