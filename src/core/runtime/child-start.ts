import { type ChildProcess, fork } from 'node:child_process';
import type { Socket } from 'node:net';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Exchange } from './exchange.js';
import { MOST_WIRES, wireFd } from './wire.js';

/** The compiled entry: beside this file in `dist`, or in `dist` for tests that run the TypeScript of `src`. */
const CHILD_ENTRY = fileURLToPath(
  new URL(
    import.meta.url.endsWith('.ts') ? '../../../dist/core/runtime/child-main.js' : './child-main.js',
    import.meta.url,
  ),
);

export interface StartedChild {
  readonly child: ChildProcess;
  /** The file that large values reach it by; null where there is none. */
  readonly exchange: Exchange | null;
  /** Sockets to the threads of its sessions, one each; none on Windows, where no thread can wait for what such a one brings. */
  readonly wires: readonly Socket[];
}

/** A session for each core, and one of a pair's head beside them. */
const WIRES = process.platform === 'win32' ? 0 : Math.min(availableParallelism() + 1, MOST_WIRES);

/** A process that was started before it was asked for. */
let ahead: StartedChild | undefined;

/** What a process gets ready for before it is asked: a session on its main thread, or one in a thread of its own. */
export type Role = 'main' | 'thread';

/**
 * Starts a process for the next `ModelProcess`, which takes it over: it gets ready while the caller reads files. It keeps no program
 * alive, and ends with this one.
 * @returns what ends it if none did
 */
export function startAhead(role: Role): () => void {
  if (ahead) return () => undefined;
  const started = startChild(role);
  ahead = started;
  started.child.unref();
  started.child.channel?.unref();
  started.child.once('error', () => undefined); // one that is not there is not taken
  return () => {
    if (ahead !== started) return;
    ahead = undefined;
    started.child.kill('SIGKILL');
  };
}

/** The process that was started ahead, or a new one. */
export function takeChild(): StartedChild {
  const started = ahead;
  ahead = undefined;
  if (!started || !isAlive(started.child)) return startChild();
  started.child.ref();
  started.child.channel?.ref();
  return started;
}

const isAlive = ({ connected, exitCode, signalCode }: ChildProcess): boolean =>
  connected && exitCode === null && signalCode === null;

/**
 * Bytes from which glibc maps memory by itself and gives it back when it is freed. Its own threshold rises with what is freed, so that
 * half of what a second session takes to load its weights (CLIP ViT-B/32: 300 of 600 MiB) would stay with the process.
 */
const MAPPED_BYTES = 1024 * 1024;

/** @param role - of one that loads the runtime before a request comes */
function startChild(role?: Role): StartedChild {
  const { NODE_OPTIONS: _, ...env } = process.env;
  const exchange = Exchange.open();
  const child = fork(CHILD_ENTRY, [String(process.pid), ...(role ? [role] : [])], {
    // Views of typed arrays, 64-bit integers and maps pass; JSON would lose them.
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc', exchange?.fd ?? 'ignore', ...new Array<'pipe'>(WIRES).fill('pipe')],
    execArgv: [],
    // The caller's own folder may have been deleted: no thread would start in it.
    cwd: dirname(CHILD_ENTRY),
    env: { MALLOC_MMAP_THRESHOLD_: String(MAPPED_BYTES), ...env, ORT_DISABLE_TELEMETRY: '1' },
  });
  child.once('exit', () => exchange?.close());
  child.once('error', () => exchange?.close());
  const wires = Array.from({ length: WIRES }, (_, wire) => child.stdio[wireFd(wire)] as Socket | null);
  for (const wire of wires) wire?.on('error', () => undefined).unref(); // what is written to a process that died: its exit says so
  return { child, exchange, wires: wires.filter((wire) => wire !== null && wire !== undefined) };
}
