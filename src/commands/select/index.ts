import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../../core/cli/base-command.js';
import { layoutFlags } from '../../core/cli/data-flags.js';
import { configFlag, forceFlag, outFlag, quietFlag, seedFlag } from '../../core/cli/flags.js';
import { formatSelection } from '../../core/cli/render-select.js';
import { memberFlag, shareFlag } from '../../core/cli/select-flags.js';
import { HpsError } from '../../core/errors.js';
import { SELECT_DEFAULTS, type SelectReport, selectPairs } from '../../core/lifecycle/select/select.js';
import { SELECTION_METHODS } from '../../core/selection/acquisition.js';

export default class Select extends HpsCommand<SelectReport> {
  static override summary = 'Say which pairs to label next: those whose labels are expected to tell most.';
  static override description =
    `bt-eig asks what a vote is expected to tell of the utilities of the items (Bradley and Terry with ties), given the model and the labels
so far; bald asks where members of an ensemble disagree, entropy where the model is unsure, and random asks by lot. A tenth of the queue is
by lot in any case. Every row of the queue says how probable it was that it would be there, and \`calibrate\` and \`evaluate\` count it as
one over that, so that what was chosen does not pass for a fair sample. \`hpsv3 select replay\` shows what a method saves.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %> --pairs pairs.jsonl --scores scores.jsonl --budget 200 --out queue.jsonl',
    '<%= config.bin %> <%= command.id %> --pairs pairs.jsonl --scores s.jsonl --labels so-far.jsonl --held-out test.jsonl --budget 200 --out queue.jsonl',
    '<%= config.bin %> <%= command.id %> --pairs p.jsonl --member a.jsonl --member b.jsonl --method bald --budget 200 --out queue.jsonl',
  ];
  static override flags = {
    pairs: Flags.string({
      helpValue: 'FILE',
      description: 'Pairs that may be asked for: JSONL, CSV or Parquet. Without it, those of the scores, by id alone',
    }),
    scores: Flags.string({ helpValue: 'FILE', description: 'Scores of the model: {"id", "logit"} a line' }),
    member: memberFlag,
    labels: Flags.string({ helpValue: 'FILE', description: 'Labels so far, of these pairs and of others like them' }),
    calibrator: Flags.string({ helpValue: 'FILE', description: 'Calibrator of the scores' }),
    budget: Flags.integer({ required: true, min: 1, max: 10_000_000, description: 'Pairs to ask for' }),
    out: outFlag({ required: true, helpValue: 'FILE.jsonl', description: 'The queue, in the order to label it' }),
    method: Flags.option({
      options: SELECTION_METHODS,
      default: SELECT_DEFAULTS.method,
      description: 'How to choose',
    })(),
    'random-share': shareFlag('random-share', 'Share of the queue that is drawn by lot', SELECT_DEFAULTS.randomShare),
    'per-prompt': Flags.integer({
      min: 1,
      description: 'Most pairs of one prompt that are chosen; bt-eig needs no limit, others take twice an even share',
    }),
    'votes-per-pair': Flags.integer({
      min: 1,
      max: 1024,
      default: SELECT_DEFAULTS.votesPerPair,
      description: 'A pair with as many votes is not asked for again',
    }),
    'held-out': Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'FILE',
      description: 'Rows that judge models: their prompts and items are not asked for. Can be given several times',
    }),
    times: Flags.string({
      helpValue: 'votes.jsonl',
      description: 'Votes of `hpsv3 label` with their times: pairs are then ranked by gain a second',
    }),
    'prior-deviation': Flags.custom<number>({
      parse: async (text) => parseDeviation(text),
      helpValue: 'LOGITS',
      description: 'How far people are expected to be from the model; by default what the labels so far say',
    })(),
    'stop-below': shareFlag(
      'stop-below',
      'Say that enough is labelled where fewer decisions than this are expected to change for the better',
      SELECT_DEFAULTS.stopBelow,
    ),
    ...layoutFlags,
    config: configFlag,
    seed: seedFlag,
    force: forceFlag,
    quiet: quietFlag,
  };

  async run(): Promise<SelectReport> {
    const { flags } = await this.parse(Select);
    const report = await this.follow((run) =>
      selectPairs({
        pairs: flags.pairs,
        scores: flags.scores,
        members: flags.member,
        labels: flags.labels,
        calibrator: flags.calibrator,
        budget: flags.budget,
        out: flags.out,
        method: flags.method,
        randomShare: flags['random-share'],
        perPrompt: flags['per-prompt'],
        votesPerPair: flags['votes-per-pair'],
        heldOut: flags['held-out'],
        times: flags.times,
        priorDeviation: flags['prior-deviation'],
        stopBelow: flags['stop-below'],
        layout: flags.layout,
        map: flags.map,
        seed: flags.seed,
        force: flags.force,
        ...run,
      }),
    );
    this.log(formatSelection(report));
    return report;
  }
}

function parseDeviation(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= 0.01 && value <= 10) return value;
  throw new HpsError('USAGE', `--prior-deviation: expected a number from 0.01 to 10, got ${text}`, {
    hint: 'Write it as 2.',
  });
}
