import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { npyHeader } from '../bytes/npy-header.js';
import { bytesOf } from '../tensor/values.js';
import type { MapFacts } from './document.js';
import type { PartMap } from './maps.js';
import { heaviest, namedUnits } from './units.js';

/** Numbers that a JSON file lists one by one; of a larger map it says where they are. */
const LISTED = 2 ** 20;
/** Attributions of more numbers have no file of their own beside their map. */
const KEPT = 2 ** 24;
const TOP = 10;

/** Writes a float32 array. */
export const writeNpy = (path: string, shape: readonly number[], values: Float32Array): Promise<void> =>
  writeFile(path, Buffer.concat([npyHeader(shape), bytesOf(values)]));

/**
 * Writes the files of one map, and says what is in them.
 * @param folder - of the files, and its path as the document names it: empty, or ending in a slash
 * @param picture - PNG of the map, or null
 */
export async function writeMap(
  map: PartMap,
  folder: { readonly path: string; readonly name: string },
  picture: Uint8Array | null,
): Promise<MapFacts> {
  const { part, signed } = map;
  const { shape, values } = map.map;
  const stem = `${part.side}.${part.kind}`;
  const at = (ending: string): string => join(folder.path, `${stem}${ending}`);
  const isOwn = map.values.length <= KEPT && map.values !== values;
  await writeNpy(at('.npy'), shape, values);
  if (isOwn) await writeNpy(at('.attribution.npy'), map.shape, map.values);
  if (picture) await writeFile(at('.png'), picture);
  const content = {
    side: part.side,
    kind: part.kind,
    input: part.input.name,
    signed,
    shape,
    ...(part.tokens ? { tokens: part.tokens } : {}),
    ...(map.hertz ? { hertz: map.hertz } : {}),
    units: namedUnits(map),
    values: values.length <= LISTED ? Array.from(values) : `${values.length} numbers: see ${stem}.npy`,
  };
  await writeFile(at('.json'), `${JSON.stringify(content)}\n`);
  const file = (ending: string): string => `${folder.name}${stem}${ending}`;
  return {
    ...factsOf(map),
    files: {
      json: file('.json'),
      npy: file('.npy'),
      attribution: isOwn ? file('.attribution.npy') : null,
      png: picture ? file('.png') : null,
    },
  };
}

/** What is in a map, without where its numbers are. */
export function factsOf(map: PartMap): Omit<MapFacts, 'files'> {
  const { part, signed, sum } = map;
  const [lowest, highest] = rangeOf(map.map.values);
  return {
    side: part.side,
    kind: part.kind,
    input: part.input.name,
    signed,
    shape: [...map.map.shape],
    sum,
    lowest,
    highest,
    top: heaviest(namedUnits(map), TOP),
  };
}

export function rangeOf(values: Float32Array): [lowest: number, highest: number] {
  let [lowest, highest] = [0, 0];
  for (const value of values) {
    lowest = Math.min(lowest, value);
    highest = Math.max(highest, value);
  }
  return [lowest, highest];
}
