// Points git at .githooks in a development checkout; does nothing elsewhere (an installed package, a tarball).
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
if (existsSync(`${root}.git`)) {
  try {
    execFileSync('git', ['config', 'core.hooksPath', '.githooks'], { cwd: root, stdio: 'ignore' });
  } catch {
    // No git here, or a read-only checkout: hooks are a convenience, never a reason to fail an install.
  }
}
