#!/usr/bin/env node
// npm run fuzz [target …] [-- --seconds 60] [--seed 1]: feeds mutated files to every reader and tells of each input that crashes,
// hangs or takes too much memory. Seeded: the same seed and iteration give the same input. A target runs in a child process of its
// own; what is found is written to reports/fuzz, from where it belongs into tests/fuzz/corpus once it is mended.
import { fork } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { inputOf } from './fuzz/mutate.js';
import { SELF_TESTS, TARGETS } from './fuzz/targets.js';

const MEMORY_BYTES = 2 ** 30;
/** V8's own limit: below what a process may take, so that it is the reader that fails. */
const HEAP_MB = 700;
/** A target that fails so often is broken. */
const MOST_FINDINGS = 20;
/** What of a child is looked at this often. */
const POLL_MS = 50;
/** On a busy machine an input may wait: only many times its processor time is a hang by the clock. */
const WALL_FACTOR = 6;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: '1' },
    'hang-ms': { type: 'string', default: '10000' },
    out: { type: 'string', default: fileURLToPath(new URL('../reports/fuzz/', import.meta.url)) },
  },
});
const { seed, out } = values;
const hangMs = Number(values['hang-ms']);
const all = { ...TARGETS, ...SELF_TESTS };
const names = positionals.length > 0 ? positionals : Object.keys(TARGETS);
const unknown = names.filter((name) => !Object.hasOwn(all, name));
const seconds = Number(values.seconds);
if (unknown.length > 0 || !(seconds > 0)) {
  console.error(`Targets: ${Object.keys(TARGETS).join(', ')}. Give --seconds N over all of them.`);
  process.exit(2);
}

let failures = 0;
let inputs = 0;
for (const name of names) {
  const { iterations, peakBytes, findings } = await fuzz(name, (1000 * seconds) / names.length);
  inputs += iterations;
  failures += findings.length;
  console.log(
    `${name.padEnd(12)} ${String(iterations).padStart(8)} inputs  peak ${Math.round(peakBytes / 2 ** 20)} MiB  ${findings.length} found`,
  );
  for (const { kind, iteration, detail } of findings) {
    mkdirSync(out, { recursive: true });
    const file = join(out, `${name}-${seed}-${iteration}`);
    writeFileSync(file, inputOf(all[name], name, seed, iteration));
    console.log(`  ${kind} at iteration ${iteration} (${file}): ${detail}`);
  }
}
console.log(`${inputs} inputs, ${failures} found (seed ${seed})`);
process.exitCode = failures > 0 ? 1 : 0;

/** Runs a target for its time; a child that was ended is started again behind the input that ended it. */
async function fuzz(name, budgetMs) {
  const deadline = { budgetMs, at: Infinity }; // from the first input: on a busy machine a process takes its time to start
  const findings = [];
  let next = 0;
  let peakBytes = 0;
  do {
    const run = await runChild(name, next, deadline);
    findings.push(...run.findings);
    peakBytes = Math.max(peakBytes, run.peakBytes);
    next = run.next;
  } while (performance.now() < deadline.at && findings.length < MOST_FINDINGS);
  return { iterations: next, peakBytes, findings };
}

function runChild(name, start, deadline) {
  const child = fork(fileURLToPath(new URL('fuzz/worker.js', import.meta.url)), [name, seed, String(start)], {
    execArgv: [`--max-old-space-size=${HEAP_MB}`],
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  const findings = [];
  const seen = new Set();
  let iteration = start - 1;
  let peakBytes = 0;
  let ended = false;
  let started = false;
  let since;
  child.on('message', (message) => {
    if (message.error === undefined) {
      iteration = message.iteration;
      since = undefined;
      started = true;
      if (performance.now() > deadline.at) end(); // between two inputs: what hangs is told as that
      if (deadline.at === Infinity) deadline.at = performance.now() + deadline.budgetMs;
    } else if (!seen.has(message.kind)) {
      seen.add(message.kind);
      findings.push({ kind: 'crash', iteration: message.iteration, detail: message.error });
    }
  });
  const end = (kind, detail) => {
    if (ended) return;
    ended = true;
    if (kind) findings.push({ kind, iteration, detail });
    child.kill('SIGKILL');
  };
  const poll = setInterval(() => {
    if (!started) return;
    since ??= { wall: performance.now(), cpu: processorMs(child.pid) };
    const wall = performance.now() - since.wall;
    const cpu = processorMs(child.pid) - since.cpu;
    const bytes = residentBytes(child.pid);
    peakBytes = Math.max(peakBytes, bytes);
    if (bytes > MEMORY_BYTES) end('memory', `${bytes} bytes`);
    else if (cpu > hangMs || wall > WALL_FACTOR * hangMs) end('hang', `${Math.round(wall)} ms`);
  }, POLL_MS);
  return new Promise((resolve) => {
    child.on('exit', (code, signal) => {
      clearInterval(poll);
      if (!ended)
        findings.push({ kind: 'crash', iteration, detail: `the process ended by ${signal ?? `exit ${code}`}` });
      resolve({ findings, peakBytes, next: iteration + 1 });
    });
  });
}

/** Processor time of a process; 0 where there is no /proc, and then the clock alone counts. */
function processorMs(pid) {
  const fields = read(`/proc/${pid}/stat`).split(') ')[1]?.split(' ');
  return fields ? 10 * (Number(fields[11]) + Number(fields[12])) : 0; // ticks of Linux, 100 a second
}

function residentBytes(pid) {
  const [, kibibytes] = /VmRSS:\s+(\d+)/.exec(read(`/proc/${pid}/status`)) ?? [];
  return 1024 * Number(kibibytes ?? 0);
}

function read(path) {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
