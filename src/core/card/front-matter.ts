import type { CardFacts, EvaluationFacts } from './card-facts.js';
import { metricOf } from './figures.js';
import { dataName } from './words.js';
import { yamlBlock } from './yaml-block.js';

/** What the Hugging Face Hub reads: the front matter of a card, and results of benchmarks. */

/** The Hub's identifiers of our metrics, where it has one. */
const HUB_METRICS: Readonly<Record<string, string>> = {
  accuracy: 'accuracy',
  auc: 'roc_auc',
  brier: 'brier_score',
  nll: 'log_loss',
  ece: 'expected_calibration_error',
  rmse: 'rmse',
  mae: 'mae',
  spearman: 'spearmanr',
  pearson: 'pearsonr',
  kendall: 'kendalltau',
};

/** The Hub's task nearest to judging a modality: there is none of its own for preferences. */
const PIPELINE_TAGS: Readonly<Record<string, string>> = {
  image: 'image-classification',
  text: 'text-classification',
  'image-text': 'zero-shot-image-classification',
  audio: 'audio-classification',
  'audio-text': 'audio-classification',
  video: 'video-classification',
  'video-text': 'video-classification',
};

export interface HubMetric {
  readonly type: string;
  readonly name: string;
  readonly value: number;
}

export interface HubResult {
  readonly task: { readonly type: string; readonly name: string };
  readonly dataset: {
    readonly type: string;
    readonly name: string;
    readonly split?: string;
    readonly revision?: string;
  };
  readonly metrics: readonly HubMetric[];
}

export interface FrontMatter {
  readonly license?: string;
  readonly language?: readonly string[];
  readonly library_name?: string;
  readonly pipeline_tag?: string;
  readonly tags: readonly string[];
  readonly base_model?: readonly string[];
  readonly datasets?: readonly string[];
  readonly metrics?: readonly string[];
  readonly 'model-index'?: readonly [{ readonly name: string; readonly results: readonly HubResult[] }];
}

const hubMetrics = ({ report }: EvaluationFacts): HubMetric[] => [
  ...suiteMetrics(report.suite),
  ...Object.entries(report.overall).flatMap(([id, { value }]) =>
    id in HUB_METRICS && value !== null ? [{ type: HUB_METRICS[id], name: metricOf(id).label, value }] : [],
  ),
];

/** The whole of a suite, and its sections. */
function suiteMetrics(suite: EvaluationFacts['report']['suite']): HubMetric[] {
  if (!suite) return [];
  const { name, score, sections } = suite;
  const parts = sections.length > 1 ? sections.map((one) => [`${name}: ${one.name}`, one.score.value] as const) : [];
  return [[name, score.value] as const, ...parts].flatMap(([label, value]) =>
    value === null ? [] : [{ type: 'accuracy', name: label, value }],
  );
}

/** A word for what the Hub wants an identifier of. */
const slug = (name: string): string =>
  name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '') || 'unnamed';

function resultOf(facts: CardFacts, one: EvaluationFacts): HubResult {
  const name = dataName(facts, one);
  const { hub_id: hub, split, revision } = (one.dataset === null ? undefined : facts.datasets[one.dataset]) ?? {};
  return {
    task: {
      type: pipelineTag(facts) ?? 'other',
      name: one.report.kind === 'pair' ? 'Preference' : 'Rating',
    },
    dataset: { type: hub ?? slug(name), name, ...(split ? { split } : {}), ...(revision ? { revision } : {}) },
    metrics: hubMetrics(one),
  };
}

function pipelineTag({ text, model }: CardFacts): string | undefined {
  return text.pipeline_tag ?? (model?.modality ? PIPELINE_TAGS[model.modality] : undefined);
}

/** The front matter of a card. Parts that are not known are absent: the Hub takes no "unknown". */
export function frontMatter(facts: CardFacts): FrontMatter {
  const { text, model, evaluations, datasets } = facts;
  const libraryName = text.library_name ?? (model ? 'onnx' : undefined);
  const tag = pipelineTag(facts);
  const hubIds = [...new Set(datasets.flatMap(({ hub_id: hub }) => (hub ? [hub] : [])))];
  const metrics = [...new Set(evaluations.flatMap((one) => hubMetrics(one).map(({ type }) => type)))];
  const results = evaluations.map((one) => resultOf(facts, one)).filter((result) => result.metrics.length > 0);
  const own = ['hpsv3', 'human-preference', 'reward-model', ...(model ? ['onnx'] : [])];
  return {
    ...(text.license ? { license: hubLicense(text.license) } : {}),
    ...(text.language ? { language: text.language } : {}),
    ...(libraryName ? { library_name: libraryName } : {}),
    ...(tag ? { pipeline_tag: tag } : {}),
    tags: [...new Set([...own, ...(text.tags ?? [])])],
    ...(text.base_model ? { base_model: text.base_model } : {}),
    ...(hubIds.length > 0 ? { datasets: hubIds } : {}),
    ...(metrics.length > 0 ? { metrics } : {}),
    ...(results.length > 0 ? { 'model-index': [{ name: facts.name, results }] } : {}),
  };
}

/** The Hub writes SPDX identifiers in lower case. */
const hubLicense = (license: string): string => (/^[A-Za-z0-9.+-]+$/.test(license) ? license.toLowerCase() : license);

/** The block between `---` and `---` that a card starts with. */
export const renderFrontMatter = (facts: CardFacts): string => `---\n${yamlBlock(frontMatter(facts))}---\n`;

/**
 * Results for `.eval_results/` of a model repository: one entry for each data set that is a benchmark on the Hub. Null where none is.
 */
export function renderEvalResults(facts: CardFacts): string | null {
  const entries = facts.evaluations.flatMap((one) => {
    const data = one.dataset === null ? undefined : facts.datasets[one.dataset];
    const id = one.report.kind === 'pair' ? 'accuracy' : 'spearman';
    const { suite } = one.report;
    const value = suite ? suite.score.value : one.report.overall[id]?.value;
    if (!data?.hub_id || !data.task_id || value === null || value === undefined) return [];
    return [
      {
        dataset: { id: data.hub_id, task_id: data.task_id, ...(data.revision ? { revision: data.revision } : {}) },
        value,
        notes: suite ? `${suite.name}, by its own protocol` : `${metricOf(id).label}: ${metricOf(id).source}`,
      },
    ];
  });
  return entries.length === 0 ? null : yamlBlock(entries);
}
