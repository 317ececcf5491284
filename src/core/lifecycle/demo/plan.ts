import { join } from 'node:path';
import { formatBytes, formatCount } from '../../bytes/format.js';
import type { SplitReport } from '../../data/operations.js';
import type { SynthReport } from '../../synthesis/synthesize.js';
import type { CalibrateReport } from '../calibrate/calibrate.js';
import type { VerifyCardReport } from '../card/verify.js';
import type { ModelCardReport } from '../card/write.js';
import type { MakeEnsembleReport } from '../ensemble/fit.js';
import type { MergeEnsembleReport } from '../ensemble/merge.js';
import type { EvaluateReport } from '../evaluate/evaluate.js';
import type { ExportReport } from '../export/export.js';
import type { InitReport } from '../init/init.js';
import type { QuantizeReport } from '../quantize/quantize.js';
import type { BatchReport } from '../score/batch.js';
import type { VerifyReport } from '../verify/verify.js';

/** One command of the demo. */
export interface DemoStep {
  readonly title: string;
  /** The command, with a space between topic and name: `data split`. */
  readonly id: string;
  /** What follows it, as typed. */
  readonly argv: readonly string[];
  /** Paths that it reads and writes: when the first are as they were and the second are still there, it is not done again. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Outputs with measured times or memory in them, which no two runs share. */
  readonly measured: readonly string[];
  /** What came of it, in a few words. */
  readonly finding: (report: never) => string;
}

/** A checkpoint to start from, and what its export reads beside it. */
export interface DemoCheckpoint {
  readonly path: string;
  readonly beside: readonly string[];
}

export interface DemoPlanOptions {
  /** Folder for everything, as it is spelled in the commands. */
  readonly folder: string;
  /** Two checkpoints of one configuration; null makes two of random weights by `init`. */
  readonly checkpoints: readonly [DemoCheckpoint, DemoCheckpoint] | null;
  /** Configuration of the random ones. */
  readonly config: string;
  /** What its maker says of the model, and of the data: `card.yaml` and `data.yaml`. */
  readonly card: string;
  readonly data: string;
  /** Comparisons of each modality. */
  readonly pairs: number;
  readonly seed: number;
}

/** Folders that the commands write into, in the order they are made. */
export const demoFolders = ({ folder, checkpoints }: DemoPlanOptions): string[] => [
  ...['data', 'models', 'scores'].map((name) => join(folder, name)),
  ...(checkpoints === null ? MEMBERS.map((name) => join(folder, 'checkpoints', name)) : []),
];

const MEMBERS = ['a', 'b'] as const;
type Member = (typeof MEMBERS)[number];
type DemoModality = 'image' | 'text';

/** Enough to see damage at, few enough pixels to draw hundreds in seconds. */
const IMAGE_SIZE = 96;
const PAIRS_PER_SOURCE = 4;
/** Rows that calibrators and weights are fitted on, and rows that they are judged by: by prompt, so that no picture is in both. */
const FRACTIONS = 'fit=0.5,test=0.5';
/** Of prompts, behind each interval: the demo shows intervals, a release should have the default of 2000. */
const RESAMPLES = 400;

/** The road from two checkpoints to a model card, as commands. */
export function planDemo(options: DemoPlanOptions): DemoStep[] {
  const plan = new Plan(options);
  const checkpoints = plan.checkpoints();
  return [
    ...checkpoints.flatMap(({ steps }) => steps),
    ...plan.comparisons('image'),
    ...plan.comparisons('text'),
    ...MEMBERS.flatMap((member, i) => [
      plan.export('image', member, checkpoints[i].checkpoint),
      plan.export('text', member, checkpoints[i].checkpoint),
    ]),
    ...(['image', 'text'] as const).flatMap((modality) => plan.verify(modality, checkpoints[0].checkpoint)),
    ...MEMBERS.map((member) => plan.score('image', `image-${member}`)),
    plan.fitEnsemble(),
    plan.mergeEnsemble(),
    plan.quantize(),
    plan.score('image', 'image-ensemble'),
    plan.score('image', RELEASED),
    plan.calibrate('image', RELEASED),
    plan.evaluate('image', RELEASED, 'image-ensemble'),
    plan.score('text', 'text-a'),
    plan.calibrate('text', 'text-a'),
    plan.evaluate('text', 'text-a', null),
    plan.profile(),
    plan.card(),
    plan.verifyCard(),
  ];
}

/** The model of the card: the ensemble, quantized. */
const RELEASED = 'image-int8';

class Plan {
  constructor(private readonly options: DemoPlanOptions) {}

  private at(...names: string[]): string {
    return join(this.options.folder, ...names);
  }
  private model = (name: string): string => this.at('models', `${name}.onnx`);
  private scores = (name: string): string => this.at('scores', `${name}.jsonl`);
  private labels = (modality: DemoModality, part: 'fit' | 'test'): string =>
    this.at('data', `${modality}-parts`, `${part}.jsonl`);
  private seed = (): string[] => ['--seed', `${this.options.seed}`];

  /** The checkpoints, and the commands that make them where they are to be made. */
  checkpoints(): { readonly checkpoint: DemoCheckpoint; readonly steps: readonly DemoStep[] }[] {
    const { checkpoints, config, seed } = this.options;
    if (checkpoints !== null) return checkpoints.map((checkpoint) => ({ checkpoint, steps: [] }));
    return MEMBERS.map((member, i) => {
      const path = this.at('checkpoints', member, 'model.safetensors');
      const beside = ['config.json', 'tokenizer.json'].map((name) => this.at('checkpoints', member, name));
      const made = step<InitReport>({
        title: `Draw random weights ${member}`,
        id: 'init',
        argv: ['--config', config, '--seed', `${seed + i}`, '--out', path, '--force'],
        inputs: [config],
        outputs: [path, ...beside],
        finding: ({ parameters }) => `${formatCount(parameters)} parameters`,
      });
      return { checkpoint: { path, beside }, steps: [made] };
    });
  }

  /** Comparisons whose truth is known, in two parts that share no source. */
  comparisons(modality: DemoModality): DemoStep[] {
    const folder = this.at('data', modality);
    const labels = join(folder, 'labels.jsonl');
    const size = modality === 'image' ? ['--image-size', `${IMAGE_SIZE}`] : [];
    return [
      step<SynthReport>({
        title: `Synthesise ${modality} comparisons`,
        id: 'synth',
        argv: [
          ...['--out', folder, '--modality', modality, '--pairs', `${this.options.pairs}`],
          ...['--pairs-per-source', `${PAIRS_PER_SOURCE}`, ...size, ...this.seed(), '--force'],
        ],
        inputs: [],
        outputs: [labels, join(folder, 'truth.jsonl'), join(folder, 'synth.json')],
        finding: ({ modalities: [{ pairs, sources }], raters }) =>
          `${pairs} pairs of ${sources} sources, ${raters.length} simulated raters`,
      }),
      step<SplitReport>({
        title: `Split ${modality} comparisons`,
        id: 'data split',
        argv: [
          ...[labels, '--fractions', FRACTIONS, '--out', this.at('data', `${modality}-parts`)],
          ...[...this.seed(), '--force'],
        ],
        inputs: [labels],
        outputs: [this.labels(modality, 'fit'), this.labels(modality, 'test')],
        finding: ({ parts }) =>
          Object.entries(parts)
            .map(([name, { rows }]) => `${rows} pairs to ${name}`)
            .join(', '),
      }),
    ];
  }

  export(modality: DemoModality, member: Member, checkpoint: DemoCheckpoint): DemoStep {
    const title = `Export ${modality} model ${member}`;
    return this.exportStep(title, modality, `${modality}-${member}`, checkpoint, []);
  }

  /** An export with what can be folded folded, held to the one without. */
  verify(modality: DemoModality, checkpoint: DemoCheckpoint): DemoStep[] {
    const [plain, folded] = [this.model(`${modality}-a`), this.model(`${modality}-a-folded`)];
    const title = `Export ${modality} model a, folded`;
    return [
      this.exportStep(title, modality, `${modality}-a-folded`, checkpoint, ['--optimize']),
      step<VerifyReport>({
        title: `Verify the folded ${modality} model`,
        id: 'verify',
        argv: [plain, folded, ...this.seed()],
        inputs: [plain, folded],
        outputs: [],
        finding: ({ passed, pairs, flips, maxScoreDiff }) =>
          `${passed ? 'same decisions' : 'differs'}: ${flips ?? 0} of ${pairs ?? 0} pairs turn, scores within ${(maxScoreDiff ?? 0).toExponential(1)}`,
      }),
    ];
  }

  private exportStep(
    title: string,
    modality: DemoModality,
    name: string,
    { path, beside }: DemoCheckpoint,
    more: readonly string[],
  ): DemoStep {
    const out = this.model(name);
    return step<ExportReport>({
      title,
      id: 'export',
      argv: [
        ...['--checkpoint', path, '--modality', modality, '--mode', 'pair', ...more],
        ...['--out', out, ...this.seed(), '--force'],
      ],
      inputs: [path, ...beside],
      outputs: [out, `${out}.report.json`],
      measured: [`${out}.report.json`],
      finding: ({ nodes, bytes }) => `${formatCount(nodes)} nodes, ${formatBytes(bytes ?? 0)}`,
    });
  }

  score(modality: DemoModality, name: string): DemoStep {
    const [model, out] = [this.model(name), this.scores(name)];
    const input = this.at('data', modality, 'labels.jsonl');
    return step<BatchReport>({
      title: `Score by ${name}`,
      id: 'batch',
      argv: ['--model', model, '--input', input, '--out', out, '--force'],
      inputs: [model, input],
      outputs: [out],
      finding: ({ rows, failed }) => `${formatCount(rows)} pairs${failed > 0 ? `, ${failed} failed` : ''}`,
    });
  }

  fitEnsemble(): DemoStep {
    const out = this.at('image-ensemble.json');
    const labels = this.labels('image', 'fit');
    const scores = MEMBERS.map((member) => [member, this.scores(`image-${member}`)] as const);
    return step<MakeEnsembleReport>({
      title: 'Fit the weights of an ensemble',
      id: 'ensemble',
      argv: [
        ...['--fit', ...scores.flatMap(([member, file]) => ['--scores', `${member}=${file}`])],
        ...['--labels', labels, '--resamples', `${RESAMPLES}`, '--out', out, ...this.seed(), '--force'],
      ],
      inputs: [labels, ...scores.map(([, file]) => file)],
      outputs: [out],
      finding: ({ shares, verdict }) =>
        `${Object.entries(shares)
          .map(([name, share]) => `${name} ${share.toFixed(2)}`)
          .join(', ')}${verdict === null ? '' : `; against the best single: ${verdict}`}`,
    });
  }

  mergeEnsemble(): DemoStep {
    const out = this.model('image-ensemble');
    const weights = this.at('image-ensemble.json');
    const members = MEMBERS.map((member) => [member, this.model(`image-${member}`)] as const);
    return step<MergeEnsembleReport>({
      title: 'Put both models into one graph',
      id: 'ensemble',
      argv: [
        ...['--apply', weights, ...members.flatMap(([member, file]) => ['--member', `${member}=${file}`])],
        ...['--out', out, ...this.seed(), '--force'],
      ],
      inputs: [weights, ...members.map(([, file]) => file)],
      outputs: [out, `${out}.report.json`],
      measured: [`${out}.report.json`],
      finding: ({ nodes, bytes }) => `${formatCount(nodes)} nodes, ${formatBytes(bytes)}`,
    });
  }

  quantize(): DemoStep {
    const [model, out] = [this.model('image-ensemble'), this.model(RELEASED)];
    const pairs = this.labels('image', 'fit');
    return step<QuantizeReport>({
      title: 'Quantize it',
      id: 'quantize',
      argv: [
        ...[model, '--scheme', 'weight-only', '--samples', pairs, '--media-root', this.at('data', 'image')],
        ...['--budget', this.budget(), '--out', out, ...this.seed(), '--force'],
      ],
      inputs: [model, pairs],
      outputs: [out, `${out}.report.json`],
      measured: [`${out}.report.json`],
      finding: ({ ratio, flips, kendall }) =>
        `${ratio?.toFixed(2)} times smaller, ${flips ?? 0} of the held-out pairs turn, Kendall ${kendall?.toFixed(4)}`,
    });
  }

  /** About a hundred pairs are judged, so that one is nearly 1 %. Random models say next to nothing: rounding reorders them. */
  private budget = (): string =>
    this.options.checkpoints === null ? 'flips=10%,kendall=0.9' : 'flips=1%,kendall=0.98';

  calibrate(modality: DemoModality, name: string): DemoStep {
    const [scores, labels] = [this.scores(name), this.labels(modality, 'fit')];
    const out = this.at(`${modality}-calibrator.json`);
    return step<CalibrateReport>({
      title: `Calibrate the ${modality} model`,
      id: 'calibrate',
      argv: [
        ...['--scores', scores, '--labels', labels, '--resamples', `${RESAMPLES}`],
        ...['--out', out, ...this.seed(), '--force'],
      ],
      inputs: [scores, labels],
      outputs: [out],
      finding: ({ method, n, clusters }) =>
        `${method === 'none' ? 'no curve is better than none' : method}, on ${n} pairs of ${clusters} sources`,
    });
  }

  /** On the part that nothing was fitted on, by the way in which the worse side was damaged. */
  evaluate(modality: DemoModality, name: string, baseline: string | null): DemoStep {
    const [scores, labels] = [this.scores(name), this.labels(modality, 'test')];
    const calibrator = this.at(`${modality}-calibrator.json`);
    const compared = baseline === null ? [] : [this.scores(baseline)];
    const out = this.at(`${modality}-evaluation.json`);
    return step<EvaluateReport>({
      title: `Evaluate the ${modality} model by perturbation`,
      id: 'evaluate',
      argv: [
        ...['--scores', scores, '--labels', labels, '--calibrator', calibrator, '--by', 'groups.perturbation'],
        ...[...compared.flatMap((file) => ['--baseline', file]), '--min-group', '10'],
        ...['--resamples', `${RESAMPLES}`, '--out', out, ...this.seed(), '--force'],
      ],
      inputs: [scores, labels, calibrator, ...compared],
      outputs: [out],
      finding: describeEvaluation,
    });
  }

  profile(): DemoStep {
    const model = this.model(RELEASED);
    const out = this.at('profile.json');
    const charts = ['roofline', 'latency'].flatMap((chart) => ['svg', 'png'].map((end) => `profile.${chart}.${end}`));
    const outputs = [out, ...[...charts, 'profile.trace.json'].map((name) => this.at(name))];
    return step<object>({
      title: 'Profile it briefly',
      id: 'profile',
      argv: [
        ...[model, '--batch', '1,8', '--threads', '1', '--seconds', '0.2', '--out', out, ...this.seed(), '--force'],
      ],
      inputs: [model],
      outputs,
      measured: outputs,
      finding: () => 'latency, time by operator, roofline',
    });
  }

  card(): DemoStep {
    const { card, data } = this.options;
    const model = this.model(RELEASED);
    const bound = {
      '--evaluation': this.at('image-evaluation.json'),
      '--calibrator': this.at('image-calibrator.json'),
      '--profile': this.at('profile.json'),
      '--card': card,
      '--data': data,
    };
    const out = this.at('card');
    return step<ModelCardReport>({
      title: 'Write the model card',
      id: 'modelcard',
      argv: [
        ...['--model', model, ...Object.entries(bound).flat()],
        ...['--files', this.at('scores'), '--files', this.at('data', 'image-parts'), '--out', out, '--force'],
      ],
      inputs: [
        model,
        `${model}.report.json`,
        ...Object.values(bound),
        this.scores(RELEASED),
        this.labels('image', 'test'),
      ],
      outputs: [join(out, 'card.json'), join(out, 'SHA256SUMS'), join(out, 'README.md'), join(out, 'card.html')],
      measured: [out],
      finding: ({ bound: files, gaps }) =>
        `bound to ${files.length} files; ${gaps.length === 0 ? 'nothing is left unsaid' : `${gaps.length} things are not stated`}`,
    });
  }

  verifyCard(): DemoStep {
    const { folder } = this.options;
    return step<VerifyCardReport>({
      title: 'Verify the model card',
      id: 'modelcard verify',
      argv: [folder],
      inputs: [join(folder, 'card', 'SHA256SUMS'), this.model(RELEASED)],
      outputs: [],
      finding: ({ compared, recomputed, passed }) =>
        `${passed ? 'holds' : 'does not hold'}: ${formatCount(compared)} numbers compared, ${formatCount(recomputed)} computed again`,
    });
  }
}

function describeEvaluation({ overall, worst, n }: EvaluateReport): string {
  const accuracy = overall['accuracy'];
  const [{ value } = { value: null }] = worst.filter(({ metric }) => metric === 'accuracy');
  return `accuracy ${shown(accuracy)} on ${n} pairs${value === null ? '' : `, worst with ${value}`}`;
}

const shown = (figure: EvaluateReport['overall'][string] | undefined): string =>
  figure === undefined || figure.value === null ? 'unknown' : figure.value.toFixed(3);

interface StepOptions<T> extends Omit<DemoStep, 'finding' | 'measured'> {
  readonly measured?: readonly string[];
  readonly finding: (report: T) => string;
}

const step = <T>({ measured = [], ...rest }: StepOptions<T>): DemoStep => ({ ...rest, measured }) as DemoStep;
