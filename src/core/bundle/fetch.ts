import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { withTemporaryFolder } from '../bytes/temporary-folder.js';
import { HpsError } from '../errors.js';
import { integrityOf } from './runtimes.js';
import { type LockedPackage, tarballName } from './runtimes-lock.js';

const run = promisify(execFile);
/** Of one package; the largest has 45 MB. */
const MOST_MS = 600_000;

/**
 * Downloads a package by npm itself, which knows the user's registry, proxy and credentials, and puts it into a folder once its bytes are
 * those of the lock. Nothing of it is run.
 *
 * @throws HpsError REMOTE_FAILED where npm cannot get it; CHECKSUM_MISMATCH for other bytes
 */
export async function fetchLocked(folder: string, locked: LockedPackage, signal?: AbortSignal): Promise<void> {
  const { name, version, integrity } = locked;
  mkdirSync(folder, { recursive: true });
  await withTemporaryFolder('fetch', async (temporary) => {
    await packed(`${name}@${version}`, temporary, signal);
    const file = tarballName(locked);
    const at = join(temporary, file);
    if (integrityOf(readFileSync(at)) !== integrity) {
      throw new HpsError('CHECKSUM_MISMATCH', `${file}: the registry gave other bytes than those of the lock`, {
        hint: 'Use the registry of npm, or a mirror that passes packages on unchanged.',
        details: { package: `${name}@${version}`, expected: integrity },
      });
    }
    moveInto(at, join(folder, file));
  });
}

async function packed(spec: string, folder: string, signal: AbortSignal | undefined): Promise<void> {
  const args = ['pack', spec, '--pack-destination', folder, '--ignore-scripts', '--silent'];
  try {
    await run('npm', args, { cwd: folder, signal, timeout: MOST_MS, shell: process.platform === 'win32' });
  } catch (cause) {
    signal?.throwIfAborted();
    const { code, stderr = '' } = cause as { code?: string | number; stderr?: string };
    const why =
      code === 'ENOENT'
        ? 'npm is not on the PATH'
        : (stderr.trim().split('\n').at(-1) ?? '') || `npm ended with ${code}`;
    throw new HpsError('REMOTE_FAILED', `${spec}: cannot be fetched: ${why}`, {
      hint: 'Check the network and the registry that npm uses (`npm config get registry`), then try again.',
      details: { package: spec },
      cause,
    });
  }
}

function moveInto(from: string, to: string): void {
  const staged = `${to}.part`;
  // Another file system may lie between: the copy gets its name when it is whole.
  try {
    renameSync(from, to);
  } catch {
    copyFileSync(from, staged);
    renameSync(staged, to);
  }
}
