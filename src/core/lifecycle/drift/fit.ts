import { basename } from 'node:path';
import { hashFile } from '../../bytes/hash.js';
import { withAtomicOutput } from '../../bytes/output.js';
import { figuresOf } from '../../calibration/figures.js';
import { rowsWarnings } from '../../data/row-counts.js';
import { DEFAULT_SEED, type Filled, filled } from '../../defaults.js';
import { estimatePerformance } from '../../drift/estimated.js';
import { judgedProbabilities } from '../../drift/judged.js';
import { type DriftReference, formatReference, storedSample } from '../../drift/reference.js';
import { fitScoreMap } from '../../drift/score-map.js';
import { spanOf } from '../../drift/timeline.js';
import { type Window, WindowBuilder } from '../../drift/window.js';
import { HpsError } from '../../errors.js';
import { allRows, judge } from '../../evaluation/judged-statistics.js';
import type { Run } from '../../run.js';
import { TOOL } from '../../version.js';
import { type DriftInputs, kindOf, type Labelled, readContext, readWindow, warningsOf } from './inputs.js';

export interface FitDriftOptions extends DriftInputs, Run {
  /** File to write. */
  readonly out: string;
  readonly force?: boolean;
  readonly seed?: number;
}

export const FIT_DRIFT_DEFAULTS = { force: false, seed: DEFAULT_SEED } as const satisfies Partial<FitDriftOptions>;

type Settled = Filled<FitDriftOptions, typeof FIT_DRIFT_DEFAULTS>;

export interface FitDriftReport {
  /** Base name, and hash, of what was written. */
  readonly out: string;
  readonly sha256: string;
  readonly kind: DriftReference['kind'];
  readonly rows: number;
  readonly clusters: number;
  /** Rows kept to be compared with, of whole clusters. */
  readonly sampled: number;
  readonly features: readonly string[];
  readonly identity: DriftReference['identity'];
  readonly expected: DriftReference['expected'];
  readonly observed: DriftReference['observed'];
  readonly warnings: readonly string[];
}

/** Fewest rows and clusters of a reference. */
const LEAST = { rows: 50, clusters: 10 } as const;

/**
 * Makes what later windows are compared with: figures of rows, and none of their content.
 *
 * @throws HpsError DATA_INVALID for too few rows; MODELS_INCOMPARABLE for rows of several models; USAGE; the OUTPUT_… codes
 */
export function fitDrift(given: FitDriftOptions): Promise<FitDriftReport> {
  const options = filled(given, FIT_DRIFT_DEFAULTS);
  const { out, force, scores, log, labels, input } = options;
  const inputs = [scores, labels, input].filter((path) => path !== undefined);
  return withAtomicOutput(out, { force, inputs }, async (output) => {
    const context = await readContext(options, options);
    const builder = new WindowBuilder({ ...options, kind: kindOf(options, context) }, context.contextOf);
    const { report } = await readWindow(options, builder, options);
    const window = builder.finish();
    assertEnough(window, basename(log ?? scores!), rowsWarnings('Scores', report));
    const { identity, kind, sample, rows } = window;
    if (identity.model.length > 1) throw severalModels(identity.model);
    const reference: DriftReference = {
      schema: 'hpsv3/drift-reference@1',
      kind,
      rows: rows.count,
      clusters: rows.clusters,
      ...spanOf(rows),
      identity,
      scoreMap: scoreMapOf(window),
      sample: storedSample(sample),
      expected: kind === 'pair' ? estimatePerformance(rows.probability) : null,
      observed: await observedOf(window, context, options),
      inputs: await Promise.all(
        inputs.map(async (path) => ({
          name: basename(path),
          sha256: (await hashFile(path, { signal: options.signal })).sha256,
        })),
      ),
      tool: TOOL,
    };
    const { sha256 } = await output.writeFile(output.name, formatReference(reference));
    return {
      out: output.name,
      sha256,
      kind,
      rows: rows.count,
      clusters: rows.clusters,
      sampled: sample.rows,
      features: [...sample.features.keys()],
      identity,
      expected: reference.expected,
      observed: reference.observed,
      warnings: [...warningsOf(window, rowsWarnings('Scores', report), context), ...aloneWarning(reference)],
    };
  });
}

/** Rows whose logit and score are two things, from the first ones on. */
function scoreMapOf({ rows, sample }: Window): DriftReference['scoreMap'] {
  if (!sample.features.has('score')) return null;
  const known = rows.score.every((score) => !Number.isNaN(score));
  return known ? fitScoreMap(rows.logit, rows.score) : null;
}

async function observedOf({ rows, kind }: Window, { labels }: Labelled, { seed, signal }: Settled) {
  if (labels?.kind !== 'pair' || kind !== 'pair') return null;
  const { joined, probability } = judgedProbabilities(labels, rows);
  if (joined.count === 0) return null;
  const predictions = { values: probability, confidence: probability, calibrated: true };
  const { statistics, clusters } = judge(joined, predictions, allRows(joined));
  const wanted = statistics.filter(({ id }) => id === 'accuracy' || id === 'ece');
  const { accuracy, ece } = await figuresOf(wanted, clusters, { seed: `${seed}/drift/observed`, signal });
  return { labels: joined.count, accuracy: plain(accuracy), ece: plain(ece) };
}

const plain = ({ value, ci }: { value: number | null; ci: readonly [number, number] | null }) => ({
  value,
  ci: ci && ([ci[0], ci[1]] as const),
});

function assertEnough({ rows, sample }: Window, file: string, refused: readonly string[]): void {
  if (sample.rows >= LEAST.rows && sample.clusters >= LEAST.clusters) return;
  throw new HpsError(
    'DATA_INVALID',
    `${file}: has ${rows.count} rows in ${rows.clusters} clusters; a reference needs at least ${LEAST.rows} rows in ${LEAST.clusters} clusters${refused.length > 0 ? `. ${refused.join(' ')}` : ''}`,
    {
      hint: 'Give more rows; rows of one prompt_id count as one cluster.',
      details: { file, rows: rows.count, clusters: rows.clusters, needed: LEAST },
    },
  );
}

function severalModels(models: readonly string[]): HpsError {
  return new HpsError('MODELS_INCOMPARABLE', `the rows are of ${models.length} models`, {
    hint: 'Make a reference of the rows of one model.',
    details: { models: models.slice(0, 10) },
  });
}

const aloneWarning = ({ rows, clusters }: DriftReference): string[] =>
  clusters === rows
    ? [
        'No two rows are of one prompt: every row counts as a cluster of its own. Where they are not, say so by prompt_id.',
      ]
    : [];
