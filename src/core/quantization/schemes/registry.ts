import { dynamic } from './dynamic.js';
import { half } from './half.js';
import { int4 } from './int4.js';
import type { QuantizationScheme } from './scheme.js';
import type { SchemeId } from './scheme-ids.js';
import { staticInt8 } from './static.js';
import { weightOnly } from './weight-only.js';

export const SCHEMES = [weightOnly, dynamic, staticInt8, half, int4] as const satisfies readonly QuantizationScheme[];

export type { SchemeId } from './scheme-ids.js';

/** @throws RangeError for an id that no scheme has */
export function schemeOf(id: SchemeId): QuantizationScheme {
  const scheme = SCHEMES.find((candidate) => candidate.id === id);
  if (scheme === undefined) throw new RangeError(`no scheme ${id}`);
  return scheme;
}
