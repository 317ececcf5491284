import { writeSync } from 'node:fs';
import { cleanTemporaryFiles } from '../bytes/staging.js';
import { ERROR_CODES, HpsError, systemErrorCode } from '../errors.js';
import { errorJson, internalError } from './failure.js';
import { formatJson } from './format.js';

/** 128 plus the number of the signal, as shells report it. */
const SIGNAL_EXIT_CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
const [STDOUT, STDERR] = [1, 2];

let installed = false;

/**
 * Makes the process end well when it is interrupted, when its output goes nowhere, or when a bug escapes every `await`:
 * temporary files are removed, the exit code says what happened, and `--json` still gets its one document. Calling it
 * again changes nothing, so that `bin/run.js` and a command running inside another CLI can both ask for it.
 */
export function installProcessGuards({ json }: { json: boolean }): void {
  if (installed) return;
  installed = true;
  process.once('exit', cleanTemporaryFiles);
  for (const [signal, exitCode] of Object.entries(SIGNAL_EXIT_CODES)) {
    process.once(signal, () => {
      if (json) writeJson(new HpsError('INTERRUPTED', `stopped by ${signal}`, { details: { signal } }));
      process.exit(exitCode);
    });
  }
  process.once('uncaughtException', (error) => {
    const shown = internalError(error);
    if (json) writeJson(shown);
    writeQuietly(
      STDERR,
      `${process.env['DEBUG'] ? error.stack : `${shown.message}: ${error.message}\n${shown.hint}`}\n`,
    );
    process.exit(shown.exitCode);
  });
  // Before oclif's own listener, which throws (and so ends with a stack) for all but EPIPE.
  process.stdout.prependListener('error', (error) => {
    const system = systemErrorCode(error) ?? error.name;
    if (system === 'EPIPE') process.exit(); // the reader has what it wanted: `| head -1`
    writeQuietly(STDERR, `standard output could not be written (${system})\n`);
    process.exit(ERROR_CODES.OUTPUT_WRITE_FAILED.exit);
  });
  process.stderr.on('error', () => {}); // nobody reads our messages: no reason to stop the work
}

const writeJson = (error: HpsError): void => writeQuietly(STDOUT, formatJson(errorJson(error)));

/** At once: the process is about to end, and there would be nowhere left to say that this failed too. */
function writeQuietly(fileDescriptor: number, text: string): void {
  try {
    writeSync(fileDescriptor, text);
  } catch {}
}
