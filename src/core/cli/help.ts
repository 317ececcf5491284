import { Help } from '@oclif/core/help';

interface Group {
  readonly title: string;
  readonly about: string;
  readonly example: string;
  readonly commands: readonly string[];
}

/** Commands by what one is about to do, in the order in which one does it. */
export const GROUPS: readonly Group[] = [
  {
    title: 'MAKE',
    about: 'a model',
    example: 'export --checkpoint checkpoint.pt --out model.onnx',
    commands: ['init', 'synth', 'data', 'train', 'finetune', 'export', 'contract', 'quantize', 'ensemble', 'calibrate'],
  },
  {
    title: 'JUDGE',
    about: 'whether it is good, and still is',
    example: 'evaluate --scores scores.jsonl --labels labels.jsonl',
    commands: ['inspect', 'verify', 'evaluate', 'profile', 'explain', 'select', 'label', 'drift'],
  },
  {
    title: 'USE',
    about: 'it on your items',
    example: 'batch photos/ --model model.onnx --out scores.jsonl',
    commands: ['demo', 'score', 'batch', 'embed', 'serve', 'worker', 'doctor'],
  },
  {
    title: 'RELEASE',
    about: 'it with what is known of it',
    example: 'modelcard --model model.onnx --evaluation report.json --out card',
    commands: ['modelcard', 'report', 'release'],
  },
];

/** What to do next, for who typed the name of the program alone. */
const FIRST_STEPS: readonly (readonly [string, readonly string[]])[] = [
  ['See the whole way on two small models that are bundled', ['demo']],
  [
    'You have a checkpoint',
    ['inspect checkpoint.pt', 'export --checkpoint checkpoint.pt --out model.onnx', 'verify model.onnx'],
  ],
  ['You have a model', ['score --model model.onnx --left a.jpg --right b.jpg', 'batch pairs.jsonl --model model.onnx']],
  ['You have scores and human labels', ['evaluate --scores scores.jsonl --labels labels.jsonl']],
];

/** The help of `hpsv3` itself: commands by group, and first steps where nothing was asked. */
export default class HpsHelp extends Help {
  override async showHelp(argv: string[]): Promise<void> {
    if (process.argv.length <= 2 && argv.length === 0) this.log(this.firstSteps());
    else await super.showHelp(argv);
  }

  override async showRootHelp(): Promise<void> {
    this.log([this.formatRoot(), ...GROUPS.map((group) => this.formatGroup(group)), this.footer()].join('\n\n'));
  }

  firstSteps(): string {
    const { bin } = this.config;
    const steps = FIRST_STEPS.map(([when, commands]) =>
      this.section(when, commands.map((command) => `$ ${bin} ${command}`).join('\n')),
    );
    return [...steps, this.footer()].join('\n\n');
  }

  private formatGroup({ title, about, example, commands }: Group): string {
    const rows = this.sortedCommands.filter(({ id }) => commands.includes(id));
    const topics = this.sortedTopics.filter(
      ({ name }) => commands.includes(name) && !rows.some(({ id }) => id === name),
    );
    const known = [
      ...rows.map((command): [string, string] => [command.id, this.summary(command) ?? '']),
      ...topics.map(({ name, description = '' }): [string, string] => [name, description]),
    ].sort(([a], [b]) => commands.indexOf(a) - commands.indexOf(b));
    const list = this.renderList(known, { indentation: 2, spacer: '\n', stripAnsi: this.opts.stripAnsi });
    return this.section(`${title} ${about}`, `${list}\n\n$ ${this.config.bin} ${example}`);
  }

  private footer(): string {
    const { bin } = this.config;
    return this.section(
      'MORE',
      `$ ${bin} --help            all commands\n$ ${bin} COMMAND --help    what one does, its flags and examples`,
    );
  }
}
