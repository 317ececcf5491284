import type { Estimate, Profile, Setting } from '../profiling/schema.js';
import { formatBytes, formatCount, formatHash } from './format.js';
import { formatTable, terminalWidth } from './table.js';

/** Operators shown before the rest is counted. */
const SHOWN = 12;

/** The text of `hpsv3 profile`: the figures, then where time can be won, then the settings. */
export function formatProfileTable(profile: Profile): string {
  const width = terminalWidth();
  return [
    formatTable(['what', 'value', 'note'], figures(profile), { width }),
    formatOperators(profile, width),
    formatSweep(profile, width),
    formatVerdict(profile),
  ]
    .filter((part) => part !== '')
    .join('\n\n');
}

function figures(profile: Profile): string[][] {
  const { model, machine, noise, coldStart, latency, memory, counts, time, peaks } = profile;
  const { setting } = latency;
  return [
    ['model', model.file, `${formatBytes(model.bytes)}, sha256 ${formatHash(model.sha256)}`],
    ['machine', `${machine.cores} cores, ${machine.device}`, `${machine.cpu}, ${machine.runtime}`],
    ['noise', noise.quiet ? 'quiet' : 'noisy', `itself over itself ${ratioText(noise.ratio)}`],
    [
      'cold start',
      ms(coldStart.totalMs),
      `process ${ms(coldStart.processMs)}, runtime ${ms(coldStart.runtimeMs)}, load ${ms(coldStart.loadMs)}, first run ${ms(coldStart.firstRunMs)}`,
    ],
    ['latency p50', estimateText(latency.p50Ms), `${settingText(setting)}, ${formatCount(latency.runs)} runs`],
    ['p90, p99', `${ms(latency.p90Ms.value)}, ${ms(latency.p99Ms.value)}`, intervalText(latency.p99Ms)],
    ['throughput', `${latency.samplesPerSecond.toPrecision(3)} samples/s`, ''],
    [
      'memory',
      `${formatBytes(memory.steadyBytes)} steady`,
      `${formatBytes(memory.peakBytes)} peak, ${formatBytes(memory.runtimeBytes)} before the load`,
    ],
    ['parameters', formatCount(counts.parameters), ''],
    [
      'work',
      `${giga(counts.macs)} GMAC`,
      `${formatBytes(counts.bytes)} moved, batch ${counts.setting.batch}${counts.uncounted.length > 0 ? `, without ${counts.uncounted.join(', ')}` : ''}`,
    ],
    [
      'rate',
      `${(counts.macs / time.wallMs / 1e6).toPrecision(3)} GMAC/s`,
      `${percent(counts.macs / (time.wallMs / 1000) / peaks.macsPerSecond)} of the measured ${giga(peaks.macsPerSecond)} GMAC/s; copies ${giga(peaks.bytesPerSecond)} GB/s`,
    ],
    [
      'time of a run',
      ms(time.wallMs),
      `kernels ${ms(time.kernelsMs)} + between them ${ms(time.runtimeMs)} + call ${ms(time.callMs)}; traced, ${time.traceOverhead.toFixed(2)} times untraced`,
    ],
  ];
}

function formatOperators({ time }: Profile, width: number | undefined): string {
  const rows = time.operators
    .slice(0, SHOWN)
    .map((row) => [
      row.operator,
      row.kernels,
      Number(row.ms.toPrecision(3)),
      percent(row.share),
      row.macs > 0 ? `${(row.macs / row.ms / 1e6).toPrecision(3)} GMAC/s` : '',
      `${(row.bytes / row.ms / 1e6).toPrecision(3)} GB/s`,
      Number(row.recoverableMs.toPrecision(3)),
    ]);
  const rest = time.operators.slice(SHOWN);
  const restMs = rest.reduce((sum, { ms: own }) => sum + own, 0);
  const more =
    rest.length > 0
      ? `\n… and ${rest.length} more operators, ${ms(restMs)} (the profile has all, and each kernel)`
      : '';
  const table = formatTable(['operator', 'kernels', 'ms', 'share', 'products', 'memory', 'recoverable ms'], rows, {
    width,
  });
  return `${table}${more}`;
}

function formatSweep({ sweep }: Profile, width: number | undefined): string {
  const marks = (setting: Setting): string =>
    [
      same(setting, sweep.recommended?.throughput) ? 'recommended for many rows' : '',
      same(setting, sweep.recommended?.latency) ? 'recommended for one row' : '',
      sweep.knees.some((knee) => same(setting, knee)) ? 'knee' : '',
    ]
      .filter(Boolean)
      .join(', ');
  const rows = sweep.settings.map(({ setting, ms: time, samplesPerSecond, failed }) => [
    setting.variant,
    setting.batch,
    setting.threads,
    setting.optimization,
    failed ?? (time === null ? 'not measured' : ms(time)),
    samplesPerSecond === null ? null : Number(samplesPerSecond.toPrecision(3)),
    marks(setting),
  ]);
  return formatTable(['variant', 'batch', 'threads', 'level', 'run', 'samples/s', ''], rows, { width });
}

function formatVerdict({ baseline }: Profile): string {
  if (baseline === null) return '';
  const { file, how, ratio, budget, difference, verdict, reason } = baseline;
  const words = { within: 'within the budget', slower: 'SLOWER than the budget', none: 'no verdict' }[verdict];
  return `Against ${file} (${how}): ${ratioText(ratio)} times, difference ${difference}; ${words} of ${budget}. ${reason}`;
}

const same = (a: Setting, b: Setting | undefined): boolean =>
  b !== undefined &&
  a.variant === b.variant &&
  a.batch === b.batch &&
  a.threads === b.threads &&
  a.optimization === b.optimization;

const settingText = ({ batch, threads }: Setting): string =>
  `batch ${batch}, ${threads} thread${threads === 1 ? '' : 's'}`;
const ms = (value: number): string => `${value.toPrecision(3)} ms`;
const giga = (value: number): string => (value / 1e9).toPrecision(3);
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
const ratioText = ({ value, ci }: Profile['noise']['ratio']): string =>
  `${value.toFixed(3)}${ci ? ` [${ci[0].toFixed(3)}, ${ci[1].toFixed(3)}]` : ''}`;
const estimateText = (estimate: Estimate): string =>
  `${ms(estimate.value)}${estimate.ci ? ` [${estimate.ci.map((end) => end.toPrecision(3)).join(', ')}]` : ''}`;
const intervalText = ({ ci }: Estimate): string =>
  ci ? `p99 between ${ms(ci[0])} and ${ms(ci[1])}` : 'too few runs for an interval of p99';
