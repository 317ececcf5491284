import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Interfaces } from '@oclif/core';
import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../core/cli/base-command.js';
import { outFlag, seedFlag } from '../core/cli/flags.js';
import { LABEL_PORT } from '../core/cli/listen-flags.js';
import { demoPrinter, formatDemo } from '../core/cli/render-demo.js';
import { formatLabelling, formatLabels } from '../core/cli/render-label.js';
import type { DemoReport } from '../core/lifecycle/demo/demo.js';
import type { DemoCheckpoint, DemoStep } from '../core/lifecycle/demo/plan.js';

/** A path in the package, as it is typed from here. */
const packaged = (path: string): string =>
  relative('', fileURLToPath(new URL(`../../${path}`, import.meta.url))) || '.';

export default class Demo extends HpsCommand<DemoReport> {
  static override summary = 'Run the full pipeline on two small models: from checkpoints to a verified model card.';
  static override description =
    `Each step prints the command that does the same. Comparisons whose truth is known are drawn, both checkpoints are exported
and verified, joined, quantized, calibrated, judged by the way in which pictures and texts were damaged, and profiled; a model
card binds every number to its file. A step that is done already, and whose inputs have not changed, is kept.

Without the bundled checkpoints (or with --nano) the weights are random: then the tools are shown, and the numbers mean nothing.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --out /tmp/demo --nano',
  ];
  static override flags = {
    out: outFlag({ helpValue: 'FOLDER', default: 'reports/demo', description: 'Folder for what is made' }),
    nano: Flags.boolean({ description: 'Use random nano checkpoints, not the bundled ones' }),
    pairs: Flags.integer({
      min: 160, // with fewer there may be too few prompts to fit a calibrator to
      max: 100_000,
      default: 480,
      description: 'Comparisons to draw in each modality',
    }),
    label: Flags.boolean({ description: 'Then open the page of the labeller on the pictures that were compared' }),
    seed: seedFlag,
  };

  protected override readonly report = 'demo';

  async run(): Promise<DemoReport> {
    const { flags } = await this.parse(Demo);
    const checkpoints = flags.nano ? null : bundledCheckpoints();
    const card = checkpoints === null ? 'card-nano.yaml' : 'card.yaml';
    const { runDemo } = await import('../core/lifecycle/demo/demo.js');
    const report = await this.follow(
      ({ signal }) =>
        runDemo({
          signal,
          folder: flags.out,
          checkpoints,
          config: packaged('configs/hpsv3_nano.yaml'),
          card: packaged(`configs/demo/${card}`),
          data: packaged('configs/demo/data.yaml'),
          pairs: flags.pairs,
          seed: flags.seed,
          run: (step) => this.runStep(step, flags.quiet),
          ...(flags.quiet ? {} : demoPrinter(process.stderr)),
        }),
      () => 'The steps that are done are kept: run it again to go on.',
    );
    this.log(formatDemo(report));
    if (flags.label) await this.label(flags.out, flags.seed);
    return report;
  }

  private async label(folder: string, seed: number): Promise<void> {
    const { collectLabels } = await import('../core/lifecycle/label/label.js'); // brings fastify: only where it serves
    const report = await this.follow(
      (run) =>
        collectLabels({
          pairs: join(folder, 'data', 'image', 'labels.jsonl'),
          out: join(folder, 'labelling'),
          question: 'Which one looks less damaged?',
          seed,
          port: LABEL_PORT,
          onListening: (address) => this.logToStderr(formatLabelling(address)),
          ...run,
        }),
      () => 'Every vote that was taken is kept; the same command goes on.',
      { finishes: true },
    );
    this.logToStderr(formatLabels(report));
  }

  /** Runs a command in this process, as if it had been typed. */
  private async runStep({ id, argv }: Pick<DemoStep, 'id' | 'argv'>, quiet: boolean): Promise<unknown> {
    const found = this.config.findCommand(id.replaceAll(' ', ':'), { must: true });
    const StepCommand = (await found.load()) as unknown as {
      readonly flags: object;
      new (argv: string[], config: Interfaces.Config): HpsCommand<unknown>;
    };
    const silent = quiet && 'quiet' in StepCommand.flags ? ['--quiet'] : [];
    return new StepCommand([...argv, ...silent], this.config).runWithin();
  }
}

/** The two small checkpoints of the package; null where it has none. */
function bundledCheckpoints(): readonly [DemoCheckpoint, DemoCheckpoint] | null {
  const [a, b] = ['a', 'b'].map((name): DemoCheckpoint => {
    const folder = packaged(`checkpoints/hpsv3-mini-${name}`);
    const beside = ['config.json', 'tokenizer.json'].map((file) => join(folder, file));
    return { path: join(folder, 'model.safetensors'), beside };
  });
  return [a, b].every(({ path, beside }) => [path, ...beside].every((file) => existsSync(file))) ? [a, b] : null;
}
