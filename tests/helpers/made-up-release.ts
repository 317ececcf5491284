import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { integrityOf } from '../../src/core/bundle/runtimes.js';
import { TAR_END, tarHeader, tarPadding } from '../../src/core/bundle/tar.js';
import { TARGETS } from '../../src/core/bundle/targets.js';
import { sha256Hex } from '../../src/core/bytes/hash.js';
import { PROJECT } from './cli.js';
import { tinyElf, tinyMachO, tinyPe } from './natives.js';

/** What stands for the lock: packages and libraries of each target. */
export interface MadeUpLock {
  readonly runtimes: Record<string, unknown[]>;
  readonly onnxruntime: Record<string, unknown[]>;
}

function npmTarball(files: Readonly<Record<string, string | Buffer>>): Buffer {
  const parts = Object.entries(files).flatMap(([path, content]) => {
    const bytes = Buffer.from(content as Buffer);
    return [
      tarHeader({ path: `package/${path}`, mode: 0o644, size: bytes.length }, 0),
      bytes,
      tarPadding(bytes.length),
    ];
  });
  return gzipSync(Buffer.concat([...parts, TAR_END]));
}

/** Packages in the place of Node, in a new folder, and a lock that names them: small, and there without the network. */
export function madeUpRuntimes(folder: string, made: MadeUpLock): void {
  mkdirSync(folder);
  const library = 'README.md';
  const sha256 = sha256Hex(readFileSync(`${PROJECT}node_modules/onnxruntime-node/${library}`));
  for (const { id, platform, arch } of Object.values(TARGETS)) {
    const program = platform === 'win32' ? 'node.exe' : 'node';
    const bytes = { linux: tinyElf, darwin: tinyMachO, win32: tinyPe }[platform]({ arch });
    const tarball = npmTarball({ [`bin/${program}`]: bytes, LICENSE: 'terms' });
    writeFileSync(join(folder, `node-${id}-1.0.0.tgz`), tarball);
    made.runtimes[id] = [
      {
        name: `node-${id}`,
        version: '1.0.0',
        integrity: integrityOf(tarball),
        license: 'MIT',
        files: [[`bin/${program}`, program]],
        licenses: ['LICENSE'],
      },
    ];
    made.onnxruntime[id] = [[library, sha256]];
  }
}

/** A program in the place of hpsv3's own, which takes seconds to compress. */
export const MADE_UP_PROGRAM = {
  files: [{ path: 'lib/app/bin/run_hpsv3.js', content: Buffer.from('// the program\n') }],
  packages: [{ name: 'zod', version: '4.6.7', license: 'MIT', path: 'zod' }],
  licenses: [],
};
