import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { type YamlValue, yamlBlock } from '../../../src/core/card/yaml-block.js';
import { HOSTILE_NAMES } from '../../helpers/cards.js';

/** Text that some version of YAML takes for something else where it is plain, or refuses. */
const TEXTS: readonly string[] = [
  ...[
    'no',
    'NO',
    'off',
    'On',
    'y',
    'yes',
    'true',
    'null',
    'Null',
    '~',
    'E0',
    'e5',
    'E-12',
    '',
    ' ',
    'nan',
    '.nan',
    '.inf',
    '-.INF',
    '=',
    '<<',
  ],
  ...[
    '2024-01-01',
    '2024-01-01T10:00:00Z',
    '12:30',
    '12:30:45',
    '1_000',
    '0x1F',
    '0o17',
    '017',
    '0b1',
    '1e3',
    '1.',
    '+1',
    '-0',
  ],
  ...[
    'a\tb',
    '\ta',
    'a ',
    ' a',
    'a: b',
    'a #b',
    '#a',
    '- a',
    '? a',
    '[a]',
    '{a: b}',
    '&a',
    '*a',
    '!a',
    '|',
    '>',
    '@a',
    '`a`',
    '%a',
  ],
  ...[
    "it's",
    '"q"',
    'a\\b',
    'a\u0085b',
    'a\u2028b',
    '\ufeffa',
    'a\u007fb',
    'a\u0000b',
    'ä 日本 🙂',
    '...',
    '---',
    'a\r\nb',
  ],
  ...HOSTILE_NAMES,
];
const NUMBERS: readonly number[] = [0, 1, -1, 0.5, 1e-7, -1.5e-9, 1e21, 123456789, 0.1 + 0.2, 5e-324];

const leaf = fc.oneof(
  fc.constantFrom(...TEXTS),
  fc.constantFrom(...NUMBERS),
  // Halves of a pair are no text in Python.
  fc.string({ unit: 'grapheme', maxLength: 12 }),
  fc.string({ unit: 'binary-ascii', maxLength: 12 }),
  fc.stringMatching(/^[-+.:_0-9eExobnofyNO ]{0,8}$/),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
);
const { block } = fc.letrec<{ block: object; value: YamlValue }>((tie) => ({
  value: fc.oneof({ maxDepth: 3 }, leaf, tie('block')) as fc.Arbitrary<YamlValue>,
  block: fc.oneof(
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.oneof(fc.constantFrom('on', 'name', '12:30', 'model-index'), fc.string()), tie('value'), {
      maxKeys: 4,
    }),
  ) as fc.Arbitrary<object>,
}));

const withPyYaml = spawnSync('python3', ['-c', 'import yaml'], { stdio: 'ignore' }).status === 0;
const READ = 'import json, sys, yaml; print(json.dumps([yaml.safe_load(text) for text in json.load(sys.stdin)]))';

/** What PyYAML, which reads YAML 1.1, makes of several blocks. */
function byPyYaml(texts: readonly string[]): unknown {
  const { stdout, stderr } = spawnSync('python3', ['-c', READ], { input: JSON.stringify(texts), encoding: 'utf8' });
  expect(stderr).toBe('');
  return JSON.parse(stdout);
}

describe('yamlBlock', () => {
  it('leaves plain what is plain everywhere', () => {
    const value = {
      license: 'apache-2.0',
      tags: ['reward-model', 'yes'],
      'model-index': [{ name: 'A model', value: 1e-7 }],
    };
    expect(yamlBlock(value)).toBe(
      'license: apache-2.0\ntags:\n  - reward-model\n  - "yes"\nmodel-index:\n  - name: A model\n    value: 1.0e-7\n',
    );
  });

  it.each(['1.1', '1.2'] as const)('reads the same as YAML %s, by the library yaml', (version) => {
    expect(parse(yamlBlock([...TEXTS, ...NUMBERS]), { version })).toEqual([...TEXTS, ...NUMBERS]);
    fc.assert(
      fc.property(block, (value) => {
        expect(parse(yamlBlock(value), { version })).toEqual(value);
      }),
    );
  });

  it.skipIf(!withPyYaml)('reads the same by PyYAML', () => {
    const values = [[...TEXTS, ...NUMBERS], ...fc.sample(block, { seed: 1, numRuns: 300 })];
    expect(byPyYaml(values.map(yamlBlock))).toEqual(values);
  });
});
