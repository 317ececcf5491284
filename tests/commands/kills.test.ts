import { beforeAll, describe, it } from 'vitest';
import { Random } from '../../src/core/bytes/random.js';
import { killLoop, makeInputs, WRITING_COMMANDS } from '../helpers/kill-loop.js';
import { sharedFolder } from '../helpers/temp.js';

/** The short form of kills.slow.test.ts, which goes over all commands. */
const QUICK = WRITING_COMMANDS.filter(({ name }) => name === 'init' || name === 'data split');

const folder = sharedFolder();
beforeAll(() => makeInputs(folder));

describe.runIf(process.platform === 'linux')('a command that is killed at any point', () => {
  it.each(QUICK)('leaves the old files or the new ones: $name', async (command) => {
    await killLoop(folder, command, 3, new Random(`kills ${command.name}`));
  });
});
