import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Flags } from '@oclif/core';
import { HpsCommand } from '../core/cli/base-command.js';
import { readConfigFile } from '../core/cli/config.js';
import { quietFlag, seedFlag } from '../core/cli/flags.js';
import { formatDemo } from '../core/cli/render-demo.js';
import { type DemoReport, runDemo } from '../core/lifecycle/demo.js';

const NANO = fileURLToPath(new URL('../../configs/hpsv3_nano.yaml', import.meta.url));

export default class Demo extends HpsCommand<DemoReport> {
  static override summary = 'Walk the road from a checkpoint to verified ONNX files, on a random nano checkpoint.';
  static override description =
    `Every step prints the command that does the same. The weights are random, so the scores mean nothing; what the
table shows is that each modality exports, and that the folded file decides every pair as the plain one does.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --out /tmp/demo',
  ];
  static override flags = {
    out: Flags.string({ helpValue: 'FOLDER', default: 'reports/demo', description: 'Folder for what is made' }),
    seed: seedFlag,
    quiet: quietFlag,
  };

  async run(): Promise<DemoReport> {
    const { flags } = await this.parse(Demo);
    const { model = {} } = await readConfigFile(NANO);
    const report = await runDemo({
      config: { name: relative('', NANO), model },
      folder: flags.out,
      folderLabel: flags.out,
      seed: flags.seed,
      onStep: flags.quiet ? undefined : (command) => process.stderr.write(`$ ${command}\n`),
    });
    this.log(formatDemo(report));
    return report;
  }
}
