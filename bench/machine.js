// What the figures were measured on, in words that say enough to compare and too little to recognise a machine.
import { arch, cpus, platform, totalmem } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

/** Where others take more than this share of the processors, figures are for development only. */
export const BUSY_SHARE = 0.1;
const LOOK_MS = 2000;

/** @returns {Promise<{cpu: string, cores: number, memoryGiB: number, os: string, busyBefore: number}>} busyBefore: share of the processors at work while we wait */
export async function describeMachine() {
  const processors = cpus();
  await sleep(LOOK_MS);
  return {
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    os: `${platform()} ${arch()}`,
    busyBefore: busyShare(processors, cpus()),
  };
}

function busyShare(before, after) {
  const sum = (processors, of) => processors.reduce((total, { times }) => total + of(times), 0);
  const all = ({ user, nice, sys, idle, irq }) => user + nice + sys + idle + irq;
  const idle = sum(after, (times) => times.idle) - sum(before, (times) => times.idle);
  return 1 - idle / Math.max(1, sum(after, all) - sum(before, all));
}
