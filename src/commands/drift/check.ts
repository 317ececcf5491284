import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../../core/cli/base-command.js';
import { shareFlag, windowFlags, windowOf } from '../../core/cli/drift-flags.js';
import { configFlag, forceFlag, outFlag, quietFlag, seedFlag } from '../../core/cli/flags.js';
import { formatDriftCheck } from '../../core/cli/render-drift.js';
import { ERROR_CODES } from '../../core/errors.js';
import { CHECK_DRIFT_DEFAULTS, type CheckDriftReport, checkDrift } from '../../core/lifecycle/drift/check.js';

const { alpha, floors, least, permutations } = CHECK_DRIFT_DEFAULTS;

export default class CheckDrift extends HpsCommand<CheckDriftReport> {
  static override summary = 'Has anything moved? Exit 3 where it has, with a stated chance of a false alarm.';
  static override description =
    `Asks first whether it is still the same model, calibrator, preprocessing and runtime; then whether inputs, the mix of
groups, scores, and by --labels calibration have moved. P-values come from dealing whole clusters (prompts) anew at the
window's own size, and are adjusted for all questions asked; what moved by less than its floor does not count. OUT holds
index.html, verdict first, and drift.json. With --state monitors remember across checks, and may be looked at as often as
one likes. Exit 0 without drift or without enough data, 3 for drift or another model.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %> --reference reference.json --scores new.jsonl --out drift',
    '<%= config.bin %> <%= command.id %> --reference reference.json --log logs --state state.json --out drift --force',
    '<%= config.bin %> <%= command.id %> --reference reference.json --scores new.jsonl --labels new-labels.jsonl --by groups.source --calibration --out drift',
  ];
  static override flags = {
    reference: Flags.string({ required: true, helpValue: 'FILE', description: 'What `hpsv3 drift fit` wrote' }),
    ...windowFlags,
    out: outFlag({ required: true, helpValue: 'FOLDER', description: 'Folder to write' }),
    by: Flags.string({
      helpValue: 'groups.NAME',
      multiple: true,
      multipleNonGreedy: true,
      description: 'Groups within which scores are tested, too; can be given several times',
    }),
    alpha: shareFlag('alpha', 'Chance of an alarm where nothing has changed', 0.5, alpha),
    permutations: Flags.integer({
      default: permutations,
      min: 99,
      max: 100_000,
      description:
        'Deals of clusters behind each p-value; more are made where so many questions are asked that fewer could not tell',
    }),
    floor: shareFlag('floor', 'Least shift of numbers that counts, in interquartile ranges', 100, floors.numbers),
    'floor-categories': shareFlag(
      'floor-categories',
      "Least change of shares that counts, as Cohen's h",
      Math.PI,
      floors.categories,
    ),
    'floor-calibration': shareFlag('floor-calibration', 'Least calibration error that counts', 1, floors.calibration),
    'min-rows': Flags.integer({ default: least.rows, min: 2, description: 'Fewest rows that are tested' }),
    'min-clusters': Flags.integer({ default: least.clusters, min: 2, description: 'Fewest clusters that are tested' }),
    state: Flags.string({
      helpValue: 'FILE.json',
      description: 'What monitors know; begun where it is not there. Of a log what is new since then is checked',
    }),
    calibrator: Flags.string({
      helpValue: 'FILE',
      description: 'Calibrator whose probabilities are judged, instead of those in the rows',
    }),
    calibration: Flags.boolean({
      description: 'Also say what fitting the calibrator again would change; needs --labels',
    }),
    'require-data': Flags.boolean({ description: 'Exit 2 where there are too few rows for a verdict' }),
    config: configFlag,
    seed: seedFlag,
    force: forceFlag,
    quiet: quietFlag,
  };

  async run(): Promise<CheckDriftReport> {
    const { flags } = await this.parse(CheckDrift);
    const { reference, out, by, alpha, permutations, state, calibrator, calibration, force, seed } = flags;
    const report = await this.follow((run) =>
      checkDrift({
        ...windowOf(flags),
        reference,
        out,
        by,
        alpha,
        permutations,
        floors: {
          numbers: flags.floor,
          categories: flags['floor-categories'],
          calibration: flags['floor-calibration'],
        },
        least: { rows: flags['min-rows'], clusters: flags['min-clusters'] },
        state,
        calibrator,
        calibration,
        requireData: flags['require-data'],
        force,
        seed,
        ...run,
      }),
    );
    this.log(formatDriftCheck(report));
    if (report.verdict === 'drift' || report.verdict === 'identity-changed')
      process.exitCode = ERROR_CODES.GATE_FAILED.exit;
    return report;
  }
}
