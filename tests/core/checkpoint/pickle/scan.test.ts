import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { calledByPickle } from '../../../../src/core/checkpoint/pickle/scan.js';
import { openRaw } from '../../../../src/core/checkpoint/registry.js';
import { pickle, torchZipFile } from '../../../helpers/pickles.js';
import { tempFolder } from '../../../helpers/temp.js';

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');

describe('a scan of opcodes', () => {
  it.each([
    ['protocol 0', "cposix\nsystem\n(S'x'\ntR.", 'posix.system'],
    ['protocol 1', '(U\x05touchcposix\nsystem\n.', 'posix.system'],
    ['protocol 0 behind a number', "I1\n0cposix\nsystem\n(S'x'\ntR.", 'posix.system'],
    ['INST', "(S'x'\niposix\nsystem\n.", 'posix.system'],
    ['OBJ', "(cposix\nsystem\nS'x'\no.", 'posix.system'],
    ['protocol 4', '\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x01x\x85R.', 'posix.system'],
    ['an extension', '\x80\x02\x82\x01)R.', 'an extension'],
    ['the second pickle of two', 'I1\n.cposix\nsystem\n)R.', 'posix.system'],
    ['an import that is cut short', 'cposix\nsystem\n', 'posix.system'],
  ])('finds what is called in %s', (_, bytes, called) => {
    expect(calledByPickle(latin1(bytes))).toBe(called);
  });

  it.each([
    ['two columns of words', 'chosen\nrejected\nyes\n', null],
    ['a table', 'chosen,rejected\na,b\n', null],
    ['prose', 'I was here.\nAnd left.', null],
    ['a PNG', '\x89PNG\r\n\x1a\n', null],
    ['a pickle of data', '\x80\x02}q\x00.', undefined],
    ['a string that goes on', '\x80\x02X\xff\xff\x00\x00abc', undefined],
  ])('finds nothing in %s', (_, bytes, found) => {
    expect(calledByPickle(latin1(bytes))).toBe(found);
  });
});

describe('a file that is not read', () => {
  const opening = (bytes: Uint8Array): Promise<unknown> => {
    const path = join(tempFolder(), 'x.pt');
    writeFileSync(path, bytes);
    return openRaw(path);
  };

  it('is unsafe where a pickle in it calls something, after however much', async () => {
    const long = Buffer.concat([
      pickle(Buffer.concat([latin1('X\x00\x00\x20\x00'), Buffer.alloc(0x200000)])),
      latin1('cos\nsystem\n)R.'),
    ]);
    for (const bytes of [latin1("I1\n0cos\nsystem\n(S'x'\ntR."), long])
      await expect(opening(bytes)).rejects.toMatchObject({
        code: 'CHECKPOINT_UNSAFE',
        message: expect.stringContaining('os.system'),
      });
  });

  it.each(['%PDF-1.4\n', '\x89PNG\r\n\x1a\n', '{"weight_map":{}}', '<!doctype html>', '\x80\x02N.', '#'])(
    'is unsafe where a zip archive follows %j',
    async (before) => {
      const ofTorch = readFileSync(new URL('../../../golden/formats/torch-zip/weights.pt', import.meta.url)); // with zip64 records
      for (const zip of [await torchZipFile(pickle(latin1('}'))), ofTorch]) {
        const polyglot = Buffer.concat([latin1(before), zip]);
        await expect(opening(polyglot)).rejects.toMatchObject({ code: 'CHECKPOINT_UNSAFE' });
      }
    },
  );
});
