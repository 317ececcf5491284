import type { Hook } from '@oclif/core';
import { suggest } from '../bytes/suggest.js';
import { HpsError } from '../errors.js';
import { errorJson, jsonRequested, toCliError } from './failure.js';
import { formatJson } from './format.js';

/** What a CLI says of a command that none of its plugins has: hpsv3's own, and any that hpsv3 is a plugin of. */
const commandNotFound: Hook.CommandNotFound = async ({ id, argv = [], config }) => {
  const command = id.replaceAll(':', ' ');
  const meant = suggest(
    command,
    config.commandIDs.map((known) => known.replaceAll(':', ' ')),
  );
  const error = new HpsError('USAGE', `there is no command ${command}`, {
    hint: meant === undefined ? `See ${config.bin} --help for the commands there are.` : `Did you mean ${meant}?`,
    details: { command },
  });
  if (!jsonRequested(argv, config.scopedEnvVar('CONTENT_TYPE'))) throw toCliError(error);
  process.exitCode = error.exitCode;
  process.stdout.write(formatJson(errorJson(error)));
};

export default commandNotFound;
