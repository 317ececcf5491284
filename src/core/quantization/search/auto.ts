import { HpsError } from '../../errors.js';
import type { Budget } from '../../gate/budget.js';
import type { Probes } from '../../gate/probes.js';
import { encodeModel } from '../../onnx/encode.js';
import { withTemporaryModel } from '../../onnx/temporary-model.js';
import { withModelProcess } from '../../runtime/child.js';
import type { Calibration } from '../ranges/calibrate.js';
import { RANGE_METHOD_IDS, type RangeMethodId } from '../ranges/methods.js';
import { excluder } from '../schemes/exclude.js';
import type { SchemeId } from '../schemes/registry.js';
import { schemeOf } from '../schemes/registry.js';
import { sparedNodes } from '../schemes/spared.js';
import type { QuantizationSource } from '../source.js';
import {
  type Candidate,
  type CandidateOptions,
  calibrateModel,
  makeCandidate,
  quantizedManifest,
  withManifest,
} from './candidate.js';
import { compareLatency } from './latency.js';
import { type LayerSensitivity, layersOf, measureSensitivity } from './sensitivity.js';
import { CHECKING, Judge, type Judgement } from './trial.js';

export interface SearchOptions
  extends Omit<CandidateOptions, 'scheme' | 'calibrator' | 'calibration' | 'excludeNamed'> {
  readonly budget?: Budget;
  readonly maxSize?: number;
  /** Rows that schemes are chosen by, and rows that the choice is checked on. */
  readonly searchRows: Probes;
  readonly heldOutRows: Probes;
  readonly allowBatchDependence: boolean;
}

/** One line of the Pareto table. */
export interface Trial {
  readonly scheme: SchemeId;
  readonly calibrator: RangeMethodId | null;
  /** Layers kept float because of what they do to decisions. */
  readonly keptFloat: number;
  readonly bytes: number;
  /** float / quantized, measured here. */
  readonly speed: number;
  readonly search: Judgement;
  readonly heldOut: Judgement;
  /** How often held-out rows refused what keeps fewer layers in float: each look makes them a little less held out. */
  readonly heldOutRefusals: number;
  /** Whether no other trial is smaller, faster and flips less at once. */
  readonly pareto: boolean;
  /** Why it is not chosen; null for one that may be. */
  readonly against: string | null;
}

export interface SearchReport {
  readonly trials: readonly Trial[];
  /** Most harmful first. */
  readonly sensitivity: readonly (LayerSensitivity & { readonly scheme: SchemeId })[];
  /** Schemes that were not tried, and why. */
  readonly skipped: readonly { readonly scheme: SchemeId; readonly why: string }[];
}

export interface SearchResult {
  readonly report: SearchReport;
  /** What may be written, best first; each with the trial it came from. */
  readonly finalists: readonly {
    readonly candidate: Candidate;
    readonly trial: Trial;
    readonly calibrator: RangeMethodId;
  }[];
}

/** Medians differ by this much from run to run on a busy machine. */
const NOISE = 1.1;

interface Tried {
  readonly scheme: SchemeId;
  readonly calibrator: RangeMethodId;
  readonly keptFloat: number;
  readonly candidate: Candidate;
  readonly search: Judgement;
}

/**
 * Tries schemes and calibrators, keeps the layers that harm decisions most in float until the budget holds on the search rows,
 * then further ones until it holds on rows that took no part in choosing too, and measures size and speed here.
 * @throws HpsError GATE_FAILED where nothing is within the budget, with the table in `details`
 */
export async function searchQuantization(source: QuantizationSource, options: SearchOptions): Promise<SearchResult> {
  return withModelProcess(options.child, async (child) => {
    const judge = new Judge(source, child, options.budget, options.threads);
    const search = new Search(source, judge, options);
    await search.run();
    const trials = await search.trials();
    const report = {
      trials: trials.map(({ trial }) => trial),
      sensitivity: search.sensitivity,
      skipped: search.skipped,
    };
    const finalists = trials
      .filter(({ trial }) => trial.against === null)
      .sort((a, b) => preference(b.trial) - preference(a.trial) || a.trial.bytes - b.trial.bytes);
    if (finalists.length === 0) throw nothingFits(source.name, report);
    return { report, finalists };
  });
}

/** What is clearly faster than float comes first, the faster the better; at equal speed the smaller file. */
const preference = ({ speed }: Trial): number => (speed > NOISE ? Math.round(speed * 10) : 0);

class Search {
  readonly sensitivity: (LayerSensitivity & { scheme: SchemeId })[] = [];
  readonly skipped: { scheme: SchemeId; why: string }[] = [];
  private readonly tried: Tried[] = [];
  private readonly checked = new Map<Tried, Judgement>();

  constructor(
    private readonly source: QuantizationSource,
    private readonly judge: Judge,
    private readonly options: SearchOptions,
  ) {}

  async run(): Promise<void> {
    await this.guarded('weight-only', () => this.tryAndRefine('weight-only', [['minmax', undefined]]));
    await this.guarded('static', async () => this.tryAndRefine('static', await this.calibrations()));
    await this.guarded('fp16', () => this.try('fp16', 'minmax', undefined));
    if (this.options.allowBatchDependence)
      await this.guarded('dynamic', () => this.tryAndRefine('dynamic', [['minmax', undefined]]));
    else this.skipped.push({ scheme: 'dynamic', why: 'its rows depend on their neighbours' });
  }

  /** A scheme that the model's opset has no form of is passed over; other failures are failures. */
  private async guarded(scheme: SchemeId, attempt: () => Promise<unknown>): Promise<void> {
    try {
      await attempt();
    } catch (error) {
      const expected = error instanceof HpsError && ['OPSET_UNSUPPORTED', 'NOTHING_TO_QUANTIZE'].includes(error.code);
      if (!expected) throw error;
      this.skipped.push({ scheme, why: error.message });
    }
  }

  /** Ranges by every calibrator, from one look at the activations. */
  private async calibrations(): Promise<[RangeMethodId, Calibration | undefined][]> {
    const { source, options } = this;
    const scheme = schemeOf('static');
    const model = await source.prepared(scheme.foldsNorms);
    const exclude = excluder(options.exclude, sparedNodes(model.graph, scheme));
    const request = { ...options, exclude, hasManifest: source.manifest !== null };
    const observed = scheme.observes!(model, request);
    if (observed.values.length === 0) return [['minmax', undefined]];
    const calibrations = await calibrateModel(source, observed, RANGE_METHOD_IDS, options);
    return RANGE_METHOD_IDS.map((id, i) => [id, calibrations[i]]);
  }

  private async tryAndRefine(
    scheme: SchemeId,
    calibrations: readonly (readonly [RangeMethodId, Calibration | undefined])[],
  ): Promise<void> {
    const tried: Tried[] = [];
    for (const [calibrator, calibration] of calibrations) tried.push(await this.try(scheme, calibrator, calibration));
    for (const each of tried) if (await this.holds(each)) return;
    const [best] = tried.sort(
      (a, b) => a.search.flips - b.search.flips || a.search.maxScoreDiff - b.search.maxScoreDiff,
    );
    await this.refine(best, calibrations.find(([id]) => id === best.calibrator)?.[1]);
  }

  /** Whether the budget holds on the search rows, and then on held-out rows too. */
  private async holds(tried: Tried): Promise<boolean> {
    return tried.search.withinBudget && (await this.check(tried)).withinBudget;
  }

  private async check(tried: Tried): Promise<Judgement> {
    const known = this.checked.get(tried);
    if (known) return known;
    const [heldOut] = await this.judge.judge(tried.candidate, [this.options.heldOutRows], CHECKING);
    this.checked.set(tried, heldOut);
    return heldOut;
  }

  private async try(
    scheme: SchemeId,
    calibrator: RangeMethodId,
    calibration: Calibration | undefined,
    excludeNamed?: ReadonlyMap<string, string>,
    keptFloat = 0,
  ): Promise<Tried> {
    const { options } = this;
    const candidate = await makeCandidate(this.source, { ...options, scheme, calibrator, calibration, excludeNamed });
    const [search] = await this.judge.judge(candidate, [options.searchRows]);
    const tried = { scheme, calibrator, keptFloat, candidate, search };
    this.tried.push(tried);
    options.onBatch?.();
    return tried;
  }

  /** Mixed precision: layers return to float, those that flip most for what they save first, until the budget holds on both sets of rows. */
  private async refine(base: Tried, calibration: Calibration | undefined): Promise<void> {
    const { scheme, calibrator } = base;
    const layers = layersOf(this.source, base.candidate);
    if (layers.length < 2) return; // with all layers float nothing would be quantized
    const options = { ...this.options, scheme, calibrator, calibration };
    const ranked = await measureSensitivity(this.source, layers, this.judge, this.options.searchRows, options);
    this.sensitivity.push(...ranked.map((layer) => ({ ...layer, scheme })));
    const attempt = (count: number): Promise<Tried> => {
      const kept = ranked.slice(0, count).flatMap(({ nodes, flips, maxLogitDiff }) =>
        nodes.map((node) => {
          const effect = `flips ${flips} of ${base.search.pairs} pairs and moves the logit by ${maxLogitDiff.toPrecision(3)}`;
          return [node, `quantized alone it ${effect}`] as const;
        }),
      );
      return this.try(scheme, calibrator, calibration, new Map(kept), count);
    };
    const most = ranked.length - 1;
    const found = await fewest(most, async (count) => (await attempt(count)).search.withinBudget);
    if (found === null) return;
    let last = this.tried.find((each) => each.scheme === scheme && each.keptFloat === found)!;
    for (let more = 1; !(await this.holds(last)) && last.keptFloat < most; more *= 2)
      last = await attempt(Math.min(most, last.keptFloat + more));
  }

  /** Of the refinements of a scheme the one with the fewest layers in float that holds, else the last that was checked. */
  private settled(scheme: SchemeId): Tried | undefined {
    const refined = this.tried
      .filter((each) => each.scheme === scheme && each.keptFloat > 0 && this.checked.has(each))
      .sort((a, b) => a.keptFloat - b.keptFloat);
    return refined.find((each) => this.checked.get(each)!.withinBudget) ?? refined.at(-1);
  }

  /** Size, speed and the held-out check of what is worth a line: the plain schemes, and the last step of each refinement. */
  async trials(): Promise<{ candidate: Candidate; trial: Trial; calibrator: RangeMethodId }[]> {
    const { source, options } = this;
    const worth = this.tried.filter((each) => each.keptFloat === 0 || each === this.settled(each.scheme));
    const measured: { tried: Tried; bytes: number; speed: number; heldOut: Judgement }[] = [];
    for (const tried of worth) {
      const { candidate } = tried;
      const heldOut = await this.check(tried);
      const manifest = source.manifest && quantizedManifest(source.manifest, candidate);
      const model = withManifest(candidate.model, manifest);
      const { ratio } = await withTemporaryModel(model, (path) =>
        compareLatency(source.path, path, options.heldOutRows, options),
      );
      measured.push({ tried, bytes: encodeModel(model).byteLength, speed: ratio, heldOut });
    }
    return measured.map((each) => {
      const { scheme, calibrator, keptFloat, candidate, search } = each.tried;
      const dominated = measured.some(
        (other) =>
          other !== each &&
          other.bytes <= each.bytes &&
          other.speed >= each.speed &&
          other.heldOut.flips <= each.heldOut.flips &&
          (other.bytes < each.bytes || other.speed > each.speed || other.heldOut.flips < each.heldOut.flips),
      );
      const trial: Trial = {
        scheme,
        calibrator: scheme === 'static' ? calibrator : null,
        keptFloat,
        bytes: each.bytes,
        speed: each.speed,
        search,
        heldOut: each.heldOut,
        heldOutRefusals: this.refusals(each.tried),
        pareto: !dominated,
        against: this.reasonAgainst(each.bytes, each.speed, search, each.heldOut),
      };
      return { candidate, trial, calibrator };
    });
  }

  private refusals({ scheme, keptFloat }: Tried): number {
    return [...this.checked].filter(
      ([other, { withinBudget }]) =>
        other.scheme === scheme && other.search.withinBudget && other.keptFloat < keptFloat && !withinBudget,
    ).length;
  }

  private reasonAgainst(bytes: number, speed: number, search: Judgement, heldOut: Judgement): string | null {
    const { maxSize } = this.options;
    if (!search.withinBudget) return 'over the budget';
    if (!heldOut.withinBudget) return 'over the budget on held-out rows';
    if (maxSize !== undefined && bytes > maxSize) return `larger than ${maxSize} bytes`;
    if (bytes >= this.source.bytes) return 'no smaller than the float model';
    if (speed * NOISE < 1) return 'slower here than the float model';
    return null;
  }
}

/**
 * The smallest count up to `most` that succeeds, found by doubling and then halving: a handful of attempts. It takes more layers
 * in float to do no worse, which noise may contradict; what is returned did succeed.
 */
async function fewest(most: number, attempt: (count: number) => Promise<boolean>): Promise<number | null> {
  let failed = 0;
  let count = Math.min(1, most);
  while (count > failed && !(await attempt(count))) {
    failed = count;
    count = Math.min(most, 2 * count);
  }
  if (count === failed) return null;
  while (count - failed > 1) {
    const middle = (failed + count) >> 1;
    if (await attempt(middle)) count = middle;
    else failed = middle;
  }
  return count;
}

function nothingFits(file: string, report: SearchReport): HpsError {
  const reasons = report.trials.map(({ scheme, against }) => `${scheme}: ${against}`);
  return new HpsError('GATE_FAILED', `${file}: no scheme can be recommended (${[...new Set(reasons)].join('; ')})`, {
    hint: 'Allow more with `budget`, keep layers float with `exclude`, or stay with the float model. Nothing was written.',
    details: { search: report },
  });
}
