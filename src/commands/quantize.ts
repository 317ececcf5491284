import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../core/cli/base-command.js';
import { contractedModel } from '../core/cli/contracted-model.js';
import {
  allowNonfiniteFlag,
  budgetFlag,
  configFlag,
  dryRunFlag,
  forceFlag,
  gateFlag,
  outFlag,
  seedFlag,
} from '../core/cli/flags.js';
import { formatQuantize } from '../core/cli/render-quantize.js';
import { contractFlag, maxMemoryOfRunsFlag, mediaRootFlag } from '../core/cli/scoring-flags.js';
import { QUANTIZE_DEFAULTS } from '../core/lifecycle/quantize/options.js';
import type { QuantizeReport } from '../core/lifecycle/quantize/quantize.js';
import { quantizeAhead } from '../core/lifecycle/quantize/quantize-ahead.js';
import { RANGE_METHOD_IDS } from '../core/quantization/ranges/methods.js';
import { SCHEME_IDS } from '../core/quantization/schemes/scheme-ids.js';
import { PROCESSORS } from '../core/runtime/processors.js';

export default class Quantize extends HpsCommand<QuantizeReport> {
  static override summary =
    'Make an ONNX model smaller, and faster where it is, with a proof that it decides as before.';
  static override description =
    `Schemes: weight-only (int8 weights, a row depends on nothing but itself), dynamic (int8, scales from each batch: rows depend on
their neighbours, so it needs --allow-batch-dependence), static (int8, ranges from calibration; the fastest), fp16, int4.
auto tries them, keeps the layers that change decisions in float, and writes a table and FILE.pareto.svg and .png of what it tried.
The opset of the model is kept. The target file changes only when the gate passed; otherwise the exit code is 3.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %> model.onnx --out model-int8.onnx --scheme weight-only',
    '<%= config.bin %> <%= command.id %> model.onnx --out model-int8.onnx --scheme static --ranges entropy --inputs rows.safetensors',
    '<%= config.bin %> <%= command.id %> model.onnx --out small.onnx --scheme static --exclude "*/heads/*" --budget flips=0.005',
  ];
  static override args = {
    model: Args.string({ required: true, ignoreStdin: true, description: 'The float .onnx model' }),
  };
  static override flags = {
    out: outFlag({
      required: true,
      helpValue: 'FILE',
      description: 'The .onnx file to write; FILE.report.json is written beside it',
    }),
    scheme: Flags.option({
      options: [...SCHEME_IDS, 'auto'] as const,
      default: QUANTIZE_DEFAULTS.scheme,
      description:
        'Quantization scheme; auto tries them all and recommends one that stays within the budget and is not slower here',
    })(),
    samples: Flags.string({
      aliases: ['calibration', 'labels'],
      helpValue: 'FILE',
      description:
        'Samples (JSONL, CSV, Parquet) to calibrate on and to judge by, every second prompt held out; votes give accuracy and best of N',
    }),
    contract: contractFlag,
    'media-root': mediaRootFlag,
    inputs: Flags.string({
      helpValue: 'FILE',
      description:
        'Rows to calibrate on and to judge by (safetensors, by input name), every second held out; else seeded probes',
    }),
    ranges: Flags.option({
      aliases: ['calibrator'],
      options: RANGE_METHOD_IDS,
      default: QUANTIZE_DEFAULTS.ranges,
      description: 'How static ranges are chosen',
    })(),
    'per-channel': Flags.boolean({
      default: QUANTIZE_DEFAULTS.perChannel,
      allowNo: true,
      description: 'One weight scale an output channel; one a weight where the opset has no other',
    }),
    processor: Flags.option({
      options: [...PROCESSORS, 'auto'] as const,
      default: QUANTIZE_DEFAULTS.processor,
      description:
        'What static and dynamic files are for: any processor; vnni, with weights of 8 bits, refused where sums are cut off; auto: as this one is',
    })(),
    'full-range': Flags.boolean({ description: 'The same as --processor vnni' }),
    exclude: Flags.string({
      multiple: true,
      default: [],
      helpValue: 'GLOB',
      description: 'Nodes to leave as they are, by name; may be given several times',
    }),
    budget: budgetFlag,
    'max-size': Flags.integer({ min: 1, helpValue: 'BYTES', description: 'Largest file to accept' }),
    gate: gateFlag,
    'allow-batch-dependence': Flags.boolean({
      description: "Let a file pass whose rows depend on their neighbours, as dynamic quantization's do",
    }),
    'allow-contrib': Flags.boolean({
      description: 'Let int4 use MatMulNBits, which only onnxruntime has, where the opset has no 4-bit integers',
    }),
    'allow-nonfinite': allowNonfiniteFlag,
    'max-memory': maxMemoryOfRunsFlag,
    config: configFlag,
    seed: seedFlag,
    force: forceFlag,
    'dry-run': dryRunFlag,
  };

  protected override readonly report = 'quantization';

  async run(): Promise<QuantizeReport> {
    const { args, flags } = await this.parse(Quantize);
    const model = await contractedModel(args.model, flags.contract);
    const report = await this.follow((run) =>
      quantizeAhead({
        model,
        out: flags.out,
        scheme: flags.scheme,
        inputs: flags.inputs,
        samples: flags.samples,
        mediaRoot: flags['media-root'],
        ranges: flags.ranges,
        perChannel: flags['per-channel'],
        processor: flags.processor,
        fullRange: flags['full-range'],
        exclude: flags.exclude,
        budget: flags.budget,
        maxSize: flags['max-size'],
        gate: flags.gate,
        allowBatchDependence: flags['allow-batch-dependence'],
        allowContrib: flags['allow-contrib'],
        allowNonfinite: flags['allow-nonfinite'],
        maxMemory: flags['max-memory'],
        seed: flags.seed,
        force: flags.force,
        dryRun: flags['dry-run'],
        ...run,
      }),
    );
    this.log(formatQuantize(report));
    return report;
  }
}
