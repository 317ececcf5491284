import { writeSync } from 'node:fs';
import { cleanTemporaryFiles } from '../bytes/staging.js';
import { ERROR_CODES, type HpsError, systemErrorCode } from '../errors.js';
import { errorJson, internalError } from './failure.js';
import { formatJson } from './format.js';
import { hangUp, interrupt, interrupted, SIGNAL_EXIT_CODES, type StopSignal } from './interruption.js';

const [STDOUT, STDERR] = [1, 2];

/** Work that is asked to stop has this long to release what it holds: something that cannot be stopped must not hold the process. */
const GRACE_MS = 800;

let installed = false;
/** Whether a command has put its failure into words already. */
let reported = false;

export const markReported = (): void => {
  reported = true;
};

/**
 * Makes the process end well when it is interrupted, when its output goes nowhere, or when a bug escapes every `await`:
 * temporary files are removed, the exit code says what happened, and `--json` still gets its one document. Calling it
 * again changes nothing, so that `bin/run.js` and a command running inside another CLI can both ask for it.
 */
export function installProcessGuards({ json }: { json: boolean }): void {
  if (installed) return;
  installed = true;
  process.once('exit', cleanTemporaryFiles);
  for (const signal of Object.keys(SIGNAL_EXIT_CODES) as StopSignal[]) process.on(signal, () => stop(signal, json));
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

/** Work under way is asked to stop and then ends the process itself; the second time, or without work, it ends here. */
function stop(signal: StopSignal, json: boolean): void {
  if (signal === 'SIGHUP' && hangUp()) return;
  const asked = interrupt(signal);
  const end = (error: HpsError) => {
    if (json && !reported) writeJson(error);
    else if (!reported && error.hint) writeQuietly(STDERR, `\n${error.message}\n${error.hint}\n`);
    process.exit(SIGNAL_EXIT_CODES[signal]);
  };
  if (asked === undefined) end(interrupted(signal));
  else if (!asked.finishes) setTimeout(() => end(asked.error), GRACE_MS).unref();
}

const writeJson = (error: HpsError): void => writeQuietly(STDOUT, formatJson(errorJson(error)));

/** At once: the process is about to end, and there would be nowhere left to say that this failed too. */
function writeQuietly(fileDescriptor: number, text: string): void {
  try {
    writeSync(fileDescriptor, text);
  } catch {}
}
