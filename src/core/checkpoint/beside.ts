import { statSync } from 'node:fs';
import { join } from 'node:path';
import { isJsonObject, type JsonObject, parseJson } from '../bytes/json.js';
import { readWhole } from '../documents/read-whole.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';

/** Small files that models are published with, beside their weights: configurations, templates, lists of words. */
export interface FilesBeside {
  /**
   * A JSON object, read once; null where there is no such file.
   * @throws HpsError CONFIG_INVALID for what is no JSON object, or longer than LIMITS.configBytes
   */
  json(name: string): JsonObject | null;
  /**
   * A text of at most `maxBytes`; null where there is no such file.
   * @throws HpsError CONFIG_INVALID for a longer one, or one that is not UTF-8
   */
  text(name: string, maxBytes?: number): string | null;
  /** Path of a file that is there; null where there is none. */
  path(name: string): string | null;
  /** Paths of those that were read, in the order they were: what a model is made from beside its weights. */
  readonly read: readonly string[];
}

/** What a checkpoint that lies in no folder has beside it. */
export const NOTHING_BESIDE: FilesBeside = { json: () => null, text: () => null, path: () => null, read: [] };

const HINT = 'Correct the file beside the checkpoint, or move the checkpoint away from it.';

const invalid = (name: string, rule: string): HpsError =>
  new HpsError('CONFIG_INVALID', `${name}: ${rule}`, { hint: HINT, details: { file: name } });

export function filesBeside(folder: string): FilesBeside {
  const read: string[] = [];
  const objects = new Map<string, JsonObject | null>();
  const path = (name: string): string | null => {
    const found = join(folder, name);
    return statSync(found, { throwIfNoEntry: false })?.isFile() ? found : null;
  };
  const bytes = (name: string, maxBytes: number): Uint8Array | null => {
    const found = path(name);
    if (found === null) return null;
    const whole = readWhole(found, { limit: maxBytes, what: 'a file beside a checkpoint', hint: HINT });
    if (!read.includes(found)) read.push(found);
    return whole.bytes;
  };
  const json = (name: string): JsonObject | null => {
    const content = bytes(name, LIMITS.configBytes);
    if (content === null) return null;
    const value = parseJson(content, { name, code: 'CONFIG_INVALID' });
    if (!isJsonObject(value)) throw invalid(name, 'not a JSON object');
    return value;
  };
  return {
    json(name) {
      const known = objects.get(name);
      if (known !== undefined) return known;
      const value = json(name);
      objects.set(name, value);
      return value;
    },
    text(name, maxBytes = LIMITS.configBytes) {
      const content = bytes(name, maxBytes);
      if (content === null) return null;
      try {
        return new TextDecoder('utf-8', { fatal: true }).decode(content);
      } catch {
        throw invalid(name, 'not valid UTF-8');
      }
    },
    path,
    read,
  };
}
