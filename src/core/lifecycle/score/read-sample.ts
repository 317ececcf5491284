import { basename } from 'node:path';
import { partOfFile } from '../../data/item-files.js';
import { parseJsonlRow } from '../../data/jsonl.js';
import { parseDataRow } from '../../data/parse-row.js';
import type { DataRow } from '../../data/rows.js';
import { readWhole } from '../../documents/read-whole.js';
import { HpsError } from '../../errors.js';
import { LIMITS } from '../../limits.js';
import { sampleOf } from '../../scoring/row-sample.js';
import type { Sample } from '../../scoring/scorer.js';

/** A picture, sound or clip by itself, a text in a file, or a row as a document. */
export function sampleIn(path: string): Sample {
  const part = partOfFile(path);
  if (part === undefined) return sampleOf(readSample(path));
  if (part !== 'text') return { item: { [part]: basename(path) } };
  const { bytes } = readWhole(path, {
    limit: LIMITS.rowBytes,
    what: 'a text',
    hint: 'Cut it into several texts.',
    code: 'DATA_INVALID',
  });
  return { item: Buffer.from(bytes).toString().trimEnd() };
}

/** One row of a data file as a JSON document of its own; id and type of a pair may be left out. */
function readSample(path: string): DataRow {
  const { name, bytes } = readWhole(path, {
    limit: LIMITS.rowBytes,
    what: 'a sample',
    hint: SAMPLE_HINT,
    code: 'DATA_INVALID',
  });
  const parsed = parseJsonlRow(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), 1, (fields, line) => {
    const withDefaults = new Map([['id', 'sample'], ...fields]);
    return parseDataRow(withDefaults, line, new Map());
  });
  if (parsed?.row) return parsed.row;
  throw invalidSample(name, parsed ? `${parsed.message} (${parsed.code})` : 'is empty');
}

const SAMPLE_HINT = 'A pair is {"left": …, "right": …, "context": …}; an item {"type": "abs", "content": …}.';

const invalidSample = (name: string, rule: string): HpsError =>
  new HpsError('DATA_INVALID', `${name}: ${rule}`, { hint: SAMPLE_HINT, details: { file: name } });
