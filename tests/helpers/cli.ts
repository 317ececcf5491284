import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

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
  /** The program to run instead of `bin/run.js`. */
  program?: string;
}

/** Runs the built command line (`npm test` builds first) in a process of its own, off a terminal and without colours. */
export function hpsv3(args: readonly string[], { cwd, env, program = HPSV3 }: CliOptions = {}): Promise<CliResult> {
  const child = spawn(process.execPath, [program, ...args], {
    cwd,
    env: { ...process.env, FORCE_COLOR: undefined, NODE_ENV: undefined, DEBUG: undefined, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return collect(child);
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
