import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BundleFile } from './archive.js';
import { PACKAGE_ROOT } from './program.js';
import type { Target } from './targets.js';

/** Uses nothing but the shell itself, so that it runs where there is no other program. */
const SHELL_LAUNCHER = `#!/bin/sh
# Starts the program of this folder with the Node that lies beside it.
case $0 in
  */*) here=\${0%/*} ;;
  *) here=. ;;
esac
exec "$here/lib/node" "$here/lib/app/bin/run_hpsv3.js" "$@"
`;

const BATCH_LAUNCHER = [
  '@echo off',
  '"%~dp0lib\\node.exe" "%~dp0lib\\app\\bin\\run_hpsv3.js" %*',
  'exit /b %ERRORLEVEL%',
  '',
].join('\r\n');

/** What starts a release on a system. */
export function launchersOf({ platform }: Target): BundleFile[] {
  if (platform !== 'win32') return [{ path: 'run_hpsv3', content: Buffer.from(SHELL_LAUNCHER), executable: true }];
  return [
    { path: 'run_hpsv3.bat', content: Buffer.from(BATCH_LAUNCHER) },
    { path: 'run_hpsv3.exe', content: readFileSync(join(PACKAGE_ROOT, 'launcher/run_hpsv3.exe')) },
  ];
}
