import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../../core/cli/base-command.js';
import { configFlag, forceFlag, modelFlag, outFlag } from '../../core/cli/flags.js';
import { formatModelCard } from '../../core/cli/render-modelcard.js';
import { CARD_DEFAULTS, type ModelCardReport, makeModelCard } from '../../core/lifecycle/card/write.js';

export default class ModelCard extends HpsCommand<ModelCardReport> {
  static override summary = 'Write a model card whose every number is bound to the file it comes from.';
  static override description =
    `From one source of facts: Markdown for the Hugging Face Hub, a page of HTML, JSON, and a CycloneDX 1.6 bill of materials.
Scores and labels that a report names are looked for beside it, here, and in --files. What is not known is said as not stated.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %> --model m.onnx --evaluation report.json --calibrator c.json --card card.yaml --data data.yaml --out card',
    '<%= config.bin %> <%= command.id %> --scorer CLIP --evaluation report.json --out card',
    '<%= config.bin %> <%= command.id %> --model m.onnx --evaluation report.json --out README.md --strict',
  ];
  static override flags = {
    model: modelFlag({ description: 'The model that is described' }),
    scorer: Flags.string({ helpValue: 'NAME', description: 'Name of a scorer that is no file', exclusive: ['model'] }),
    evaluation: Flags.string({
      helpValue: 'REPORT.json',
      multiple: true,
      description: 'Report of `evaluate --out`; more than once for several',
    }),
    calibrator: Flags.string({
      aliases: ['calibration'],
      helpValue: 'CALIBRATOR.json',
      description: 'File of `calibrate --out`; by default the one the evaluation names',
    }),
    quantization: Flags.string({
      helpValue: 'REPORT.json',
      description: 'Report of `quantize`; by default the one beside the model',
    }),
    export: Flags.string({
      helpValue: 'REPORT.json',
      description: 'Report of `export`; by default the one beside the model',
    }),
    profile: Flags.string({ helpValue: 'PROFILE.json', description: 'Report of `profile`' }),
    explanation: Flags.string({
      aliases: ['explain'],
      helpValue: 'FOLDER',
      description: 'What `explain` wrote: its folder, or explanation.json',
    }),
    data: Flags.string({ helpValue: 'DATA.yaml', description: 'What the data are: names, licences, raters' }),
    card: Flags.string({
      helpValue: 'CARD.yaml',
      description: 'What only the maker knows: intended use, risks, caveats',
    }),
    files: Flags.string({
      helpValue: 'FOLDER',
      multiple: true,
      description: 'Where scores and labels lie that reports name',
    }),
    'copy-data': Flags.boolean({
      default: CARD_DEFAULTS.copyData,
      allowNo: true,
      description: 'Copy scores and labels into the folder, so that figures can be computed again',
    }),
    out: outFlag({
      required: true,
      helpValue: 'FOLDER',
      description: 'Folder to write, or one rendering: a file named .md, .html or .json',
    }),
    strict: Flags.boolean({ description: 'Write nothing and exit 3 where anything is not stated' }),
    config: configFlag,
    force: forceFlag,
  };

  protected override readonly report = 'modelcard';

  async run(): Promise<ModelCardReport> {
    const { flags } = await this.parse(ModelCard);
    const report = await this.follow((run) =>
      makeModelCard({
        model: flags.model,
        scorer: flags.scorer,
        evaluations: flags.evaluation,
        calibration: flags.calibrator,
        quantization: flags.quantization,
        exported: flags.export,
        profile: flags.profile,
        explanation: flags.explanation,
        data: flags.data,
        card: flags.card,
        files: flags.files,
        copyData: flags['copy-data'],
        out: flags.out,
        strict: flags.strict,
        force: flags.force,
        ...run,
      }),
    );
    this.log(formatModelCard(report));
    return report;
  }
}
