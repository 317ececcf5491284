import { readdirSync, readFileSync } from 'node:fs';

/** Model processes (src/core/runtime/child.ts) that run for a process, alive or dead; none where there is no /proc. */
export function modelProcessesOf(pid: number): number[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((candidate) => isModelProcessOf(candidate, pid));
}

function isModelProcessOf(candidate: number, pid: number): boolean {
  try {
    // A process that ended has no command line, even before it is reaped.
    const [, entry = '', parent] = readFileSync(`/proc/${candidate}/cmdline`, 'utf8').split('\0');
    return entry.endsWith('child-main.js') && Number(parent) === pid;
  } catch {
    return false; // gone meanwhile
  }
}

const TICKS_PER_SECOND = 100; // of Linux on every common machine

/** Processor time that a process has used in user mode; 0 once it is gone. */
export function cpuSeconds(pid: number): number {
  try {
    const [, fields] = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ');
    return Number(fields.split(' ')[11]) / TICKS_PER_SECOND;
  } catch {
    return 0;
  }
}

/** Waits until a condition holds: by default as long as it takes on a machine that has much else to do. */
export async function until(condition: () => boolean, timeoutMs = 90_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
