import { type ChildProcess, fork } from 'node:child_process';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The compiled entry: beside this file in `dist`, or in `dist` for tests that run the TypeScript of `src`. */
const CHILD_ENTRY = fileURLToPath(
  new URL(
    import.meta.url.endsWith('.ts') ? '../../../dist/core/runtime/child-main.js' : './child-main.js',
    import.meta.url,
  ),
);

/** A process that was started before it was asked for. */
let ahead: ChildProcess | undefined;

/**
 * Starts a process for the next `ModelProcess`, which takes it over: it gets ready while the caller reads files.
 * @returns what ends it if none did
 */
export function startAhead(): () => void {
  if (ahead) return () => undefined;
  const child = startChild('ahead');
  ahead = child;
  child.once('error', () => undefined); // one that is not there is not taken
  return () => {
    if (ahead !== child) return;
    ahead = undefined;
    child.kill('SIGKILL');
  };
}

/** The process that was started ahead, or a new one. */
export function takeChild(): ChildProcess {
  const child = ahead;
  ahead = undefined;
  return child?.connected && child.exitCode === null && child.signalCode === null ? child : startChild();
}

/** @param role - `ahead` for one that loads the runtime before a request comes */
function startChild(role?: 'ahead'): ChildProcess {
  const { NODE_OPTIONS: _, ...env } = process.env;
  return fork(CHILD_ENTRY, [String(process.pid), ...(role ? [role] : [])], {
    // Views of typed arrays, 64-bit integers and maps pass; JSON would lose them.
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    execArgv: [],
    // The caller's own folder may have been deleted: no thread would start in it.
    cwd: dirname(CHILD_ENTRY),
    env: { ...env, ORT_DISABLE_TELEMETRY: '1' },
  });
}
