import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../../core/cli/base-command.js';
import { processStreams } from '../../core/cli/data-flags.js';
import { configFlag, forceFlag, outFlag, seedFlag } from '../../core/cli/flags.js';
import { shareFlag } from '../../core/cli/label-flags.js';
import { LABEL_PORT, listenFlags, portFlag, tlsOf } from '../../core/cli/listen-flags.js';
import { formatLabelling, formatLabels } from '../../core/cli/render-label.js';
import { mediaRootFlag, remoteFlags, remoteOf } from '../../core/cli/scoring-flags.js';
import type { LabelReport } from '../../core/lifecycle/label/label.js';

const NOTHING_LOST = () => 'Every vote that was taken is kept; the same command goes on.';

export default class Label extends HpsCommand<LabelReport> {
  static override summary = 'Collect the votes of people on pairs, on a page in their browsers.';
  static override description =
    `The reference tool for collecting pairwise labels (tools/collect_annotations.py of the paper's code is this command). OUT holds
votes.jsonl, a log in which every vote that a page was told of is on disk and none is ever overwritten, and what is made of it when the
command ends: labels.jsonl and labels.csv for \`hpsv3 calibrate\`, \`finetune\` and \`evaluate\`, label-studio.json, argilla.jsonl and
arena.jsonl. Which of the two stands first is drawn for every rater and pair, and recorded with the vote.
Whoever opens the page may take part, on this machine alone. With --raters or --invite raters come by links that are good once, and
--host may be an address that others reach.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %> --pairs pairs.jsonl --out session',
    '<%= config.bin %> <%= command.id %> --pairs pairs.jsonl --out session --raters 11 --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem',
    '<%= config.bin %> <%= command.id %> --pairs pairs.jsonl --out session --by queue.jsonl --gold gold.jsonl',
    '<%= config.bin %> <%= command.id %> --pairs pairs.jsonl --out session --offline page.html',
  ];
  static override flags = {
    pairs: Flags.string({
      helpValue: 'ROWS',
      description: 'Data file of pairs, or - for standard input; without it, those that OUT has',
    }),
    out: outFlag({
      required: true,
      helpValue: 'FOLDER',
      description: 'Folder of the session; one that is there goes on',
    }),
    raters: Flags.integer({
      min: 1,
      max: 1000,
      helpValue: 'N',
      description:
        'So many raters, each by a link of its own; where a balanced design fits, each pair has its raters from the start',
      exclusive: ['invite'],
    }),
    invite: Flags.boolean({ description: 'Raters come by links that the page of the administrator makes' }),
    'votes-per-pair': Flags.integer({ default: 5, min: 1, max: 1000, description: 'Raters who judge each pair' }),
    gold: Flags.string({
      helpValue: 'ROWS',
      description: 'Pairs with labels that are the answer: asked unmarked, to know raters by',
    }),
    'gold-share': shareFlag({ default: 0.05, description: 'Share of questions that are gold' }),
    'repeat-share': shareFlag({
      default: 0.03,
      description: 'Share of questions that are asked again with the sides swapped',
    }),
    by: Flags.string({ helpValue: 'FILE', description: 'Queue of `hpsv3 select`: these pairs alone, in this order' }),
    question: Flags.string({
      description: "What is asked; by default a pair's context that is a question, or its task",
    }),
    consent: Flags.string({ helpValue: 'FILE', description: 'Text that raters agree to before they begin' }),
    offline: Flags.string({
      helpValue: 'FILE.html',
      description: 'Write page, pairs and media as one file instead; votes come back by `hpsv3 label merge`',
    }),
    ...listenFlags,
    port: portFlag(LABEL_PORT),
    'media-root': mediaRootFlag,
    ...remoteFlags,
    'log-level': Flags.option({ options: ['error', 'warn', 'info', 'debug'] as const, default: 'warn' as const })(),
    config: configFlag,
    seed: seedFlag,
    force: forceFlag,
  };

  protected override readonly report = 'label';

  async run(): Promise<LabelReport> {
    const { flags } = await this.parse(Label);
    const { collectLabels } = await import('../../core/lifecycle/label/label.js'); // brings fastify: only where it serves
    const report = await this.follow(
      (run) =>
        collectLabels({
          pairs: flags.pairs,
          out: flags.out,
          raters: flags.raters,
          invite: flags.invite,
          votesPerPair: flags['votes-per-pair'],
          gold: flags.gold,
          goldShare: flags['gold-share'],
          repeatShare: flags['repeat-share'],
          by: flags.by,
          question: flags.question,
          consent: flags.consent,
          offline: flags.offline,
          host: flags.host,
          port: flags.port,
          tls: tlsOf(flags),
          mediaRoot: flags['media-root'],
          remote: remoteOf(flags),
          logLevel: flags['log-level'],
          seed: flags.seed,
          force: flags.force,
          streams: processStreams(),
          // On standard error, so that --json has standard output for itself.
          onListening: (address) => this.logToStderr(formatLabelling(address)),
          ...run,
        }),
      NOTHING_LOST,
      { finishes: true },
    );
    this.log(formatLabels(report));
    return report;
  }
}
