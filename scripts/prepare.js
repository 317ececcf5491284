// What `npm ci` runs here, and `npm pack`: takes the install step off the runtime, builds what is not built, sets the hook.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * onnxruntime-node is packed with us (`bundleDependencies`), without its install step: that fetches files for CUDA from a second
 * host, and fails the whole install of whoever depends on us where that host cannot be reached. What is in the package is all
 * that the CPU and WebGPU need; `hpsv3 doctor` says how to get the rest. A new file takes the place of the old one, which other
 * checkouts may share by a hard link.
 */
function removeInstallStep() {
  const path = `${root}node_modules/onnxruntime-node/package.json`;
  const { scripts, devDependencies, ...rest } = JSON.parse(readFileSync(path, 'utf8'));
  if (scripts === undefined) return;
  writeFileSync(`${path}.new`, `${JSON.stringify(rest, null, 2)}\n`);
  renameSync(`${path}.new`, path);
}

/** Points git at .githooks in a development checkout; does nothing elsewhere (an installed package, a tarball). */
function setHooks() {
  if (!existsSync(`${root}.git`)) return;
  try {
    execFileSync('git', ['config', 'core.hooksPath', '.githooks'], { cwd: root, stdio: 'ignore' });
  } catch {
    // No git here, or a read-only checkout: hooks are a convenience, never a reason to fail an install.
  }
}

removeInstallStep();
execFileSync(process.execPath, [`${root}scripts/build.js`, '--if-changed'], { stdio: 'inherit' });
setHooks();
