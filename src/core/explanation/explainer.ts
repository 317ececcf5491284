import { basename } from 'node:path';
import { HpsError } from '../errors.js';
import type { Windowing } from '../media/windows.js';
import { checkModel } from '../onnx/check.js';
import { type Manifest, manifestOf, TOKENIZER_KEY } from '../onnx/manifest.js';
import { metadataOf, type OnnxModel } from '../onnx/model.js';
import { type OnnxFile, openOnnx } from '../onnx/read.js';
import { withTemporaryModel } from '../onnx/temporary-model.js';
import type { Run } from '../run.js';
import { CPU } from '../runtime/device.js';
import { type ContractFile, contractOf, parseContract, type ScoringContract } from '../samples/contract.js';
import { openScoringModel, type ScoringModel } from '../scoring/model.js';
import type { Sample } from '../scoring/scorer.js';
import type { WindowOptions } from '../scoring/windows/options.js';
import { buildDecision, type SideName } from './decision.js';
import { Evaluator, type ItemInputs } from './evaluator.js';
import { mapOf, type PartMap, type RawAttribution } from './maps.js';
import { type BlackBoxPart, blackBoxParts } from './methods/black-box.js';
import type { Completeness, GradientCase, MethodId, MethodResult, MethodSettings } from './methods/method.js';
import { GRADIENT_METHODS, isGradientMethod, PERTURBATION_METHODS } from './methods/registry.js';
import { partsOf } from './parts.js';
import { type PlaceOptions, type PreparedSide, SamplePreparer, type WindowPlaces } from './prepared.js';

export interface ExplainerOptions extends PlaceOptions {
  /** What the inputs of a model without manifest mean. */
  readonly contract?: ContractFile;
  readonly threads?: number;
}

/** Why one sample got its score, by one method. */
export interface Explanation {
  readonly kind: 'pair' | 'item';
  readonly method: MethodId;
  /** f(x), as the model scores it. */
  readonly logit: number;
  /** f(baseline): what belongs to no part. Null where the method does not compute it. */
  readonly baselineLogit: number | null;
  readonly completeness: Completeness | null;
  readonly maps: readonly PartMap[];
  readonly truncated: boolean;
  readonly warnings: readonly string[];
}

/** Gradients are computed by operators of a later opset than the file's: they must give the same f, to rounding. */
const SAME_LOGIT = 1e-5;

/**
 * Explains decisions of one model file.
 *
 * @example
 * const explainer = await Explainer.open('model.onnx');
 * const { logit, maps } = await explainer.explain({ left: 'a.jpg', right: 'b.jpg' }, 'ig');
 * await explainer.close();
 */
export class Explainer {
  private constructor(
    private readonly file: OnnxFile,
    readonly contract: ScoringContract,
    readonly manifest: Manifest | null,
    private readonly openPreparer: () => Promise<SamplePreparer>,
    private readonly scoring: ScoringModel,
    readonly evaluator: Evaluator,
  ) {}

  /** @throws HpsError as `HPSv3Scorer.load` */
  static async open(path: string, options: ExplainerOptions = {}): Promise<Explainer> {
    const name = basename(path);
    const file = openOnnx(path);
    try {
      checkModel(file.model, name);
      const manifest = manifestOf(file.model, name);
      const given = options.contract && parseContract(options.contract.value, options.contract.name);
      const scoring = await openScoringModel(path, { contract: given, device: CPU, threads: options.threads });
      try {
        const contract = given ?? contractOf(manifest!, name);
        const tokenizer = metadataOf(file.model, TOKENIZER_KEY) ?? null;
        const preparer = once(() => SamplePreparer.open(contract, tokenizer, options));
        return new Explainer(file, contract, manifest, preparer, scoring, new Evaluator(scoring));
      } catch (error) {
        await scoring.close();
        throw error;
      }
    } catch (error) {
      file.close();
      throw error;
    }
  }

  get name(): string {
    return this.scoring.file;
  }

  get sha256(): string {
    return this.scoring.sha256;
  }

  /** Whether its files are still those it was opened with. */
  isUnchanged(): boolean {
    const { source, externalFiles } = this.file;
    return [source, ...externalFiles].every((each) => each.isUnchanged());
  }

  /** @throws HpsError as `HPSv3Scorer.scorePair` for the sample, and as the method */
  async explain(sample: Sample, method: MethodId, settings: MethodSettings, run: Run = {}): Promise<Explanation> {
    return this.explainInputs(await this.prepare(sample), method, settings, run);
  }

  /**
   * How the model's long items are cut.
   * @throws HpsError USAGE for a model that has no such windows, and for lengths it does not read
   */
  async cut(windows: WindowOptions): Promise<Windowing> {
    return (await this.openPreparer()).cut(windows, this.name);
  }

  /**
   * @param windows - prepares one window of each side in its place
   * @throws HpsError as `HPSv3Scorer.scorePair`, and INPUTS_INVALID for a model whose inputs are not made from media
   */
  async prepare(sample: Sample, windows?: WindowPlaces): Promise<PreparedSide[]> {
    return (await this.openPreparer()).prepare(sample, windows);
  }

  /** The same for inputs that are prepared, or that nothing was ever prepared from. */
  async explainInputs(
    sides: readonly PreparedSide[],
    method: MethodId,
    settings: MethodSettings,
    run: Run = {},
  ): Promise<Explanation> {
    const kind = sides.length === 2 ? 'pair' : 'item';
    const parts = blackBoxParts(this.contract, sides);
    const inputs: ReadonlyMap<SideName, ItemInputs> = new Map(sides.map((side) => [side.side, side.inputs]));
    const truncated = sides.some((side) => side.truncated);
    const base = { kind, method, truncated } as const;
    if (!isGradientMethod(method)) {
      const { evaluator } = this;
      const { attributions, logit } = await PERTURBATION_METHODS[method]({
        ...{ evaluator, sides: inputs, parts, run },
        patch: settings.patch,
      });
      const maps = attributions.map((attribution) => mapOf(attribution, method));
      return { ...base, logit, baselineLogit: null, completeness: null, maps, warnings: nothingFound(maps, method) };
    }
    const given = await this.gradientCase(sides, settings, run);
    const result = await GRADIENT_METHODS[method](given);
    const [logit] = await this.evaluator.decisions([inputs]);
    const maps = mapsOf(result, parts, method);
    return {
      ...base,
      logit,
      baselineLogit: result.baselineLogit,
      completeness: result.completeness,
      maps,
      warnings: [
        ...result.warnings,
        ...nothingFound(maps, method),
        ...otherLogit(logit, result.logit),
        ...notWhere(maps, method),
      ],
    };
  }

  /**
   * The maps that a changed model gives for the same inputs: of f alone, with the parts where they were.
   * @returns null where the changed model computes nothing finite
   */
  async mapsOfChanged(
    change: (model: OnnxModel) => Promise<OnnxModel>,
    sides: readonly PreparedSide[],
    method: MethodId,
    settings: MethodSettings,
    run: Run = {},
  ): Promise<readonly PartMap[] | null> {
    const parts = blackBoxParts(this.contract, sides);
    try {
      if (isGradientMethod(method)) {
        const given = await this.gradientCase(sides, settings, run);
        const decision = { ...given.decision, model: await change(given.decision.model) };
        return mapsOf(await GRADIENT_METHODS[method]({ ...given, decision }), parts, method);
      }
      const changed = await change(this.file.model);
      return await withTemporaryModel(changed, async (path) => {
        const scoring = await openScoringModel(path, { contract: this.contract, device: CPU });
        try {
          const inputs = new Map(sides.map((side) => [side.side, side.inputs]));
          const evaluator = new Evaluator(scoring);
          const given = { evaluator, sides: inputs, parts, run, patch: settings.patch };
          const { attributions } = await PERTURBATION_METHODS[method](given);
          return attributions.map((attribution) => mapOf(attribution, method));
        } finally {
          await scoring.close();
        }
      });
    } catch (error) {
      if (error instanceof HpsError && NONFINITE.has(error.code)) return null;
      throw error;
    }
  }

  /** What gradient methods work on. */
  async gradientCase(sides: readonly PreparedSide[], settings: MethodSettings, run: Run): Promise<GradientCase> {
    this.assertFloat();
    const decision = buildDecision(this.file.model, this.contract, sides.length === 2 ? 'pair' : 'item');
    const inputs = await partsOf(decision, this.contract, sides);
    return { decision, inputs, settings, run };
  }

  /** Ends the process of the model. */
  async close(): Promise<void> {
    await this.scoring.close();
    this.file.close();
  }

  /** Rounding to 8 bits has no gradient, and one through float16 is not exact. */
  private assertFloat(): void {
    const quantized = this.manifest?.lineage.findLast(({ step }) => step === 'quantize');
    const hint = 'Or use `method` occlusion, which needs no gradient.';
    if (quantized) {
      const source = quantized.inputs[0]?.name ?? 'the file it was made from';
      throw new HpsError(
        'GRADIENT_UNSUPPORTED',
        `${this.name}: its weights are quantized, and rounding has no gradient`,
        {
          hint: `Explain ${source}, the float file that it was quantized from. ${hint}`,
          details: { file: this.name, source },
        },
      );
    }
    if (this.manifest && this.manifest.dtype !== 'fp32') {
      throw new HpsError('GRADIENT_UNSUPPORTED', `${this.name}: gradients in float16 are not exact`, {
        hint: `Export the checkpoint with \`dtype\` fp32 and explain that. ${hint}`,
        details: { file: this.name, dtype: this.manifest.dtype },
      });
    }
  }
}

const NONFINITE: ReadonlySet<string> = new Set(['GRADIENT_NONFINITE', 'SCORE_NONFINITE']);

function once<T>(open: () => Promise<T>): () => Promise<T> {
  let opened: Promise<T> | undefined;
  return () => {
    opened ??= open();
    return opened;
  };
}

function mapsOf({ attributions }: MethodResult, parts: readonly BlackBoxPart[], method: MethodId): PartMap[] {
  return attributions.map(({ part, ...rest }) => {
    const own = parts.find(({ side, input }) => side === part.side && input.name === part.input.name)!;
    const raw: RawAttribution = { ...rest, part: own };
    return mapOf(raw, method);
  });
}

/** An item that is as empty as what it is compared with, such as silence; a saturated model, or one that does not look at its inputs. */
function nothingFound(maps: readonly PartMap[], method: MethodId): string[] {
  if (maps.some(({ map }) => map.values.some((value) => value !== 0))) return [];
  const cause =
    'the item is as empty as the baseline, the model is saturated here, or it does not look at these inputs';
  const others = (['ig', 'occlusion'] as const).filter((other) => other !== method).join(' or ');
  return [`Every attribution is 0: ${cause}. Try \`method\` ${others}.`];
}

/** What fails to find a planted token: see the slow tests. */
function notWhere(maps: readonly PartMap[], method: MethodId): string[] {
  if ((method !== 'gradient' && method !== 'smoothgrad') || !maps.some(({ part }) => part.kind === 'text')) return [];
  return [
    'Of a text, a gradient says how steeply f changes at each token, not which of them carry it: where one token alone decides, it does not find it.',
  ];
}

function otherLogit(scored: number, differentiated: number): string[] {
  const difference = Math.abs(scored - differentiated);
  if (difference <= SAME_LOGIT * Math.max(1, Math.abs(scored))) return [];
  return [`The graph of gradients gives ${differentiated}, the model ${scored}: the map is of the former.`];
}
