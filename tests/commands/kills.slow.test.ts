import { beforeAll, describe, it } from 'vitest';
import { Random } from '../../src/core/bytes/random.js';
import { killLoop, makeInputs, RESUMING_COMMANDS, WRITING_COMMANDS } from '../helpers/kill-loop.js';
import { sharedFolder } from '../helpers/temp.js';

/** 200 over all commands. */
const KILLS = 10;

const folder = sharedFolder();
beforeAll(() => makeInputs(folder));

describe.runIf(process.platform === 'linux')('a command that is killed at any point', () => {
  it.each([...WRITING_COMMANDS, ...RESUMING_COMMANDS])(
    'leaves the old files or the new ones, or goes on to them: $name',
    async (command) => {
      await killLoop(folder, command, Number(process.env['KILLS'] ?? KILLS), new Random(`kills ${command.name}`));
    },
  );
});
