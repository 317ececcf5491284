import { curvesOf, type WindowCurve } from '../data/score-windows.js';
import type { Windowing } from '../media/windows.js';
import type { Run } from '../run.js';
import type { ItemScore, PairScore } from '../scoring/result.js';
import { HPSv3Scorer, type Sample, type ScorerOptions } from '../scoring/scorer.js';
import type { WindowOptions } from '../scoring/windows/options.js';
import type { SideName } from './decision.js';
import type { ExplainedWindows } from './document.js';
import type { Explainer } from './explainer.js';
import type { WindowPlaces } from './prepared.js';

/** The windows of a sample, and where those are that are explained. */
export interface FoundWindows {
  readonly windows: ExplainedWindows;
  readonly places: WindowPlaces;
}

/** Scores long items in windows, as `HPSv3Scorer` does, and finds the worst window of each side. */
export class WindowScorer {
  private constructor(
    private readonly scorer: HPSv3Scorer,
    private readonly cut: Windowing,
    private readonly signal: AbortSignal | undefined,
  ) {}

  /**
   * @param path - of the explainer's model
   * @throws HpsError as `Explainer.cut` and `HPSv3Scorer.load`
   */
  static async open(
    path: string,
    explainer: Explainer,
    {
      windows,
      signal,
      onProgress,
      ...options
    }: Pick<ScorerOptions, 'contract' | 'mediaRoot' | 'remote' | 'threads'> &
      Pick<Run, 'signal' | 'onProgress'> & { readonly windows: WindowOptions },
  ): Promise<WindowScorer> {
    const cut = await explainer.cut(windows);
    const onWindow = (done: number, total: number): void => {
      onProgress?.({ stage: 'Scoring', done, total, unit: 'windows' });
    };
    return new WindowScorer(await HPSv3Scorer.load(path, { ...options, windows, onWindow }), cut, signal);
  }

  /** @throws HpsError as `HPSv3Scorer.scorePair`; the signal's reason when it aborts */
  async find(sample: Sample): Promise<FoundWindows> {
    const { cut, signal } = this;
    const score = await this.scorer.scoreSample({ ...sample, signal });
    return { windows: explainedWindows(score), places: { cut, signal, at: new Map(worstPlaces(score)) } };
  }

  close(): Promise<void> {
    return this.scorer.close();
  }
}

function explainedWindows({ logit, windows }: ItemScore | PairScore): ExplainedWindows {
  if ('curve' in windows!) return { logit, ...windows, ...withBest(windows) };
  const { left, right, ...rule } = windows!;
  return { logit, ...rule, left: withBest(left), right: withBest(right) };
}

function withBest({ count, worst, curve }: WindowCurve) {
  const best = curve.reduce((highest, each) => (each.logit > highest.logit ? each : highest));
  return { count, worst, best, curve: [...curve] };
}

const worstPlaces = ({ windows }: ItemScore | PairScore): [SideName, number][] =>
  curvesOf<WindowCurve>(windows!).map(([side, { curve, worst }]) => [side, curve.indexOf(worst)]);
