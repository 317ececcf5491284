// Whole processes, timed and weighed from outside: wall seconds, and the peak of resident memory of a process and all it started.
import { execFileSync, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** VmHWM only grows, so the last look before the end is at most this old. */
const POLL_MS = 10;
/** No peer is worth waiting longer for. */
const PROCESS_CAP_MS = 600_000;

/** Runs a command once. @returns {Promise<{seconds: number, peakMiB: number | null, code: number, output: string}>} */
export function runOnce(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const started = process.hrtime.bigint();
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: PROCESS_CAP_MS, ...options });
    let output = '';
    child.stdout.on('data', (data) => (output += data));
    child.stderr.on('data', (data) => (output += data));
    let peakMiB = null;
    const look = () => {
      const weight = Math.max(memoryOf(child.pid, 'VmHWM'), residentOfTree(child.pid));
      if (weight > 0) peakMiB = Math.max(peakMiB ?? 0, weight / 1024);
    };
    const timer = setInterval(look, POLL_MS);
    child.once('error', (error) => {
      clearInterval(timer);
      reject(error);
    });
    child.once('close', (code) => {
      clearInterval(timer);
      const seconds = Number(process.hrtime.bigint() - started) / 1e9;
      if (code === null) output += `\nError: stopped by a signal after ${seconds.toFixed(0)} s`;
      resolve({ seconds, peakMiB, code: code ?? 1, output });
    });
  });
}

/** A figure of /proc/PID/status in KiB; 0 for a process that is gone, or where there is no /proc. */
function memoryOf(pid, field) {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    return Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** What a process and its living descendants have in memory now, in KiB. Pages that several share count for each. */
function residentOfTree(pid) {
  let total = memoryOf(pid, 'VmRSS');
  for (const child of childrenOf(pid)) total += residentOfTree(child);
  return total;
}

function childrenOf(pid) {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'latin1').split(' ').filter(Boolean),
    );
  } catch {
    return [];
  }
}

/** Runs a command that must succeed, for what is prepared and not measured. @returns {Promise<string>} its output */
export async function must(command, args, options) {
  const { code, output } = await runOnce(command, args, options);
  if (code !== 0) throw new Error(`${[command, ...args].join(' ')} ended with ${code}:\n${output.slice(-2000)}`);
  return output;
}

/** The last line of a script's output as JSON: the scripts here print what they measured inside themselves that way. */
export const lastJson = (output) => JSON.parse(output.trim().split('\n').at(-1));

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
 * Runs rivals in turn (A B C A B C …) after uncounted rounds, so that a drift of the machine meets all alike.
 *
 * A rival is `{name, command, args, version?, reset?, read?}`; `args` may be a function, for what depends on an earlier rival; `read(output)` gives `{seconds, peakMiB?, ...}` where the script measures
 * itself (an inner loop without start-up), else wall time counts; `once` keeps a slow one to a single counted round. The first is ours and must succeed; a peer that fails, or comes as
 * `{name, absent}`, is reported as absent with the reason, never guessed.
 *
 * @returns one `{name, version, seconds, peakMiB, rounds: number[], last}` a rival, or `{name, absent}`
 */
export async function alternate(rivals, { rounds = 3, warmup = 1 } = {}) {
  const entries = rivals.map((rival) => ({ ...rival, runs: [] }));
  for (let round = -warmup; round < rounds; round++) {
    for (const [place, rival] of entries.entries()) {
      if (rival.absent || (rival.once && round !== 0)) continue;
      rival.reset?.();
      settle();
      try {
        const run = await measureOnce(rival);
        if (round >= 0) rival.runs.push(run);
      } catch (error) {
        if (place === 0) throw error;
        rival.absent = `failed: ${reasonOf(error.message)}`;
      }
    }
  }
  return entries.map(summarise);
}

/** The line of a script's output that says what went wrong: its last that names an error, else its last. */
function reasonOf(message) {
  const lines = message.trim().split('\n');
  return (lines.findLast((line) => /error/i.test(line)) ?? lines.at(-1)).trim().slice(0, 200);
}

async function measureOnce({ command, args: given, options, read }) {
  const args = typeof given === 'function' ? given() : given;
  const { output, code, seconds, peakMiB } = await runOnce(command, args, options);
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}:\n${output.trim().slice(-2000)}`);
  return { seconds, peakMiB, ...read?.(output) };
}

function summarise({ name, version, absent, runs }) {
  if (absent) return { name, absent };
  const peaks = runs.map(({ peakMiB }) => peakMiB).filter((peak) => peak !== null);
  return {
    name,
    version,
    seconds: median(runs.map(({ seconds }) => seconds)),
    peakMiB: peaks.length > 0 ? Math.max(...peaks) : null,
    rounds: runs.map(({ seconds }) => seconds),
    last: runs.at(-1),
  };
}
