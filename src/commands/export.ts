import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../core/cli/base-command.js';
import {
  allowNonfiniteFlag,
  budgetFlag,
  configFlag,
  dryRunFlag,
  forceFlag,
  gateFlag,
  outFlag,
  seedFlag,
  toleranceFlag,
} from '../core/cli/flags.js';
import { allowHostFlag, hubCacheFlag, remoteFilesOf } from '../core/cli/remote-file-flags.js';
import { formatExport } from '../core/cli/render-export.js';
import { EXPORT_DEFAULTS, type ExportReport, exportModel } from '../core/lifecycle/export/export.js';
import { MODALITIES, MODES } from '../core/onnx/manifest-names.js';

export default class Export extends HpsCommand<ExportReport> {
  static override summary = 'Turn a checkpoint into an ONNX file that is proven to decide as it should.';
  static override description =
    `The weights stream from file to file, so memory stays small whatever the model. The target file changes
only when the gate passed; otherwise the exit code is 3. With --golden the outputs of the reference
implementation are compared; without it only the file's own invariances are, and it is not called verified.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %> --checkpoint checkpoint.pt --out model.onnx --modality image-text --mode pair',
    '<%= config.bin %> <%= command.id %> --checkpoint checkpoint.pt --out model.onnx --modality image --golden golden.safetensors',
    '<%= config.bin %> <%= command.id %> --checkpoint aesthetic.pth --out head.onnx --activation none --optimize',
    '<%= config.bin %> <%= command.id %> --checkpoint hf://org/name@main --out model.onnx --dry-run',
  ];
  static override flags = {
    checkpoint: Flags.string({
      required: true,
      helpValue: 'PATH',
      description:
        'Checkpoint: file, *.index.json or model folder; also hf://ORG/NAME[@REVISION][/PATH], https:// or s3://',
    }),
    out: outFlag({
      required: true,
      helpValue: 'FILE',
      description: 'The .onnx file to write; FILE.report.json is written beside it',
    }),
    modality: Flags.option({
      options: MODALITIES,
      description: 'What the model looks at; by default the first the checkpoint has of image-text, image, text, …',
    })(),
    mode: Flags.option({
      options: MODES,
      default: EXPORT_DEFAULTS.mode,
      description: 'item: one item in; pair: two items in; head: two embeddings in',
    })(),
    opset: Flags.integer({ default: EXPORT_DEFAULTS.opset, min: 1, max: 1000, description: 'ONNX opset, 14 to 21' }),
    dtype: Flags.option({
      options: ['fp32', 'fp16'] as const,
      default: EXPORT_DEFAULTS.dtype,
      description: 'Element type of the weights; inputs and outputs stay fp32',
    })(),
    tokenizer: Flags.string({
      helpValue: 'FILE',
      description: 'tokenizer.json to put into the model; by default the one beside the checkpoint',
    }),
    record: Flags.string({
      helpValue: 'FILE',
      description:
        'Write the scores of seeded inputs as they are here, which `verify` and `serve` hold others to (--recorded)',
    }),
    golden: Flags.string({
      helpValue: 'FILE',
      description: 'Inputs and outputs of the reference implementation (safetensors) to compare with',
    }),
    atol: toleranceFlag,
    gate: gateFlag,
    budget: budgetFlag,
    arch: Flags.string({ helpValue: 'ID', description: 'Architecture; by default recognised by the tensors' }),
    family: Flags.string({
      helpValue: 'FILE',
      description:
        'Family from outside the package: a module of JavaScript, whose code is run. Only on the command line',
    }),
    adapter: Flags.string({
      helpValue: 'PATH',
      description: 'LoRA adapter to merge into the checkpoint, in float32: its folder, or the file of its weights',
    }),
    activation: Flags.option({
      options: ['none', 'relu'] as const,
      description: 'Activation between the layers of a score head',
    })(),
    'head-file': Flags.string({
      aliases: ['head'],
      helpValue: 'FILE',
      description: 'Score head in a file of its own, over the embeddings of the checkpoint',
    }),
    'head-normalize': Flags.option({
      options: ['none', 'l2'] as const,
      description: 'What is done to an embedding before the head reads it',
    })(),
    'output-label': Flags.string({
      helpValue: 'NAME|INDEX',
      description: 'Which of several labels of a classifier is the score',
    }),
    preprocess: Flags.string({
      helpValue: 'RECIPE',
      description: 'How pictures are prepared, where it is not as the files say: transformers, open-clip, hpsv2, …',
    }),
    'prompt-template': Flags.string({
      helpValue: 'FILE',
      description:
        'Text that prompts are put into at {text_prompt}, for models whose package holds it (HPSv3, VideoReward)',
    }),
    'pixel-budget': Flags.string({
      helpValue: 'N',
      description:
        'Pixels that pictures or frames are resized to, for models that take any size; those of its package by default',
    }),
    key: Flags.string({
      helpValue: 'PATH',
      description:
        'State dict inside a nested checkpoint, e.g. model_state_dict, or the first steps of names in a flat one',
    }),
    config: configFlag,
    optimize: Flags.boolean({
      description: 'Fold batch norms and affine chains; gives up the way back to checkpoint names',
    }),
    'external-data': Flags.boolean({ description: 'Weights in FILE.data beside the model; always so above 2 GiB' }),
    'allow-nonfinite': allowNonfiniteFlag,
    'allow-host': allowHostFlag,
    'hub-cache': hubCacheFlag,
    seed: seedFlag,
    force: forceFlag,
    'dry-run': dryRunFlag,
  };

  protected override readonly report = 'export';

  async run(): Promise<ExportReport> {
    const { flags } = await this.parse(Export);
    const { configFile } = this;
    const report = await this.follow((run) =>
      exportModel({
        checkpoint: flags.checkpoint,
        out: flags.out,
        key: flags.key,
        tokenizer: flags.tokenizer,
        opset: flags.opset,
        modality: flags.modality,
        mode: flags.mode,
        arch: flags.arch,
        family: flags.family,
        config: configFile?.model && { name: configFile.name, model: configFile.model },
        dtype: flags.dtype,
        activation: flags.activation,
        adapter: flags.adapter,
        headFile: flags['head-file'],
        headNormalize: flags['head-normalize'],
        outputLabel: flags['output-label'],
        preprocess: flags.preprocess,
        promptTemplate: flags['prompt-template'],
        pixelBudget: flags['pixel-budget'],
        record: flags.record,
        golden: flags.golden,
        atol: flags.atol,
        gate: flags.gate,
        budget: flags.budget,
        seed: flags.seed,
        optimize: flags.optimize,
        externalData: flags['external-data'],
        allowNonfinite: flags['allow-nonfinite'],
        force: flags.force,
        dryRun: flags['dry-run'],
        remote: remoteFilesOf(flags),
        ...run,
      }),
    );
    this.log(formatExport(report));
    return report;
  }
}
