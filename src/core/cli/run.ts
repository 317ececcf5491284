import { userInfo } from 'node:os';
import { handle } from '@oclif/core/handle';
import { run } from '@oclif/core/run';
import { ERROR_CODES } from '../errors.js';
import { asHpsError, errorJson, internalError, isExit, jsonRequested, toCliError } from './failure.js';
import { formatJson } from './format.js';
import { installProcessGuards } from './process-guards.js';

/**
 * Runs the command named on the command line and sets the exit code.
 *
 * @param importMetaUrl - `import.meta.url` of the program, from which oclif finds the package
 */
export async function runCli(importMetaUrl: string): Promise<void> {
  const argv = process.argv.slice(2);
  const json = jsonRequested(argv, process.env['HPSV3_CONTENT_TYPE']);
  installProcessGuards({ json });
  nameShell();
  try {
    await run(argv, importMetaUrl);
  } catch (error) {
    if (isExit(error) || isReported(error)) return handle(error as Error);
    const known = asHpsError(error);
    if (!json) return handle(known === null ? (error as Error) : toCliError(known));
    const shown = known ?? internalError(error);
    process.exitCode = shown.exitCode;
    process.stdout.write(formatJson(errorJson(shown)));
  }
}

/** The framework asks for the shell of the user, and fails where the system does not know the user: any number will do in a container. */
function nameShell(): void {
  if (process.env['SHELL'] !== undefined) return;
  try {
    userInfo();
  } catch {
    process.env['SHELL'] = '';
  }
}

/** A failure that its command has put into words already. */
function isReported(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && Object.hasOwn(ERROR_CODES, code);
}
