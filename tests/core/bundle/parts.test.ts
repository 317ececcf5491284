import { describe, expect, it } from 'vitest';
import lock from '../../../package-lock.json' with { type: 'json' };
import { withoutComments } from '../../../src/core/bundle/comments.js';
import { stripElf } from '../../../src/core/bundle/elf.js';
import { ONNXRUNTIME, RUNTIMES } from '../../../src/core/bundle/runtimes-lock.js';
import { targetsOf } from '../../../src/core/bundle/targets.js';
import { termsProblems } from '../../../src/core/bundle/terms.js';
import { configText } from '../../../src/core/bundle/texts.js';

describe('withoutComments', () => {
  it('takes out comments that have lines of their own', () => {
    expect(withoutComments('/** Doc. */\nconst a = 1; // stays\n  // goes\n/* so\n does this */\nlet b;\n')).toBe(
      'const a = 1; // stays\nlet b;\n',
    );
  });

  it.each([
    ['a text', 'const a = "\\"// no";\n'],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: source text that holds a template
    ['a template', 'const a = `\n// no\n/* no */\n${[1].map((x) => `\n// no\n`)}\n// no\n`;\n'],
    ['a regular expression', 'const a = b.replace(/[/"`*]/g, "x");\nconst c = `\n// no\n`;\n'],
    ['terms', '/* Copyright: somebody */\n// @license MIT\nlet a;\n'],
    ['a quotient', 'const a = b / c / d;\nconst e = "/";\n'],
  ])('leaves %s alone', (_, script) => {
    expect(withoutComments(script)).toBe(script);
  });
});

describe('stripElf', () => {
  /** A header, one segment, and behind it symbols. */
  function program(): Buffer {
    const bytes = Buffer.alloc(64 + 56 + 8 + 100, 9);
    bytes.fill(0, 0, 64);
    bytes.write('\x7fELF', 0, 'latin1');
    bytes[4] = 2;
    bytes[5] = 1;
    bytes.writeBigUInt64LE(64n, 32);
    bytes.writeBigUInt64LE(150n, 40);
    bytes.writeUInt16LE(56, 54);
    bytes.writeUInt16LE(1, 56);
    bytes.writeUInt16LE(64, 58);
    bytes.writeUInt16LE(3, 60);
    bytes.writeBigUInt64LE(0n, 64 + 8);
    bytes.writeBigUInt64LE(128n, 64 + 32);
    return bytes;
  }

  it('keeps the segments byte for byte, and changes nothing of what it was given', () => {
    // In the middle of a larger buffer, as a file of an archive lies.
    const whole = Buffer.concat([Buffer.alloc(512, 1), program(), Buffer.alloc(7, 1)]);
    const given = whole.subarray(512, 512 + program().length);
    const stripped = Buffer.from(stripElf(given));
    expect(stripped.length).toBe(128);
    expect(stripped.subarray(64).equals(program().subarray(64, 128))).toBe(true);
    expect([stripped.readBigUInt64LE(40), stripped.readUInt16LE(60)]).toEqual([0n, 0]);
    expect(whole.equals(Buffer.concat([Buffer.alloc(512, 1), program(), Buffer.alloc(7, 1)]))).toBe(true);
  });

  it.each([
    ['another file', Buffer.from('MZ and so on, long enough to hold a header of sixty-four bytes and some')],
    ['a program that is cut short', program().subarray(0, 100)],
  ])('leaves %s as it is', (_, bytes) => {
    expect(stripElf(bytes)).toBe(bytes);
  });
});

describe('targets', () => {
  it('are taken by their names and by those of Node, each once', () => {
    expect(targetsOf(['win-x64,linux-x64', 'darwin-arm64', 'linux-x64']).map(({ id }) => id)).toEqual([
      'linux-x64',
      'macos-arm64',
      'win-x64',
    ]);
  });

  it.each(['darwin-x64', 'win-arm64'])('say of %s why there is none', (name) => {
    expect(() => targetsOf([name])).toThrow(expect.objectContaining({ code: 'BACKEND_UNAVAILABLE' }));
  });

  it('know no others', () => {
    expect(() => targetsOf(['plan9'])).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });
});

describe('the lock of runtimes', () => {
  const packages: Readonly<Record<string, { readonly version?: string; readonly integrity?: string }>> = lock.packages;

  it('agrees with the lockfile on every package that is in both', () => {
    const both = Object.values(RUNTIMES)
      .flat()
      .filter(({ name }) => packages[`node_modules/${name}`] !== undefined);
    expect(both.length).toBeGreaterThanOrEqual(7);
    for (const { name, version, integrity } of both) {
      expect(packages[`node_modules/${name}`]).toMatchObject({ version, integrity });
    }
    expect(packages[`node_modules/${ONNXRUNTIME.name}`].version).toBe(ONNXRUNTIME.version);
  });
});

describe('terms', () => {
  const card = (license?: string, data?: string) => ({
    text: { license },
    datasets: data === undefined ? [] : [{ name: 'votes', roles: ['training' as const], license: data }],
    files: [],
    evaluations: [],
  });

  it('allow what is free, and name what is not', () => {
    expect(termsProblems(card('Apache-2.0', 'cc-by-4.0'))).toEqual([]);
    expect(termsProblems(card('other', 'CC-BY-NC-4.0')).map(({ of }) => of)).toEqual([
      'the weights',
      'the data set votes',
    ]);
    expect(termsProblems(card())).toEqual([{ of: 'the weights', license: null }]);
  });

  it('are looked for of labels that lie in the card, which are of a data set that it describes', () => {
    const labels = (path: string | null) => ({
      files: [{ id: 'labels-1', role: 'labels' as const, name: 'votes.jsonl', sha256: '0'.repeat(64), bytes: 1, path }],
    });
    const packed = { ...card('mit'), ...labels('files/votes.jsonl') };
    expect(termsProblems(packed)).toEqual([{ of: 'the labels in votes.jsonl', license: null }]);
    expect(termsProblems({ ...packed, ...labels(null) })).toEqual([]);
    const other = { name: 'others', roles: ['evaluation' as const], license: 'mit', files: ['other.jsonl'] };
    expect(termsProblems({ ...packed, datasets: [other] })).toHaveLength(1);
    const own = { ...other, files: ['votes.jsonl'] };
    expect(termsProblems({ ...packed, datasets: [own] })).toEqual([]);
    expect(termsProblems({ ...packed, datasets: [{ ...own, license: undefined }] })).toHaveLength(1);
  });
});

describe('the configuration of a release', () => {
  it('names one model as a text, several as a list', () => {
    expect(configText({ models: ['weights/a.onnx'], calibrator: null })).toContain('model: weights/a.onnx\n');
    expect(configText({ models: ['weights/a.onnx', 'weights/b.onnx'], calibrator: null })).toContain(
      'model: \n  - weights/a.onnx\n  - weights/b.onnx\n',
    );
  });
});
