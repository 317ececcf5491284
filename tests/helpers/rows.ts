import { type RowOptions, type RowSets, rowSets } from '../../src/core/quantization/rows.js';
import { openSource } from '../../src/core/quantization/source.js';

/** Rows for a model file. */
export async function rowsFor(path: string, options: RowOptions): Promise<RowSets> {
  const source = await openSource(path);
  try {
    return await rowSets(source, options);
  } finally {
    source.close();
  }
}
