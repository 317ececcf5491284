import { basename } from 'node:path';
import { hashFile } from '../../bytes/hash.js';
import { withAtomicOutput } from '../../bytes/output.js';
import { withSource } from '../../bytes/source.js';
import {
  fitWindowRule,
  WINDOW_RULE_CLUSTERS,
  type WindowedRows,
  type WindowRuleFit,
} from '../../calibration/fit-window-rule.js';
import { type FittedWindowRule, windowRuleDocument } from '../../calibration/window-rule.js';
import { renumber } from '../../data/columns.js';
import { fileInput } from '../../data/input.js';
import type { JoinedAbsolutes, JoinedPairs } from '../../data/join.js';
import { type JudgedRows, readJudgedScores, rowWarnings } from '../../data/judged-scores.js';
import type { LabelLayout } from '../../data/layouts/apply.js';
import { readScoreRows } from '../../data/read-rows.js';
import { recogniseRows } from '../../data/recognise.js';
import type { ScoreWindows } from '../../data/score-windows.js';
import { DEFAULT_SEED, filled } from '../../defaults.js';
import { formatDocument } from '../../documents/define.js';
import { HpsError } from '../../errors.js';
import type { Run } from '../../run.js';
import { TOOL } from '../../version.js';

export interface FitWindowsOptions extends Run, LabelLayout {
  /** Scores of one model in windows, as `batch` with `windows` writes them. */
  readonly scores: string;
  /** Human labels of what was scored. */
  readonly labels: string;
  /** The rule to write. */
  readonly out: string;
  /** Of the cross-validation, by cluster. */
  readonly folds?: number;
  /** Of clusters, behind the interval of the sharpness. */
  readonly resamples?: number;
  readonly seed?: number;
  /** Replace `out`. */
  readonly force?: boolean;
}

export const FIT_WINDOWS_DEFAULTS = {
  folds: 5,
  resamples: 200,
  seed: DEFAULT_SEED,
  force: false,
} as const satisfies Partial<FitWindowsOptions>;

export interface FitWindowsReport extends Omit<FittedWindowRule, 'schema'> {
  /** Base name of the rule. */
  readonly out: string;
  readonly rows: JudgedRows;
  readonly warnings: readonly string[];
}

/**
 * Fits to labels how the logit of an item comes from those of its windows, and writes it for `aggregate` of `windows`.
 *
 * @throws HpsError DATA_INVALID for scores without windows, or in windows of several lengths; TOO_FEW_CLUSTERS; as
 *   `readJudgedScores`; the OUTPUT_… codes
 */
export async function fitWindows(given: FitWindowsOptions): Promise<FitWindowsReport> {
  const options = filled(given, FIT_WINDOWS_DEFAULTS);
  const { scores, labels, out, folds, resamples, seed, force, signal } = options;
  return withAtomicOutput(out, { force, inputs: [scores, labels] }, async (output) => {
    const { joined, rows, modelSha256 } = await readJudgedScores(options, { signal });
    const read = await readWindows(scores, signal);
    const { windowed, leftOut } = windowedRows(joined, read.byId);
    if (windowed.clusters.count < WINDOW_RULE_CLUSTERS) assertRowsFit(options, joined, leftOut);
    const fit = await fitWindowRule(windowed, { folds, seed, resamples, signal });
    const { heldOut } = fit;
    const compared = (rule: 'mean' | 'worst' | 'last') => {
      const { loss, comparison } = heldOut[rule];
      const { difference, ci } = comparison;
      return { loss, difference: { value: difference, ci: ci && ([...ci] as [number, number]) } };
    };
    const rule: FittedWindowRule = {
      schema: 'hpsv3/window-rule@1',
      kind: joined.kind,
      sharpness: fit.sharpness,
      ci: fit.ci && [...fit.ci],
      window: read.window,
      stride: read.stride,
      n: windowed.clusters.of.length,
      clusters: windowed.clusters.count,
      folds,
      seed,
      loss: joined.kind === 'pair' ? 'log_loss' : 'mse',
      heldOut: { fitted: heldOut.fitted, mean: compared('mean'), worst: compared('worst'), last: compared('last') },
      dataSha256: (await hashFile(labels, { signal })).sha256,
      scoresSha256: (await hashFile(scores, { signal })).sha256,
      modelSha256,
      tool: TOOL,
    };
    await output.writeFile(output.name, formatDocument(windowRuleDocument.schema.parse(rule)));
    const { schema: _, ...facts } = rule;
    return {
      ...facts,
      out: output.name,
      rows,
      warnings: [...rowWarnings(rows), ...leftOutWarnings(joined.kind, leftOut), ...fitWarnings(fit)],
    };
  });
}

/** The logits of the windows of every row that has some, by id, and how they were cut. */
async function readWindows(scores: string, signal: AbortSignal | undefined) {
  const byId = new Map<string, readonly Float64Array[]>();
  let cut: Pick<ScoreWindows, 'window' | 'stride'> | undefined;
  const file = basename(scores);
  await withSource(scores, async (source) => {
    for await (const batch of readScoreRows(await recogniseRows(fileInput(source, signal)), new Map())) {
      for (const { row } of batch) {
        if (!row?.windows || byId.has(row.id)) continue;
        const { windows } = row;
        cut ??= windows;
        if (windows.window !== cut.window || windows.stride !== cut.stride) {
          throw new HpsError(
            'DATA_INVALID',
            `${file}: its scores are in windows of ${cut.window} every ${cut.stride} and of ${windows.window} every ${windows.stride}`,
            { hint: 'Score all rows with the same `window` and `stride`.', details: { file, id: row.id } },
          );
        }
        const curves = 'curve' in windows ? [windows.curve] : [windows.left.curve, windows.right.curve];
        byId.set(
          row.id,
          curves.map((curve) => Float64Array.from(curve, ({ logit }) => logit)),
        );
      }
    }
  });
  if (!cut) {
    throw new HpsError('DATA_INVALID', `${file}: no score was made in windows`, {
      hint: 'Score the rows with `window`, and give that file.',
      details: { file },
    });
  }
  return { byId, window: cut.window, stride: cut.stride };
}

/** Labelled rows that say nothing of a rule, by why. */
interface LeftOut {
  /** A label of a pair and windows of one item, or the other way round. */
  readonly otherKind: number;
  /** Scored without windows. */
  readonly whole: number;
  /** No longer than a window. */
  readonly single: number;
}

/** Labelled rows of more than one window. */
function windowedRows(
  joined: JoinedPairs | JoinedAbsolutes,
  byId: ReadonlyMap<string, readonly Float64Array[]>,
): { readonly windowed: WindowedRows; readonly leftOut: LeftOut } {
  const sides = joined.kind === 'pair' ? 2 : 1;
  const leftOut = { otherKind: 0, whole: 0, single: 0 };
  const rows = Array.from({ length: joined.count }, (_, row) => row).filter((row) => {
    const windows = byId.get(joined.idAt(row));
    if (!windows) leftOut.whole++;
    else if (windows.length !== sides) leftOut.otherKind++;
    else if (windows.every(({ length }) => length === 1)) leftOut.single++;
    else return true;
    return false;
  });
  const pick = (column: Float64Array): Float64Array => Float64Array.from(rows, (row) => column[row]);
  const { codes, kept } = renumber(joined.cluster, joined.clusterCount, Int32Array.from(rows));
  const weight = joined.weight ?? new Float64Array(joined.count).fill(1);
  const windowed: WindowedRows = {
    kind: joined.kind,
    sides: Array.from({ length: sides }, (_, side) => rows.map((row) => byId.get(joined.idAt(row))![side])),
    ...(joined.kind === 'pair'
      ? { votes: { left: pick(joined.votesLeft), right: pick(joined.votesRight) } }
      : { scores: { score: pick(joined.score), weight: pick(weight) } }),
    clusters: { of: codes, count: kept.length },
    clusterNames: Array.from(kept, (cluster) => joined.clusterNames[cluster]),
  };
  return { windowed, leftOut };
}

/** Where too few rows are left because of what they are, and not for want of labels. @throws HpsError DATA_INVALID */
function assertRowsFit(
  { labels, scores }: Pick<FitWindowsOptions, 'labels' | 'scores'>,
  { kind, count, clusterCount }: JoinedPairs | JoinedAbsolutes,
  { otherKind, whole, single }: LeftOut,
): void {
  const refuse = (rule: string, hint: string): HpsError =>
    new HpsError('DATA_INVALID', rule, { hint, details: { labels: basename(labels), scores: basename(scores) } });
  const [judged, scored] = kind === 'pair' ? ['pairs', 'items'] : ['items', 'pairs'];
  const many = `${basename(scores)}: of ${count} judged rows`;
  if (otherKind > 0) {
    throw refuse(
      `${basename(labels)} judges ${judged}, and ${basename(scores)} has scores of ${scored} for ${otherKind} of ${count} judged rows`,
      `Score the ${judged} that were judged with \`window\`, or give labels of the ${scored}.`,
    );
  }
  if (clusterCount < WINDOW_RULE_CLUSTERS) return; // more labels are needed in any case
  if (whole > single)
    throw refuse(
      `${many} ${whole} were scored without windows`,
      'Score all of them with `window`, and give that file.',
    );
  if (single > 0) {
    throw refuse(
      `${many} ${single} have a single window, which every rule takes alike`,
      'Score them with a shorter `window`, or judge longer items.',
    );
  }
}

/** What of the judged rows the rule was not fitted to. */
function leftOutWarnings(kind: 'pair' | 'absolute', { otherKind, whole, single }: LeftOut): string[] {
  const [judged, scored] = kind === 'pair' ? ['pairs', 'items'] : ['items', 'pairs'];
  return [
    ...(otherKind > 0 ? [`${otherKind} labels of ${judged} were left out: their scores are of ${scored}.`] : []),
    ...(whole > 0 ? [`${whole} judged rows were left out: they were scored without windows.`] : []),
    ...(single > 0
      ? [`${single} judged rows were left out: they have a single window, which every rule takes alike.`]
      : []),
  ];
}

/** What a reader should know of a rule before it is used. */
function fitWarnings({ labels, lossOfNone, isOpen, heldOut }: WindowRuleFit): string[] {
  const named = ['mean', 'worst', 'last'] as const;
  const worse = named.filter((name) => heldOut[name].comparison.verdict === 'worse');
  const undecided = named.filter((name) => heldOut[name].comparison.verdict === 'undecided');
  const losses = `${heldOut.fitted.toFixed(4)} against ${lossOfNone.toFixed(4)}`;
  return [
    ...(labels === 'follow'
      ? []
      : [
          `On labels held out the fitted rule does not do better than no score at all (${losses}): the labels were not shown to follow the scores, and nothing can be said of its sharpness. Do not use it.`,
        ]),
    ...(labels === 'against'
      ? [
          'The labels go against the scores: check that left and right, or the scale of the labels, are not turned around.',
        ]
      : []),
    ...worse.map(
      (name) => `On labels held out the fitted rule is worse than \`${name}\`: take \`aggregate\` ${name} instead.`,
    ),
    ...(labels === 'follow'
      ? undecided.map((name) => `On labels held out the fitted rule was not shown to be better than \`${name}\`.`)
      : []),
    ...(isOpen
      ? [
          'The interval of the sharpness ends where the worst window decides alone: labels do not say how much higher it is, and `worst` says nearly the same.',
        ]
      : []),
  ];
}
