// Whole processes, timed and weighed from outside: wall seconds, and peak resident memory as the kernel counted it.
import { execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** VmHWM only grows, so the last look before the end is at most this old. */
const POLL_MS = 10;

/** Runs a command once. @returns {Promise<{seconds: number, peakMiB: number | null, code: number, output: string}>} */
export function runOnce(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const started = process.hrtime.bigint();
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    let output = '';
    child.stdout.on('data', (data) => (output += data));
    child.stderr.on('data', (data) => (output += data));
    let peakMiB = null;
    const look = () => {
      try {
        const found = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, 'latin1'));
        if (found) peakMiB = Number(found[1]) / 1024;
      } catch {
        // Gone, or no /proc on this system: the figure stays what it was.
      }
    };
    const timer = setInterval(look, POLL_MS);
    child.once('error', reject);
    child.once('close', (code) => {
      clearInterval(timer);
      const seconds = Number(process.hrtime.bigint() - started) / 1e9;
      resolve({ seconds, peakMiB, code: code ?? 1, output });
    });
  });
}

/** Waits until the disk has what came before, so that nobody pays for the writes of another. */
function settle() {
  try {
    execFileSync('sync');
  } catch {
    // No such command on this system: the figures are then a little noisier.
  }
}

export const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

/**
 * Runs several commands in turn (A B C A B C …) after one uncounted round, so that a drift of the machine meets all alike.
 * @param {{name: string, command: string, args: string[], reset?: () => void}[]} rivals
 */
export async function compare(rivals, { rounds = 5, warmup = 1 } = {}) {
  const results = new Map(rivals.map(({ name }) => [name, []]));
  for (let round = -warmup; round < rounds; round++) {
    for (const { name, command, args, reset } of rivals) {
      reset?.();
      settle();
      const result = await runOnce(command, args);
      if (result.code !== 0)
        throw new Error(`${name} ended with exit code ${result.code}:\n${result.output.slice(-2000)}`);
      if (round >= 0) results.get(name).push(result);
    }
  }
  return rivals.map(({ name }) => {
    const runs = results.get(name);
    const peaks = runs.map(({ peakMiB }) => peakMiB).filter((peak) => peak !== null);
    return {
      name,
      seconds: median(runs.map(({ seconds }) => seconds)),
      peakMiB: peaks.length > 0 ? Math.max(...peaks) : null,
      runs: runs.length,
    };
  });
}

/** A table of medians, each beside its ratio to the first row. */
export function printTable(title, rows) {
  const [first] = rows;
  console.log(`\n${title}`);
  for (const { name, seconds, peakMiB, runs } of rows) {
    const ratio = (seconds / first.seconds).toFixed(2);
    const memory = peakMiB === null ? 'memory unknown' : `${peakMiB.toFixed(0)} MiB`;
    console.log(
      `  ${name.padEnd(28)} ${seconds.toFixed(2).padStart(8)} s  ${ratio.padStart(7)} x  ${memory.padStart(12)}  (${runs} runs)`,
    );
  }
}
