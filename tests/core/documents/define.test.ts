import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import type { JsonValue } from '../../../src/core/bytes/json.js';
import {
  type DocumentOf,
  defineDocument,
  formatDocument,
  parseDocument,
  readDocument,
} from '../../../src/core/documents/define.js';
import { tempFolder } from '../../helpers/temp.js';

const fields = z.strictObject({ low: z.number(), high: z.number().optional() }).refine(({ low }) => low > 0, 'too low');
const facts = { what: 'a thing', made: 'hpsv3 make', limit: 100 };
const first = defineDocument('hpsv3/thing@1', fields, facts);
const third = defineDocument('hpsv3/thing@3', fields, { ...facts, unmarked: true });

const failure = (act: () => unknown): unknown => {
  try {
    return act();
  } catch (error) {
    return error;
  }
};

describe('defineDocument', () => {
  it('puts schema before the fields, and keeps their rules', () => {
    const value: DocumentOf<typeof first> = { schema: 'hpsv3/thing@1', low: 1 };
    expect(JSON.stringify(parseDocument(first, { low: 1, schema: 'hpsv3/thing@1' }, 'f'))).toBe(JSON.stringify(value));
    for (const bad of [{ low: 1 }, { ...value, low: 0 }, { ...value, other: 1 }, [], null, 'text'] as JsonValue[]) {
      expect(
        failure(() => parseDocument(first, bad, 'f.json')),
        JSON.stringify(bad),
      ).toMatchObject({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining('f.json: not a thing: '),
        hint: 'Give a file that `hpsv3 make` wrote.',
      });
    }
  });

  it('reads every earlier version, and one without a mark where the first version had none', () => {
    for (const version of [1, 2, 3]) {
      const value = { schema: `hpsv3/thing@${version}`, low: 1 };
      expect(parseDocument(third, value, 'f')).toEqual(value);
    }
    expect(parseDocument(third, { low: 1 }, 'f')).toEqual({ schema: 'hpsv3/thing@1', low: 1 });
  });

  it('says of a later version that a newer program made it, whatever else is in it', () => {
    expect(failure(() => parseDocument(third, { schema: 'hpsv3/thing@4', new: [] }, 'f.json'))).toMatchObject({
      code: 'MADE_BY_NEWER',
      exitCode: 2,
      message: 'f.json: made by a newer hpsv3: its schema is hpsv3/thing@4',
      details: { schema: 'hpsv3/thing@4', reads: 'hpsv3/thing@3' },
    });
  });

  it.each([
    ['hpsv3/other@9', 'its schema is hpsv3/other@9'],
    ['hpsv3/thing@0', 'schema: '],
    ['hpsv3/thing@1.5', 'schema: '],
    ['thing', 'schema: '],
  ])('refuses %s as another document', (schema, why) => {
    expect(failure(() => parseDocument(third, { schema, low: 1 }, 'f'))).toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(why),
    });
  });
});

describe('readDocument', () => {
  it('reads back what was written, with the hash of the file', () => {
    const path = join(tempFolder(), 'f.json');
    writeFileSync(path, formatDocument({ schema: 'hpsv3/thing@1', low: 2 }));
    expect(readDocument(first, path)).toEqual({
      document: { schema: 'hpsv3/thing@1', low: 2 },
      name: 'f.json',
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
  });

  it.each([
    [
      'a file over the limit, unread',
      ' '.repeat(101),
      'CONFIG_INVALID',
      'f.json: 101 bytes, too large to be a thing (100 at most)',
    ],
    ['what is not JSON', '{', 'CONFIG_INVALID', 'f.json: line 1'],
    ['an empty file', '', 'CONFIG_INVALID', 'f.json: line 1'],
  ])('refuses %s', (_, text, code, message) => {
    const path = join(tempFolder(), 'f.json');
    writeFileSync(path, text);
    expect(failure(() => readDocument(first, path))).toMatchObject({ code, message: expect.stringContaining(message) });
  });

  it('refuses a folder, and a file that is not there', () => {
    const folder = tempFolder();
    expect(failure(() => readDocument(first, folder))).toMatchObject({ code: 'FILE_UNREADABLE' });
    expect(failure(() => readDocument(first, join(folder, 'none')))).toMatchObject({ code: 'FILE_NOT_FOUND' });
  });
});
