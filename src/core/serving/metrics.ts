import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Work } from '../scoring/engine.js';
import { addDriftGauges, type LastCheck } from './drift-gauges.js';

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const ROWS = [1, 2, 4, 8, 16, 32, 64, 128, 256];

export const PROMETHEUS = Registry.PROMETHEUS_CONTENT_TYPE;
export const OPENMETRICS = Registry.OPENMETRICS_CONTENT_TYPE;

/** Tasks told apart in metrics: what clients write is no set of its own. */
const MAX_TASKS = 20;

/** What a server counts and measures, as Prometheus reads it. Label values come from closed sets only. */
export class Metrics {
  private readonly text = new Registry();
  readonly requests = this.counter('hpsv3_requests_total', 'Requests answered.', ['dialect', 'code']);
  readonly rows = this.counter('hpsv3_rows_total', 'Rows answered.', ['modality', 'task', 'outcome']);
  readonly truncatedRows = this.counter(
    'hpsv3_truncated_rows_total',
    'Rows answered of which the end of a text was left out.',
    ['modality'],
  );
  readonly shadowFlips = this.counter('hpsv3_shadow_flips_total', 'Rows that the shadow model decides otherwise.', [
    'model',
  ]);
  readonly shadowRows = this.counter('hpsv3_shadow_rows_total', 'Rows that the shadow model scored too.', ['model']);
  readonly restarts = this.counter(
    'hpsv3_model_restarts_total',
    'Times a model was loaded again after its process died.',
    ['model'],
  );
  private readonly requestSeconds = this.histogram(
    'hpsv3_request_duration_seconds',
    'From the arrival of a request to the end of its answer.',
    ['dialect'],
    SECONDS,
  );
  private readonly stageSeconds = this.histogram(
    'hpsv3_stage_duration_seconds',
    'Of one row waiting or being decoded, of one batch being run.',
    ['stage'],
    SECONDS,
  );
  private readonly batchRows = this.histogram(
    'hpsv3_batch_rows',
    'Rows of a batch that were asked for.',
    ['stage'],
    ROWS,
  );
  private readonly batchFill = this.histogram(
    'hpsv3_batch_fill_ratio',
    'Rows of a batch that were asked for, of those computed.',
    ['stage'],
    [0.125, 0.25, 0.5, 0.75, 1],
  );
  private readonly info = this.gauge('hpsv3_model_info', 'Models served now.', ['model', 'sha256', 'version']);
  private readonly tasks = new Set<string>();

  /** @param lastCheck - for drift, where that is looked for */
  constructor(queueRows: () => number, lastCheck?: LastCheck) {
    if (lastCheck) addDriftGauges(this.text, () => lastCheck.read());
    new Gauge({
      name: 'hpsv3_queue_rows',
      help: 'Rows taken on and not yet answered.',
      registers: [this.text],
      collect() {
        this.set(queueRows());
      },
    });
  }

  request(dialect: string, code: number, seconds: number): void {
    this.requests.inc({ dialect, code: String(code) });
    this.requestSeconds.observe({ dialect }, seconds);
  }

  row(modality: string, task: string | undefined, outcome: 'ok' | 'error'): void {
    this.rows.inc({ modality, task: this.taskLabel(task), outcome });
  }

  waited(seconds: number): void {
    this.stageSeconds.observe({ stage: 'queue' }, seconds);
  }

  readonly work = (work: Work): void => {
    const { stage, seconds } = work;
    this.stageSeconds.observe({ stage }, seconds);
    if (work.stage === 'decode') return;
    this.batchRows.observe({ stage }, work.rows);
    this.batchFill.observe({ stage }, work.rows / work.size);
  };

  models(models: readonly { readonly name: string; readonly sha256: string }[], version: string): void {
    this.info.reset();
    for (const { name, sha256 } of models) this.info.set({ model: name, sha256, version }, 1);
  }

  /** In the format of Prometheus, or of OpenMetrics where that is asked for. */
  async format(accept = ''): Promise<{ readonly type: string; readonly text: string }> {
    const text = await this.text.metrics();
    if (!accept.includes('application/openmetrics-text')) return { type: PROMETHEUS, text };
    // Names of counters stand without `_total` in the lines about them.
    const about = text.replace(/^# (HELP|TYPE) (\S+)_total /gm, '# $1 $2 ');
    return { type: OPENMETRICS, text: `${about.trimEnd()}\n# EOF\n` };
  }

  private taskLabel(task: string | undefined): string {
    if (task === undefined) return 'none';
    if (this.tasks.size < MAX_TASKS && /^[\w-]{1,40}$/.test(task)) this.tasks.add(task);
    return this.tasks.has(task) ? task : 'other';
  }

  private counter<T extends string>(name: string, help: string, labelNames: T[]): Counter<T> {
    return new Counter({ name, help, labelNames, registers: [this.text] });
  }

  private gauge<T extends string>(name: string, help: string, labelNames: T[]): Gauge<T> {
    return new Gauge({ name, help, labelNames, registers: [this.text] });
  }

  private histogram<T extends string>(name: string, help: string, labelNames: T[], buckets: number[]): Histogram<T> {
    return new Histogram({ name, help, labelNames, buckets, registers: [this.text] });
  }
}
