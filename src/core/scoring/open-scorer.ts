import { DEFAULT_DEVICE } from '../defaults.js';
import type { Preparer } from '../media/preparer.js';
import type { RemoteOptions, RemoteStore } from '../media/remote/store.js';
import type { LongestWindow, Windowing } from '../media/windows.js';
import { parseDevice } from '../runtime/device.js';
import type { OptimizationLevel } from '../runtime/session.js';
import { type ContractFile, parseContract } from '../samples/contract.js';
import type { ScoringCalibrator } from './calibration.js';
import type { Engine, EngineOptions } from './engine.js';
import { type Mark, marksFor } from './marks.js';
import { openScoringModel, type ScoringModel } from './model.js';
import { windowRows } from './window.js';
import type { Aggregation } from './windows/aggregate.js';
import { parseWindows, type WindowOptions, windowingOf, wrongUnit } from './windows/options.js';
import { assertFittedTo, openRule } from './windows/rule.js';

/** Of `ScorerOptions`, what opening a model reads. */
export interface OpenScorerOptions extends EngineOptions {
  readonly device?: string;
  readonly threads?: number;
  readonly maxMemory?: number;
  readonly optimization?: OptimizationLevel;
  readonly segmentBytes?: number;
  readonly calibrator?: string;
  readonly abstain?: boolean;
  readonly marks?: readonly string[];
  readonly windows?: WindowOptions;
  readonly isOneOfSeveral?: boolean;
  readonly contract?: ContractFile;
  readonly remote?: RemoteOptions | RemoteStore;
  readonly onWarning?: (warning: string) => void;
}

/** What a scorer works with. */
export interface ScorerParts {
  readonly model: ScoringModel;
  readonly engine: Engine;
  readonly calibrator: ScoringCalibrator | null;
  /** Pair logits of a smaller size are not decided; null where every one is. */
  readonly margin: number | null;
  /** What results are marked by. */
  readonly marks: readonly Mark[];
  readonly remote: RemoteStore | undefined;
  /** Closed with the scorer; null where it is the caller's, or there is none. */
  readonly ownRemote: RemoteStore | null;
  readonly window: number;
  /** How its items are cut; null where they are scored whole. */
  readonly windowing: { readonly cut: Windowing; readonly aggregation: Aggregation } | null;
  readonly preprocessingSha256: string;
}

/** Opens a model and all that scoring with it needs. @throws HpsError as `HPSv3Scorer.load` */
export async function openScorer(path: string, options: OpenScorerOptions): Promise<ScorerParts> {
  const { batchSize, device = DEFAULT_DEVICE, onWarning } = options;
  const windows = options.windows && parseWindows(options.windows);
  const rule = options.windows && openRule(options.windows.aggregate);
  const { remote, ownRemote } = await remoteOf(options.remote);
  let afterwards: ReturnType<typeof loadAfterwards> | undefined;
  let preparing: Promise<Preparer> | undefined;
  const model = await openScoringModel(path, {
    contract: options.contract && parseContract(options.contract.value, options.contract.name),
    device: parseDevice(device),
    threads: options.threads,
    maxMemory: options.maxMemory,
    optimization: options.optimization,
    segmentBytes: options.segmentBytes,
    onWarning,
    onContract: ({ inputs }, tokenizer) => {
      afterwards = loadAfterwards();
      preparing = afterwards.then(({ openPreparerPool }) => openPreparerPool({ inputs, tokenizer }));
      preparing.catch(() => undefined); // reported when it is waited for
    },
  });
  try {
    const { file, sha256, contract } = model;
    const { abstentionMargin, embeddedCalibrator, openCalibrator, Engine } = await afterwards!;
    const calibrator =
      options.calibrator === undefined
        ? embeddedCalibrator(contract)
        : openCalibrator(options.calibrator, { file, sha256, contract, onWarning });
    if (!calibrator && !contract.score) {
      onWarning?.(`${file} is uncalibrated: its probabilities are the sigmoid of the logit, without confidence.`);
    }
    const margin = options.abstain ? abstentionMargin(calibrator, file) : null;
    const marks = marksFor(options.marks ?? [], model);
    const { inputs } = contract;
    const preparer = await preparing!;
    const { longestWindow } = preparer;
    const cut = windows ? windowingOf(windows, longestWindow) : null;
    const misfit = windows ? wrongUnit(windows, longestWindow, file) : null;
    if (misfit && !options.isOneOfSeveral) throw misfit;
    if (rule && cut) assertFittedTo(rule, { cut, sha256, file });
    if (windows && !cut) onWarning?.(wholeItems(file, longestWindow));
    const window = windowRows(inputs, batchSize, model.encoder?.most ?? 1);
    return {
      model,
      engine: new Engine(model, preparer, { ...options, windowsAhead: window }),
      windowing: rule && cut ? { cut, aggregation: rule.aggregation } : null,
      calibrator,
      margin,
      marks,
      remote,
      ownRemote,
      window,
      preprocessingSha256: preparer.contractSha256,
    };
  } catch (error) {
    await model.close();
    throw error;
  }
}

/** The code of what is needed once a model is open: there is time for it while another process loads the sessions. */
async function loadAfterwards() {
  const [{ abstentionMargin, embeddedCalibrator, openCalibrator }, { Engine }, { openPreparerPool }] =
    await Promise.all([import('./calibration.js'), import('./engine.js'), import('../samples/preparer-pool.js')]);
  return { abstentionMargin, embeddedCalibrator, openCalibrator, Engine, openPreparerPool };
}

/** A store of the scorer's own, unless it is given one. */
async function remoteOf(
  given: RemoteOptions | RemoteStore | undefined,
): Promise<Pick<ScorerParts, 'remote' | 'ownRemote'>> {
  if (!given) return { remote: undefined, ownRemote: null };
  const { RemoteStore } = await import('../media/remote/store.js');
  if (given instanceof RemoteStore) return { remote: given, ownRemote: null };
  const own = RemoteStore.open(given);
  return { remote: own, ownRemote: own };
}

const wholeItems = (file: string, longest: LongestWindow | null): string => {
  const reads = longest === null ? 'nothing of a length' : `what is cut by ${longest.unit}`;
  return `${file} reads ${reads}: its items are scored whole, without windows.`;
};
