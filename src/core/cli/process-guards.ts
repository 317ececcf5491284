import { writeSync } from 'node:fs';
import { HpsError, systemErrorCode } from '../errors.js';
import { errorJson } from './failure.js';

/** 128 plus the number of the signal, as shells report it. */
const SIGNAL_EXIT_CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
const OUTPUT_WRITE_FAILED_EXIT = new HpsError('OUTPUT_WRITE_FAILED', '').exitCode;
const [STDOUT, STDERR] = [1, 2];

let installed = false;

/**
 * Makes the process end well when it is interrupted or when its output goes nowhere: temporary files are removed, the
 * exit code says what happened, and no stack is printed. Calling it again changes nothing, so that `bin/run.js` and a
 * command running inside another CLI can both ask for it.
 */
export function installProcessGuards(options: { json: boolean }): void {
  if (installed) return;
  installed = true;
  for (const [signal, exitCode] of Object.entries(SIGNAL_EXIT_CODES)) {
    process.once(signal, () => {
      const error = new HpsError('INTERRUPTED', `stopped by ${signal}`, { details: { signal } });
      if (options.json) writeQuietly(STDOUT, `${JSON.stringify(errorJson(error))}\n`);
      stop(exitCode);
    });
  }
  // Before oclif's own listener, which throws (and so ends with a stack) for all but EPIPE.
  process.stdout.prependListener('error', (error) => {
    if (systemErrorCode(error) === 'EPIPE') stop(process.exitCode); // the reader has what it wanted: `| head -1`
    writeQuietly(STDERR, `standard output could not be written (${systemErrorCode(error) ?? error.name})\n`);
    stop(OUTPUT_WRITE_FAILED_EXIT);
  });
  process.stderr.on('error', () => {}); // nobody reads our messages: no reason to stop the work
}

function stop(exitCode: number | string | null | undefined): never {
  process.exit(exitCode ?? 0);
}

function writeQuietly(fileDescriptor: number, text: string): void {
  try {
    writeSync(fileDescriptor, text);
  } catch {
    // The process is ending, and there is nowhere left to say that this failed too.
  }
}
