import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { hideExports, readElf, stripElf } from '../../../src/core/bundle/elf.js';
import { launchersOf } from '../../../src/core/bundle/launchers.js';
import { hasSignedPages, readMachO } from '../../../src/core/bundle/mach-o.js';
import { isNative, launcherFaults, nativeFaults } from '../../../src/core/bundle/natives.js';
import { readPe } from '../../../src/core/bundle/pe.js';
import { onnxruntimeFolder } from '../../../src/core/bundle/program.js';
import { ONNXRUNTIME_FILES } from '../../../src/core/bundle/runtimes-lock.js';
import { TARGETS } from '../../../src/core/bundle/targets.js';
import { tinyElf, tinyMachO, tinyPe } from '../../helpers/natives.js';

const KINDS = [
  ['ELF', readElf, tinyElf, 'x64'],
  ['Mach-O', readMachO, tinyMachO, 'arm64'],
  ['PE', readPe, tinyPe, 'x64'],
] as const;

describe.each(KINDS)('a file of the format %s', (format, read, make, arch) => {
  it('says for which processor it is and what it is linked to', () => {
    expect(read(make({ imports: ['one', 'another'] }))).toMatchObject({ format, arch, imports: ['one', 'another'] });
    const other = arch === 'x64' ? 'arm64' : 'x64';
    expect(read(make({ arch: other }))).toMatchObject({ arch: other, imports: [] });
  });

  it('is not taken for one of another format', () => {
    for (const [other, , makeOther] of KINDS) if (other !== format) expect(read(makeOther())).toBeNull();
    expect(read(Buffer.from('text'))).toBeNull();
    expect(read(Buffer.alloc(0))).toBeNull();
  });

  it('is read or refused with a rule wherever it is cut or changed', () => {
    const whole = make({ imports: ['one', 'another'] });
    for (let i = 0; i < whole.length; i++) {
      for (const bytes of [whole.subarray(0, i), Buffer.from(whole).fill(0xff, i, Math.min(i + 4, whole.length))]) {
        try {
          read(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }
    }
  });
});

it('reads the libraries of onnxruntime for every system, without what is only for debuggers', () => {
  const found = Object.values(TARGETS).map((target) => {
    const [[binding]] = ONNXRUNTIME_FILES[target.id];
    const bytes = stripElf(readFileSync(`${onnxruntimeFolder()}/${binding}`));
    const files = new Set(ONNXRUNTIME_FILES[target.id].map(([path]) => path)).add('lib/node.exe');
    const { arch, imports } = (readElf(bytes) ?? readMachO(bytes) ?? readPe(bytes))!;
    return [
      arch === target.arch,
      imports.some((name) => name.includes('onnxruntime')),
      nativeFaults(binding, bytes, target, files),
    ];
  });
  expect(found).toEqual(Array(4).fill([true, true, []]));
});

describe('hideExports', () => {
  it('leaves another file, and a program without symbols, as they are', () => {
    for (const bytes of [tinyPe(), tinyElf(), Buffer.from('text')]) expect(hideExports(bytes, () => false)).toBe(bytes);
  });

  it.skipIf(process.platform !== 'linux')(
    'leaves what Node takes from libraries, and of what it offers the names that are kept',
    () => {
      const bytes = Buffer.from(stripElf(readFileSync(process.execPath))); // debuggers have the names once more
      const whole = Buffer.from(bytes);
      const hidden = Buffer.from(hideExports(bytes, (name) => name.startsWith('napi_')));
      expect(bytes.equals(whole)).toBe(true);
      expect(readElf(hidden)).toEqual(readElf(bytes));
      expect(hidden.includes('\0napi_create_function\0')).toBe(true);
      expect(hidden.includes('\0pthread_create\0')).toBe(true);
      expect([bytes, hidden].map((one) => one.includes('\0_ZN2v85Array3NewEPNS_7IsolateEi\0'))).toEqual([true, false]);
    },
  );
});

describe('a program or library of a release', () => {
  const none = new Set<string>();
  it.each([
    ['lib/node', true],
    ['lib/node.exe', true],
    ['lib/a.so.8.18.7', true],
    ['lib/app/node.js', false],
    ['run_hpsv3', false],
  ])('is told by its name: %s', (path, is) => {
    expect(isNative(path)).toBe(is);
  });

  it('is of the format and for the processor of the system', () => {
    expect(nativeFaults('lib/node', tinyElf(), TARGETS['linux-x64'], none)).toEqual([]);
    expect(nativeFaults('lib/node', tinyElf(), TARGETS['linux-arm64'], none)[0]).toContain('another processor');
    expect(nativeFaults('lib/node', tinyElf(), TARGETS['macos-arm64'], none)[0]).toContain('no program or library');
    expect(nativeFaults('lib/node', Buffer.from('text'), TARGETS['linux-x64'], none)[0]).toContain(
      'no program or library',
    );
    expect(
      nativeFaults('lib/node', tinyElf({ imports: ['one'] }).subarray(0, 150), TARGETS['linux-x64'], none)[0],
    ).toContain('is damaged');
  });

  it.each([
    [
      'linux-x64',
      'lib/x/a.node',
      tinyElf({ imports: ['libc.so.6', 'libown.so'], paths: ['$ORIGIN/../y'] }),
      'lib/y/libown.so',
    ],
    [
      'macos-arm64',
      'lib/x/a.node',
      tinyMachO({ imports: ['/usr/lib/libSystem.B.dylib', '@rpath/own.dylib'], paths: ['@loader_path/../y'] }),
      'lib/y/own.dylib',
    ],
    ['macos-arm64', 'lib/x/a.node', tinyMachO({ imports: ['@loader_path/own.dylib'] }), 'lib/x/own.dylib'],
    ['win-x64', 'lib/x/a.node', tinyPe({ imports: ['KERNEL32.dll', 'own.dll'] }), 'lib/x/own.dll'],
    ['win-x64', 'lib/x/a.node', tinyPe({ imports: ['NODE.EXE'] }), 'lib/node.exe'],
  ] as const)('finds what it is linked to in the release or the system: %s', (target, path, bytes, place) => {
    expect(nativeFaults(path, bytes, TARGETS[target], new Set([place]))).toEqual([]);
    expect(nativeFaults(path, bytes, TARGETS[target], new Set([`other/${place}`]))).toEqual([
      expect.stringContaining('neither in the release nor part of'),
    ]);
  });

  it('has a signature of its bytes on macOS', () => {
    const bytes = tinyMachO({ imports: ['/usr/lib/libSystem.B.dylib'] });
    expect(hasSignedPages(bytes)).toBe(true);
    bytes[40] ^= 1;
    expect(nativeFaults('lib/node', bytes, TARGETS['macos-arm64'], none)).toContainEqual(
      expect.stringContaining('its signature'),
    );
  });
});

describe('a launcher', () => {
  it('has the line ends of its system', () => {
    for (const target of Object.values(TARGETS)) {
      for (const { path, content } of launchersOf(target)) {
        const text = Buffer.from(content as Uint8Array).toString('latin1');
        expect(launcherFaults(path, text)).toEqual([]);
        if (path === 'run_hpsv3') expect(launcherFaults(path, text.replaceAll('\n', '\r\n'))).toHaveLength(1);
        if (path.endsWith('.bat')) expect(launcherFaults(path, text.replaceAll('\r\n', '\n'))).toHaveLength(1);
      }
    }
  });
});
