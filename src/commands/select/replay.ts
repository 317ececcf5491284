import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../../core/cli/base-command.js';
import { configFlag, forceFlag, outFlag, quietFlag, seedFlag } from '../../core/cli/flags.js';
import { formatSelectReplay } from '../../core/cli/render-select.js';
import { memberFlag, shareFlag } from '../../core/cli/select-flags.js';
import {
  replaySelection,
  SELECT_REPLAY_DEFAULTS,
  type SelectReplayReport,
} from '../../core/lifecycle/select/replay.js';
import { SELECTION_METHODS } from '../../core/selection/acquisition.js';
import { REPLAY_METRICS } from '../../core/selection/replay.js';

export default class SelectReplay extends HpsCommand<SelectReplayReport> {
  static override summary = 'Show how many labels a method saves, on labels that are there or on a simulation.';
  static override description =
    `Labels are put away and asked for again, vote by vote: by the method, and by lot. Both learn utilities the same way, with the scores of
the model, where given, as what is believed beforehand. What counts is how many labels it takes to come --goal of the way from none to
what all of them say. Intervals resample prompts and replays. Without --labels the votes are simulated.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %> --labels labels.jsonl --out replay.json',
    '<%= config.bin %> <%= command.id %> --labels labels.jsonl --scores scores.jsonl --metric accuracy --out replay.json',
    '<%= config.bin %> <%= command.id %> --items 16 --replays 50',
  ];
  static override flags = {
    labels: Flags.string({ helpValue: 'FILE', description: 'Labels to ask for again' }),
    scores: Flags.string({
      helpValue: 'FILE',
      description: 'Scores of the model that is to learn',
      dependsOn: ['labels'],
    }),
    member: memberFlag,
    out: outFlag({ helpValue: 'FILE.json', description: 'The report as JSON; the curves are drawn beside it' }),
    method: Flags.option({
      options: SELECTION_METHODS.filter((method) => method !== 'random'),
      default: SELECT_REPLAY_DEFAULTS.method,
      description: 'How to choose',
    })(),
    metric: Flags.option({
      options: REPLAY_METRICS,
      default: SELECT_REPLAY_DEFAULTS.metric,
      description: "What is to come near: Kendall's tau within prompts, or the share of votes decided right",
    })(),
    replays: Flags.integer({ min: 2, max: 10_000, default: SELECT_REPLAY_DEFAULTS.replays, description: 'Replays' }),
    'batch-size': Flags.integer({
      aliases: ['batch'],
      min: 1,
      max: 100_000,
      description: 'Labels asked for at a time; 1 % of the pairs and at least 8 by default',
    }),
    goal: shareFlag('goal', 'Share of the way from no labels to all of them; 0.9, and 0.75 of a simulation'),
    prompts: Flags.integer({
      min: 1,
      max: 10_000,
      default: SELECT_REPLAY_DEFAULTS.prompts,
      description: 'Prompts of a simulation',
    }),
    items: Flags.integer({
      min: 2,
      max: 200,
      default: SELECT_REPLAY_DEFAULTS.items,
      description: 'Items of each prompt of a simulation',
    }),
    config: configFlag,
    seed: seedFlag,
    force: forceFlag,
    quiet: quietFlag,
  };

  async run(): Promise<SelectReplayReport> {
    const { flags } = await this.parse(SelectReplay);
    const { member: members, 'batch-size': batch, goal: target, quiet: _, config: __, ...rest } = flags;
    const report = await this.follow((run) => replaySelection({ ...rest, members, batch, target, ...run }));
    this.log(formatSelectReplay(report));
    return report;
  }
}
