import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../core/cli/base-command.js';
import { processStreams } from '../core/cli/data-flags.js';
import { configFlag, forceFlag, inputFlag, modelFlag, outFlag, seedFlag } from '../core/cli/flags.js';
import { formatExplanation } from '../core/cli/render-explain.js';
import {
  contractFlag,
  mediaRootFlag,
  modalityOfSample,
  readContract,
  remoteFlags,
  remoteOf,
  sampleFlags,
  sampleOrFile,
  windowFlags,
  windowsOf,
} from '../core/cli/scoring-flags.js';
import { ERROR_CODES, HpsError } from '../core/errors.js';
import { METHODS } from '../core/explanation/methods/method.js';
import { type ExplainReport, explainDecisions } from '../core/lifecycle/explain/explain.js';

export default class Explain extends HpsCommand<ExplainReport> {
  static override summary = 'Show which words, regions, sounds or frames decided, in numbers that add up.';
  static override description =
    `What is explained is the logit: of a pair, or the utility of an item. Integrated gradients (ig) start from one baseline for
both sides, so that the left map and the right map sum to the pair logit; where they miss it by more than 1 %, the report says by how much.
OUT holds index.html to look at, explanation.json, and of every map its numbers (.npy, .json) and a picture. With --input every row of a
file is explained, and a summary tells by group what decides most often.
ig, gradient, input-x-gradient, smoothgrad and gradcam need a gradient of every operator, rollout and relevance attention; occlusion and
leave-one-out work on any model. --check holds the map against the model: deletion and insertion against random orders, weights shuffled
from the head down (Adebayo), removal with imputation (ROAD), infidelity and sensitivity; it ends in a verdict in words.
With --window a long video, sound or text is scored in windows: all of their scores are shown, and the worst window is explained.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %> --model model.onnx --left a.jpg --right b.jpg --context "a red fox" --out why',
    '<%= config.bin %> <%= command.id %> --model model.onnx --item "A good answer." --method leave-one-out --out why',
    '<%= config.bin %> <%= command.id %> labels.jsonl --model model.onnx --out why',
    '<%= config.bin %> <%= command.id %> --model audio.onnx --item long.wav --window 8s --stride 4s --out why',
  ];
  static override args = {
    input: Args.string({ ignoreStdin: true, description: 'Data file of pairs or items; - for standard input' }),
  };
  static override flags = {
    model: modelFlag({ required: true }),
    out: outFlag({ required: true, helpValue: 'FOLDER', description: 'Folder to write' }),
    method: Flags.option({ options: METHODS, default: 'ig' as const, description: 'How to explain' })(),
    input: inputFlag(),
    ...sampleFlags,
    nodes: Flags.integer({
      min: 2,
      max: 4096,
      default: 32,
      description: 'ig: nodes to begin with; more are added, up to --max-nodes, until sums are complete',
    }),
    'max-nodes': Flags.integer({
      min: 2,
      max: 65_536,
      default: 512,
      description: 'ig: most nodes that are computed, with those that closer ones replace',
    }),
    copies: Flags.integer({ min: 1, max: 4096, default: 32, description: 'smoothgrad: noisy copies' }),
    noise: Flags.custom<number>({
      parse: async (text) => parseNoise(text),
      default: 0.1,
      helpValue: 'SHARE',
      description: 'smoothgrad: deviation of the noise, as a share of the range of an input',
    })(),
    patch: Flags.integer({
      min: 1,
      max: 4096,
      description: 'occlusion: side of a patch in pixels of the model; a sixteenth of the picture by default',
    }),
    'max-rows': Flags.integer({
      min: 0,
      max: 10_000,
      default: 20,
      description: 'Rows of --input that get maps of their own; all are in the summary',
    }),
    ...windowFlags,
    check: Flags.boolean({
      description: 'Hold every map against the model, and say whether it may be trusted; takes a hundred times as long',
    }),
    contract: contractFlag,
    threads: Flags.integer({ min: 1, max: 1024, description: 'Threads; the cores by default' }),
    'media-root': mediaRootFlag,
    ...remoteFlags,
    config: configFlag,
    seed: seedFlag,
    force: forceFlag,
  };

  protected override readonly report = 'explain';

  protected override demoModalities(flags: Parameters<typeof modalityOfSample>[0]) {
    return [modalityOfSample(flags)];
  }

  async run(): Promise<ExplainReport> {
    const { flags } = await this.parse(Explain);
    const { model, method, out, force, nodes, copies, noise, seed, threads, patch = null } = flags;
    const contract = await readContract(flags.contract);
    const report = await this.follow((run) =>
      explainDecisions({
        model,
        input: sampleOrFile(flags, 'explain'),
        method,
        settings: { nodes, mostNodes: Math.max(nodes, flags['max-nodes']), copies, noise, seed, threads, patch },
        out,
        force,
        contract,
        mediaRoot: flags['media-root'],
        remote: remoteOf(flags),
        mostRows: flags['max-rows'],
        check: flags.check,
        windows: windowsOf(flags),
        streams: processStreams(),
        ...run,
      }),
    );
    this.log(formatExplanation(report));
    if (report.failed.length > 0) process.exitCode = ERROR_CODES.ROWS_FAILED.exit;
    return report;
  }
}

function parseNoise(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value > 0 && value <= 10) return value;
  throw new HpsError('USAGE', `--noise: expected a number from 0 to 10, got ${text}`, { hint: 'Write it as 0.1.' });
}
