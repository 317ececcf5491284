import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type JsonValue, type ParseJsonOptions, parseJson } from '../../../src/core/bytes/json.js';
import { HpsError } from '../../../src/core/errors.js';

const parse = (input: Uint8Array | string, options: Partial<ParseJsonOptions> = {}) =>
  parseJson(input, { name: 'config.json', ...options });

function failure(input: Uint8Array | string, options: Partial<ParseJsonOptions> = {}): HpsError {
  try {
    parse(input, options);
  } catch (error) {
    if (error instanceof HpsError) return error;
    throw error;
  }
  throw new Error('was accepted');
}

describe('parseJson', () => {
  it('gives the values JSON.parse gives', () => {
    fc.assert(
      fc.property(fc.json(), fc.constantFrom(0, 2), (json, indent) => {
        const expected = JSON.parse(json) as JsonValue;
        const text = JSON.stringify(expected, null, indent);
        expect(parse(Buffer.from(text))).toEqual(expected);
      }),
    );
  });

  it('accepts nothing that JSON.parse refuses, whatever is changed in a document', () => {
    const edit = fc.record({ json: fc.json(), at: fc.nat(), put: fc.constantFrom(...'{}[]",:\\0e-.nt \u0001') });
    fc.assert(
      fc.property(edit, ({ json, at, put }) => {
        const position = at % (json.length + 1);
        const text = json.slice(0, position) + put + json.slice(position + 1);
        let value: JsonValue;
        try {
          value = parse(text);
        } catch (error) {
          expect(error).toBeInstanceOf(HpsError);
          return;
        }
        expect(value).toEqual(JSON.parse(text));
      }),
      { numRuns: 1000 },
    );
  });

  it('keeps __proto__ and constructor as plain keys and pollutes nothing', () => {
    const value = parse('{"__proto__": {"polluted": 1}, "constructor": 2}') as Record<string, JsonValue>;
    expect(Object.entries(value)).toEqual([
      ['__proto__', { polluted: 1 }],
      ['constructor', 2],
    ]);
    expect(value.polluted).toBeUndefined();
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    expect((parse('{}') as Record<string, JsonValue>).toString).toBeUndefined();
  });

  it('reads escapes, surrogate pairs and a byte-order mark', () => {
    expect(parse('\ufeff["\\u00e9\\n\\"\\\\", "\\ud83d\\ude00"]')).toEqual(['é\n"\\', '😀']);
  });

  const refused: [name: string, text: string | Uint8Array, rule: RegExp, options?: Partial<ParseJsonOptions>][] = [
    ['a duplicate key', '{"a": 1, "b": 2, "a": 3}', /duplicate key "a"/],
    ['a duplicate key written with an escape', '{"a": 1, "\\u0061": 3}', /duplicate key "a"/],
    ['a duplicate __proto__', '{"__proto__": 1, "__proto__": 2}', /duplicate key "__proto__"/],
    ['too deep nesting', `${'['.repeat(65)}${']'.repeat(65)}`, /deeper than 64/],
    ['a depth bomb', '['.repeat(1_000_000), /deeper than 64/],
    ['too many members', '{"a":1,"b":2,"c":3}', /more than 2 members/, { maxMembers: 2 }],
    ['too many values', `[${'0,'.repeat(4_000_000)}0]`, /more than 4000000 values/],
    ['too many bytes', '[1, 2, 3]', /more than 4/, { maxBytes: 4 }],
    ['bytes that are not UTF-8', Uint8Array.of(0x22, 0xc3, 0x28, 0x22), /UTF-8/],
    ['half a surrogate pair', '"\\ud800"', /surrogate/],
    ['a control character', '"a\nb"', /control character/],
    ['an unclosed string', '"abc', /not closed/],
    ['an unknown escape', '"\\x41"', /escape/],
    ['a number beyond a double', '1e999', /range/],
    ['a leading zero', '[01]', /is due/],
    ['NaN', '[NaN]', /not a JSON value/],
    ['an empty document', '', /ends early/],
    ['a trailing comma', '[1,]', /not a JSON value/],
    ['a missing colon', '{"a" 1}', /":" is due/],
    ['a bare key', '{a: 1}', /key in double quotes/],
    ['two documents', '{} {}', /follows the end/],
    ['an exponent among naturals', '[1e3]', /plain digits/, { naturals: true }],
    ['a fraction among naturals', '[4.0]', /plain digits/, { naturals: true }],
    ['a sign among naturals', '[-0]', /plain digits/, { naturals: true }],
    ['2^53 among naturals', '[9007199254740992]', /plain digits/, { naturals: true }],
  ];
  it.each(refused)('refuses %s', (_, text, rule, options) => {
    expect(failure(text, options)).toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(rule),
      hint: expect.stringMatching(/./),
    });
  });

  it('names the file, the line and the column, and throws the code asked for', () => {
    const error = failure('{\n  "a": 1,\n  "a": 2\n}', { code: 'CHECKPOINT_CORRUPT' });
    expect(error.code).toBe('CHECKPOINT_CORRUPT');
    expect(error.message).toBe('config.json: line 3, column 3: duplicate key "a"');
    expect(error.details).toEqual({ file: 'config.json', line: 3, column: 3 });
  });
});
