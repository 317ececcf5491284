import { spawn } from 'node:child_process';
import { StringDecoder } from 'node:string_decoder';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** The project's root, with a slash at the end. */
export const PROJECT = fileURLToPath(new URL('../../', import.meta.url));
export const HPSV3 = `${PROJECT}bin/run.js`;

export interface CliResult {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface CliOptions {
  cwd?: string;
  /** Added to the environment; undefined removes a variable. */
  env?: Record<string, string | undefined>;
}

export interface ProcessOptions extends CliOptions {
  /** The program to run instead of `bin/run.js`. */
  program?: string;
}

/** As off a terminal, without colours, and outside of a test. */
const PLAIN = { FORCE_COLOR: undefined, NODE_ENV: undefined, DEBUG: undefined };

/**
 * Runs the built command line (`npm test` builds first) in a process of its own: for signals, memory, standard input, what Node reads
 * when it starts, and what happens when a process ends. Anything else is quicker by `hpsv3`.
 */
export function hpsv3Process(
  args: readonly string[],
  { cwd, env, program = HPSV3 }: ProcessOptions = {},
): Promise<CliResult> {
  const child = spawn(process.execPath, [program, ...args], {
    cwd,
    env: { ...process.env, ...PLAIN, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return collect(child);
}

let before: Promise<unknown> = Promise.resolve();

/**
 * Runs the built command line in this process, one command after another: arguments, environment and folder are those of this process
 * meanwhile, and what it prints and the exit code are caught.
 */
export function hpsv3(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const result = before.then(() => runHere(args, options));
  before = result.catch(() => undefined);
  return result;
}

async function runHere(args: readonly string[], { cwd, env }: CliOptions): Promise<CliResult> {
  const result: CliResult = { code: null, signal: null, stdout: '', stderr: '' };
  const was = { argv: process.argv, exitCode: process.exitCode, cwd: process.cwd(), exit: process.exit };
  const removeGuards = watchListeners();
  const restoreEnvironment = setEnvironment({ ...PLAIN, ...env });
  const restoreOutput = [
    capture(process.stdout, (text) => (result.stdout += text)),
    capture(process.stderr, (text) => (result.stderr += text)),
  ];
  let exit: number | undefined;
  process.argv = [process.execPath, HPSV3, ...args];
  process.exitCode = undefined;
  process.exit = ((code?: number) => {
    exit ??= code ?? Number(process.exitCode ?? 0); // the last thing that the framework does
  }) as typeof process.exit;
  try {
    if (cwd !== undefined) process.chdir(cwd);
    const { runCli } = await import(`${PROJECT}dist/core/cli/run.js`);
    await runCli(pathToFileURL(HPSV3).href);
    return { ...result, code: exit ?? Number(process.exitCode ?? 0) };
  } finally {
    Object.assign(process, { argv: was.argv, exit: was.exit, exitCode: was.exitCode });
    process.chdir(was.cwd);
    restoreEnvironment();
    removeGuards();
    for (const restore of restoreOutput) restore();
  }
}

/** @returns what takes away the listeners that were added since: a signal to this process is the test runner's */
function watchListeners(): () => void {
  const events = ['SIGHUP', 'SIGINT', 'SIGTERM', 'uncaughtException'] as const;
  const was = events.map((event) => process.listeners(event as 'SIGTERM'));
  return () => {
    for (const [i, event] of events.entries())
      for (const listener of process.listeners(event as 'SIGTERM'))
        if (!was[i].includes(listener)) process.removeListener(event, listener);
  };
}

/** @returns what puts the variables back */
function setEnvironment(variables: Readonly<Record<string, string | undefined>>): () => void {
  const was = Object.fromEntries(Object.keys(variables).map((name) => [name, process.env[name]]));
  const set = (values: typeof variables): void => {
    for (const [name, value] of Object.entries(values)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  };
  set(variables);
  return () => set(was);
}

/** @returns what ends it */
function capture(stream: NodeJS.WriteStream, take: (text: string) => void): () => void {
  const { write } = stream;
  const decoder = new StringDecoder();
  stream.write = ((chunk: string | Uint8Array, ...rest: unknown[]) => {
    take(typeof chunk === 'string' ? chunk : decoder.write(Buffer.from(chunk)));
    const done = rest.find((each) => typeof each === 'function') as (() => void) | undefined;
    if (done) queueMicrotask(done);
    return true;
  }) as typeof stream.write;
  return () => {
    stream.write = write;
  };
}

/** Waits for a child process and collects what it printed. */
export function collect(child: ReturnType<typeof spawn>): Promise<CliResult> {
  const result: CliResult = { code: null, signal: null, stdout: '', stderr: '' };
  child.stdout?.on('data', (chunk) => {
    result.stdout += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    result.stderr += chunk;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ ...result, code, signal }));
  });
}
