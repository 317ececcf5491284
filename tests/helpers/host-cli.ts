import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PROJECT } from './cli.js';

const PACKAGE = {
  name: 'hostcli',
  version: '1.0.0',
  type: 'module',
  dependencies: { hpsv3: '*' },
  oclif: { bin: 'hostcli', commands: './commands', plugins: ['hpsv3'] },
};

const BIN = `import { execute } from '@oclif/core';
await execute({ dir: import.meta.url });
`;

/** Throws whatever it is told to, as a command of hpsv3 would. */
const FAIL = `import { Args } from '@oclif/core';
import { HpsError } from 'hpsv3';
import { HpsCommand } from '../node_modules/hpsv3/dist/core/cli/base-command.js';

const FAILURES = {
  corrupt: () => new HpsError('CHECKPOINT_CORRUPT', 'a.pt: bad \\u001b[31mheader', { hint: 'Get it again.', details: { offset: 8 } }),
  gate: () => new HpsError('GATE_FAILED', 'two flips'),
  bug: () => new TypeError('cannot read /home/someone/secret.js'),
  disk: () => Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' }),
};

export default class Fail extends HpsCommand {
  static args = { how: Args.string({ required: true, ignoreStdin: true }) };
  async run() {
    const { args } = await this.parse(Fail);
    throw FAILURES[args.how]();
  }
}
`;

/** Returns the flags and the configuration it was given. */
const ECHO = `import { HpsCommand } from '../node_modules/hpsv3/dist/core/cli/base-command.js';
import * as shared from '../node_modules/hpsv3/dist/core/cli/flags.js';

export default class Echo extends HpsCommand {
  static flags = {
    config: shared.configFlag,
    seed: shared.seedFlag,
    gate: shared.gateFlag,
    budget: shared.budgetFlag,
    force: shared.forceFlag,
    'dry-run': shared.dryRunFlag,
  };
  async run() {
    const { flags } = await this.parse(Echo);
    this.log(JSON.stringify(flags));
    return { flags, model: this.configFile?.model ?? null, training: this.configFile?.training ?? null };
  }
}
`;

/** A tiny oclif CLI that has hpsv3 as a plugin, in a temporary folder; the path of its program. */
export function makeHostCli(): string {
  const root = mkdtempSync(join(tmpdir(), 'hpsv3-host-'));
  for (const folder of ['bin', 'commands', 'node_modules/@oclif']) mkdirSync(join(root, folder), { recursive: true });
  symlinkSync(PROJECT, join(root, 'node_modules/hpsv3'));
  symlinkSync(`${PROJECT}node_modules/@oclif/core`, join(root, 'node_modules/@oclif/core'));
  writeFileSync(join(root, 'package.json'), JSON.stringify(PACKAGE));
  writeFileSync(join(root, 'bin/run.js'), BIN);
  writeFileSync(join(root, 'commands/fail.js'), FAIL);
  mkdirSync(join(root, 'commands/preference'));
  for (const [name, command] of Object.entries({ machine: 'doctor', split: 'data/split' })) {
    writeFileSync(
      join(root, `commands/preference/${name}.js`),
      `export { default } from 'hpsv3/commands/${command}';\n`,
    );
  }
  writeFileSync(join(root, 'commands/echo.js'), ECHO);
  return join(root, 'bin/run.js');
}
