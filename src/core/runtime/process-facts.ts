import { readFileSync } from 'node:fs';

/** USER_HZ: what the kernel counts in towards programs, whatever its own clock. */
const TICKS_PER_SECOND = 100;

/** Resident memory of a process, in bytes; 0 where it is gone. Waiting for so small a read would cost ten times as much. */
export function residentBytes(pid: number | undefined): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readProc(pid, 'status'))?.[1] ?? 0) * 1024;
}

/** Processor time that a process and its threads have taken, in milliseconds; 0 where it is gone. */
export function processorMs(pid: number | undefined): number {
  // Behind the name of the program, which may hold anything: `) S ppid …`, with utime and stime as the 12th and 13th.
  const fields = readProc(pid, 'stat').split(') ').at(-1)?.split(' ') ?? [];
  return ((Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * 1000) / TICKS_PER_SECOND;
}

function readProc(pid: number | undefined, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    return '';
  }
}
