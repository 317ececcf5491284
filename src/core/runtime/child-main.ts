// The entry of the model process (see child.ts). It is forked, never imported: hence the work on load.
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { failureData } from '../errors.js';
import type { Device } from './device.js';
import { received } from './exchange.js';
import type { ModelReply, ModelRequest, Numbered } from './messages.js';
import { loadRuntime, openSession } from './ort.js';
import { assertOutputBytes } from './outputs.js';
import type { Session } from './session.js';
import { Tally } from './tally.js';
import { cycleOf, turnsOf } from './turns.js';
import type { TensorValue } from './value.js';
import { openWorkerSession, startThreadAhead } from './worker.js';

const sessions = new Map<number, Session>();
const tallies = new Map<number, Tally>();

async function answer(request: ModelRequest): Promise<ModelReply['result']> {
  if (request.kind === 'prepare') {
    const started = performance.now();
    const version = await loadRuntime();
    return { kind: 'prepared', version, prepareMs: performance.now() - started };
  }
  if (request.kind === 'time') return { kind: 'timed', times: await timeInTurn(request) };
  if (request.kind === 'load') {
    watchParent();
    const session = await openSession(request.path, request.options);
    sessions.set(request.session, session);
    return { kind: 'loaded', inputs: session.inputs, outputs: session.outputs, loadMs: session.loadMs };
  }
  if (request.kind === 'open') return open(request);
  const session = sessionOf(request.session);
  if (request.kind === 'release') {
    sessions.delete(request.session);
    tallies.delete(request.session);
    await session.release();
    return { kind: 'released' };
  }
  if (request.kind === 'tallies') {
    const { bins, folded } = tallyOf(request.session);
    tallies.delete(request.session);
    return { kind: 'tallied', tallies: { bins, folded } };
  }
  const started = performance.now();
  const outputs = await session.run(received(request.feeds));
  const runMs = performance.now() - started;
  if (request.tally) {
    tallyOf(request.session).add(outputs, request.tally);
    return { kind: 'ran', outputs: new Map(), runMs };
  }
  assertOutputBytes(outputs, request.outputBytes);
  return { kind: 'ran', outputs, runMs };
}

async function open({
  session: index,
  path,
  options,
  wire,
}: Extract<ModelRequest, { kind: 'open' }>): Promise<ModelReply['result']> {
  const missing: Device[] = [];
  const session = await openWorkerSession(path, { ...options, onFallback: (device) => missing.push(device) });
  if (wire === undefined) sessions.set(index, session);
  else session.listen(wire);
  const { inputs, outputs, loadMs, device } = session;
  return { kind: 'loaded', inputs, outputs, loadMs, device, missing };
}

function tallyOf(session: number): Tally {
  const tally = tallies.get(session) ?? new Tally();
  tallies.set(session, tally);
  return tally;
}

function sessionOf(index: number): Session {
  const session = sessions.get(index);
  if (!session) throw new RangeError(`no session ${index}`);
  return session;
}

async function timeInTurn({ trials, rounds, budgetMs }: Extract<ModelRequest, { kind: 'time' }>): Promise<number[][]> {
  const times = trials.map((): number[] => []);
  const own = trials.map(({ session, feeds }) => ({ session: sessionOf(session), feeds: copied(feeds) }));
  const started = performance.now();
  for (let round = 0; round < rounds; round++) {
    for (const i of turnsOf(round, own.length)) {
      const { session, feeds } = own[i];
      const begun = performance.now();
      await session.run(feeds);
      times[i].push(performance.now() - begun);
    }
    if ((round + 1) % cycleOf(own.length) === 0 && performance.now() - started > budgetMs) break;
  }
  return times;
}

/** Arrays in a message begin wherever it put them; those of a caller are aligned, and kernels read them faster. */
const copied = (feeds: ReadonlyMap<string, TensorValue>): Map<string, TensorValue> =>
  new Map(Array.from(feeds, ([name, value]) => [name, { ...value, data: value.data.slice() }]));

const failure = (error: unknown): ModelReply['result'] => ({ kind: 'failed', ...failureData(error) });

/** By /proc where it is: on Linux, maxRSS starts from what the parent had when it forked. */
function peakRssBytes(): number {
  if (process.platform !== 'linux') return process.resourceUsage().maxRSS * 1024;
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? 0) * 1024;
}

let watch: Worker | undefined;

/** A session of this thread holds it while it runs, and with it every event, maybe for good: another thread has to notice that the parent is gone. */
function watchParent(): void {
  if (watch) return;
  watch = new Worker(new URL('./parent-watch.js', import.meta.url), { workerData: Number(process.argv[2]) });
  watch.unref();
}

async function reply({ id, message }: Numbered<ModelRequest>): Promise<void> {
  const result = await answer(message).catch(failure);
  const answered: Numbered<ModelReply> = {
    id,
    message: { result, peakRssBytes: peakRssBytes(), rssBytes: process.memoryUsage.rss() },
  };
  process.send?.(answered);
}

process.on('message', (request: Numbered<ModelRequest>) => void reply(request));
// Of a terminal, which sends them to the parent as well: that one decides.
process.on('SIGINT', () => undefined);
// The parent is gone, or has hung up. An exit would wait for the threads of sessions, which may run for good.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
// Nobody waits for it yet. A runtime that cannot be loaded is reported by the request that needs it.
if (process.argv[3] === 'main') loadRuntime().catch(() => undefined);
if (process.argv[3] === 'thread') startThreadAhead();
