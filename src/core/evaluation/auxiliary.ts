import { withSource } from '../bytes/source.js';
import { type Figures, figuresOf } from '../calibration/figures.js';
import type { NamedStatistic } from '../calibration/task.js';
import { fileInput } from '../data/input.js';
import { Interner } from '../data/interner.js';
import type { JudgedFiles } from '../data/judged-scores.js';
import { readRows, readScoreRows } from '../data/read-rows.js';
import { recogniseRows } from '../data/recognise.js';
import { AUXILIARY, type Auxiliary, type AuxLabels } from '../data/rows.js';
import type { BootstrapOptions } from '../stats/bootstrap.js';
import { ABSOLUTE_METRICS, PAIR_METRICS } from '../stats/metric.js';
import { outcomesOfLabels } from '../stats/outcomes.js';

/** How far one auxiliary head of a model agrees with the labels of the same name. */
export interface HeadReport {
  /** Items that have both. */
  readonly n: number;
  readonly clusters: number;
  /** Of fluency and toxicity: the share of these items that has the label. */
  readonly positives?: number;
  /** Of quality: the number of the class on average against that of the label. */
  readonly metrics: Figures;
}

export type AuxReport = Readonly<Partial<Record<Auxiliary, HeadReport>>>;

/** What the labels hold of heads that no score speaks of is missing from `heads`, and counted. */
export interface JudgedHeads {
  readonly heads: AuxReport;
  readonly unscored: Readonly<Partial<Record<Auxiliary, number>>>;
}

interface LabelledItem {
  readonly aux: AuxLabels;
  readonly promptId: string;
}

/** Of what is a yes or a no: of probabilities as they stand, so that bins need no second order. */
const OF_FLAGS = ['accuracy', 'auc', 'nll', 'brier'];
const OF_CLASSES = ['mae', 'rmse', 'spearman', 'kendall'];

/**
 * Judges the auxiliary heads of a model by labels `aux` of single items; null where the labels have none.
 * Both files are read once more: what is judged otherwise keeps no such columns.
 */
export async function judgeHeads(
  files: JudgedFiles,
  { seed, ...bootstrap }: BootstrapOptions,
): Promise<JudgedHeads | null> {
  const { signal } = bootstrap;
  const labelled = await readAuxLabels(files, signal);
  if (labelled.size === 0) return null;
  const columns = new Map(AUXILIARY.map((head) => [head, new HeadColumns()]));
  await withSource(files.scores, async (source) => {
    const rows = await recogniseRows(fileInput(source, signal));
    for await (const batch of readScoreRows(rows, new Map())) {
      for (const { row } of batch) {
        const label = row && labelled.get(row.id);
        if (!label || !row.aux || 'left' in row.aux) continue;
        labelled.delete(row.id); // of a repeated id the first row counts
        for (const head of AUXILIARY) columns.get(head)!.take(row.aux[head], label.aux[head], label.promptId);
      }
    }
  });
  const heads: Partial<Record<Auxiliary, HeadReport>> = {};
  const unscored: Partial<Record<Auxiliary, number>> = {};
  for (const [head, column] of columns) {
    if (column.count > 0) heads[head] = await column.judge(head, { ...bootstrap, seed: `${seed}/${head}` });
    const rest = [...labelled.values()].filter(({ aux }) => aux[head] !== undefined).length + column.unscored;
    if (rest > 0) unscored[head] = rest;
  }
  return { heads, unscored };
}

async function readAuxLabels(
  { labels, layout, map }: JudgedFiles,
  signal: AbortSignal | undefined,
): Promise<Map<string, LabelledItem>> {
  const found = new Map<string, LabelledItem>();
  await withSource(labels, async (source) => {
    for await (const batch of readRows(fileInput(source, signal), { layout, map })) {
      for (const { row } of batch) {
        if (row?.kind !== 'absolute' || !row.aux || found.has(row.id)) continue;
        found.set(row.id, { aux: row.aux, promptId: row.promptId });
      }
    }
  });
  return found;
}

/** What one head says beside what the labels say. */
class HeadColumns {
  private readonly said: number[] = [];
  private readonly labels: number[] = [];
  private readonly prompts = new Interner();
  private readonly cluster: number[] = [];
  /** Items with a label, and without a score of the head. */
  unscored = 0;

  get count(): number {
    return this.said.length;
  }

  take(score: number | undefined, label: number | undefined, promptId: string): void {
    if (label === undefined) return;
    if (score === undefined) {
      this.unscored++;
      return;
    }
    this.said.push(score);
    this.labels.push(label);
    this.cluster.push(this.prompts.codeOfText(promptId));
  }

  async judge(head: Auxiliary, bootstrap: BootstrapOptions): Promise<HeadReport> {
    const said = Float64Array.from(this.said);
    const labels = Float64Array.from(this.labels);
    const clusters = { of: Int32Array.from(this.cluster), count: this.prompts.size };
    const statistics = head === 'quality' ? ofClasses(said, labels) : ofFlags(said, labels);
    const n = said.length;
    return {
      n,
      clusters: clusters.count,
      ...(head === 'quality' ? {} : { positives: labels.reduce((sum, label) => sum + label, 0) / n }),
      metrics: await figuresOf(statistics, clusters, bootstrap),
    };
  }
}

function ofFlags(probabilities: Float64Array, labels: Float64Array): NamedStatistic[] {
  // Decided at one half, as the sign of a pair's logit decides there.
  const logits = probabilities.map((probability) => probability - 0.5);
  const outcomes = outcomesOfLabels(labels);
  return PAIR_METRICS.filter(({ id }) => OF_FLAGS.includes(id)).map(({ id, prepare }) => ({
    id,
    statistic: prepare({ logits, probabilities, outcomes }),
  }));
}

function ofClasses(predicted: Float64Array, actual: Float64Array): NamedStatistic[] {
  return ABSOLUTE_METRICS.filter(({ id }) => OF_CLASSES.includes(id)).map(({ id, prepare }) => ({
    id,
    statistic: prepare({ predicted, actual }),
  }));
}
