import type { Kernel, Profile } from '../../profiling/schema.js';
import { COLOURS, DARK_STYLE, FONT_ATTRIBUTE } from '../theme.js';

const WIDTH = 720;
const HEIGHT = 440;
const MARGIN = { left: 72, right: 24, top: 56, bottom: 56 };
const COMPUTE = COLOURS.blue;
const MEMORY = COLOURS.vermillion;
const INK = COLOURS.ink;
const GRID = COLOURS.grid;
/** Kernels that are named in the chart: more names would lie on each other. */
const NAMED = 6;
const BINS = 48;

const escapeXml = (text: string): string =>
  text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`).replace(/[^\x20-\x7e\u00a0-\ud7ff\ue000-\ufffd]/g, '?');

/** @param below - height of what stands under the plot */
function frame(title: string, xLabel: string, yLabel: string, parts: readonly string[], below = 0): string {
  const right = WIDTH - MARGIN.right;
  const bottom = HEIGHT - MARGIN.bottom;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT + below}" width="${WIDTH}" height="${HEIGHT + below}" font-family="${FONT_ATTRIBUTE}" font-size="12" fill="${INK}">`,
    DARK_STYLE,
    `<title>${escapeXml(title)}</title>`,
    `<rect width="100%" height="100%" fill="${COLOURS.page}"/>`,
    `<text x="${MARGIN.left}" y="24" font-size="15" font-weight="bold">${escapeXml(title)}</text>`,
    ...parts,
    `<path d="M${MARGIN.left} ${MARGIN.top}V${bottom}H${right}" fill="none" stroke="${INK}"/>`,
    `<text x="${(MARGIN.left + right) / 2}" y="${HEIGHT - 12}" text-anchor="middle">${escapeXml(xLabel)}</text>`,
    `<text x="18" y="${(MARGIN.top + bottom) / 2}" text-anchor="middle" transform="rotate(-90 18 ${(MARGIN.top + bottom) / 2})">${escapeXml(yLabel)}</text>`,
    '</svg>\n',
  ].join('\n');
}

type Scale = (value: number) => number;

const xOf =
  (low: number, high: number, of: Scale = (x) => x): Scale =>
  (value) =>
    MARGIN.left + ((of(value) - of(low)) / (of(high) - of(low))) * (WIDTH - MARGIN.left - MARGIN.right);
const yOf =
  (low: number, high: number, of: Scale = (y) => y): Scale =>
  (value) =>
    HEIGHT - MARGIN.bottom - ((of(value) - of(low)) / (of(high) - of(low))) * (HEIGHT - MARGIN.top - MARGIN.bottom);

/** Powers of ten from at most `low` to at least `high`. */
function decades(low: number, high: number): number[] {
  const [from, to] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  return Array.from({ length: to - from + 1 }, (_, i) => 10 ** (from + i));
}

const power = (value: number): string =>
  value >= 0.001 && value < 10_000 ? String(Number(value.toPrecision(3))) : value.toExponential(0);

/** Rate of products against their number a byte, log-log, under the measured roof; a circle's area is its share of the time. */
export function rooflineChart({ model, time, peaks }: Pick<Profile, 'model' | 'time' | 'peaks'>): string {
  const kernels = time.kernels.filter(({ macs, bytes, ms }) => macs > 0 && bytes > 0 && ms > 0);
  const points = kernels.map((kernel) => ({
    kernel,
    intensity: kernel.macs / kernel.bytes,
    rate: kernel.macs / (kernel.ms * 1e6), // GMAC/s
  }));
  const roof = Math.max(peaks.macsPerSecond, peaks.integerMacsPerSecond ?? 0) / 1e9;
  const bandwidth = peaks.bytesPerSecond / 1e9;
  const xs = decades(
    Math.min(0.1, ...points.map(({ intensity }) => intensity)),
    Math.max((10 * roof) / bandwidth, ...points.map(({ intensity }) => intensity)),
  );
  const ys = decades(
    Math.min(roof / 100, ...points.map(({ rate }) => rate)),
    Math.max(roof, ...points.map(({ rate }) => rate)),
  );
  const x = xOf(xs[0], xs[xs.length - 1], Math.log10);
  const y = yOf(ys[0], ys[ys.length - 1], Math.log10);
  const grid = [
    ...xs.map(
      (v) =>
        `<path d="M${x(v).toFixed(1)} ${MARGIN.top}V${HEIGHT - MARGIN.bottom}" stroke="${GRID}"/><text x="${x(v).toFixed(1)}" y="${HEIGHT - MARGIN.bottom + 16}" text-anchor="middle">${power(v)}</text>`,
    ),
    ...ys.map(
      (v) =>
        `<path d="M${MARGIN.left} ${y(v).toFixed(1)}H${WIDTH - MARGIN.right}" stroke="${GRID}"/><text x="${MARGIN.left - 6}" y="${(y(v) + 4).toFixed(1)}" text-anchor="end">${power(v)}</text>`,
    ),
  ];
  const rates = [peaks.macsPerSecond, peaks.integerMacsPerSecond].filter((rate) => rate !== null);
  const roofs = rates.map((macsPerSecond) => {
    const rate = macsPerSecond / 1e9;
    const start = Math.max(xs[0], ys[0] / bandwidth);
    return `<path d="M${x(start).toFixed(1)} ${y(start * bandwidth).toFixed(1)}L${x(rate / bandwidth).toFixed(1)} ${y(rate).toFixed(1)}H${x(xs[xs.length - 1]).toFixed(1)}" fill="none" stroke="${INK}" stroke-width="2"/>`;
  });
  const largest = Math.max(...kernels.map(({ ms }) => ms), 1e-9);
  const circles = points.map(({ kernel, intensity, rate }) => {
    const radius = 3 + 13 * Math.sqrt(kernel.ms / largest);
    const colour = kernel.bound === 'compute' ? COMPUTE : MEMORY;
    return `<circle cx="${x(intensity).toFixed(1)}" cy="${y(rate).toFixed(1)}" r="${radius.toFixed(1)}" fill="${colour}" fill-opacity="0.4" stroke="${colour}"><title>${escapeXml(`${kernel.name} (${kernel.operator}): ${kernel.ms.toFixed(3)} ms`)}</title></circle>`;
  });
  const share = kernels.reduce((sum, { ms }) => sum + ms, 0) / time.wallMs;
  return frame(
    `Roofline of ${model.file}`,
    `multiply-accumulates a byte; ${(100 * share).toFixed(0)} % of the time is in these kernels`,
    'GMAC/s reached',
    [...grid, ...roofs, ...circles, ...numbers(points, x, y), legend(peaks)],
    points.length === 0 ? 0 : LINE * Math.min(points.length, NAMED) + 8,
  );
}

interface Point {
  readonly kernel: Kernel;
  readonly intensity: number;
  readonly rate: number;
}

const HALO = `stroke="${COLOURS.page}" stroke-width="3" paint-order="stroke"`;
const LINE = 16;

/**
 * A number at each of the kernels with the most to recover, those that would cover each other one below the other, with lines to their
 * circles; their names under the plot, where there is nothing else.
 */
function numbers(points: readonly Point[], x: Scale, y: Scale): string[] {
  const taken: { readonly x: number; readonly y: number }[] = [];
  const bottom = HEIGHT - MARGIN.bottom - 4;
  return points.slice(0, NAMED).flatMap(({ kernel, intensity, rate }, i) => {
    const name = kernel.name.length > 64 ? `…${kernel.name.slice(-63)}` : kernel.name;
    const exact = { x: x(intensity), y: y(rate) };
    const at = { x: exact.x, y: exact.y };
    const covers = (other: { readonly x: number; readonly y: number }): boolean =>
      Math.abs(other.x - at.x) < LINE && Math.abs(other.y - at.y) < LINE;
    while (taken.some(covers)) {
      at.y += 2;
      if (at.y > bottom) Object.assign(at, { x: at.x + LINE, y: exact.y });
    }
    taken.push(at);
    const moved = at.x !== exact.x || at.y !== exact.y;
    return [
      moved
        ? `<path d="M${exact.x.toFixed(1)} ${exact.y.toFixed(1)}L${at.x.toFixed(1)} ${at.y.toFixed(1)}" stroke="${INK}"/>`
        : '',
      `<text x="${at.x.toFixed(1)}" y="${(at.y + 4).toFixed(1)}" font-weight="bold" text-anchor="middle" ${HALO}>${i + 1}</text>`,
      `<text x="${MARGIN.left}" y="${HEIGHT + LINE * i + 8}">${i + 1}: ${escapeXml(name)}, ${kernel.ms.toPrecision(3)} ms, ${kernel.recoverableMs.toPrecision(2)} recoverable</text>`,
    ];
  });
}

function legend({ macsPerSecond, integerMacsPerSecond, bytesPerSecond }: Profile['peaks']): string {
  const integers = integerMacsPerSecond === null ? '' : `, of 8 bits ${(integerMacsPerSecond / 1e9).toFixed(0)}`;
  return [
    `<circle cx="${MARGIN.left + 6}" cy="40" r="5" fill="${COMPUTE}"/><text x="${MARGIN.left + 16}" y="44">bound by arithmetic</text>`,
    `<circle cx="${MARGIN.left + 156}" cy="40" r="5" fill="${MEMORY}"/><text x="${MARGIN.left + 166}" y="44">by memory</text>`,
    `<text x="${WIDTH - MARGIN.right}" y="44" text-anchor="end">measured: products ${(macsPerSecond / 1e9).toFixed(0)} GMAC/s${integers}; copies ${(bytesPerSecond / 1e9).toFixed(1)} GB/s</text>`,
  ].join('');
}

/** How often a run took how long, over the logarithm of the time: a disturbed run takes many times as long. */
export function latencyChart({ model, latency }: Pick<Profile, 'model' | 'latency'>, times: readonly number[]): string {
  const [low, high] = [latency.minMs * 0.99, latency.maxMs * 1.01];
  const counts = new Array<number>(BINS).fill(0);
  for (const ms of times) counts[Math.min(BINS - 1, Math.floor((Math.log(ms / low) / Math.log(high / low)) * BINS))]++;
  const most = Math.max(...counts);
  const x = xOf(low, high, Math.log);
  const y = yOf(0, most * 1.25);
  const width = (WIDTH - MARGIN.left - MARGIN.right) / BINS;
  const bars = counts.map((n, bin) =>
    n === 0
      ? ''
      : `<rect x="${(MARGIN.left + bin * width).toFixed(1)}" y="${y(n).toFixed(1)}" width="${(width - 1).toFixed(1)}" height="${(HEIGHT - MARGIN.bottom - y(n)).toFixed(1)}" fill="${COMPUTE}"/>`,
  );
  const ticks = Array.from({ length: 6 }, (_, i) => low * (high / low) ** (i / 5)).map(
    (ms) =>
      `<text x="${x(ms).toFixed(1)}" y="${HEIGHT - MARGIN.bottom + 16}" text-anchor="middle">${Number(ms.toPrecision(3))}</text>`,
  );
  const heights = [...new Set([0, Math.ceil(most / 2), most])].map(
    (n) => `<text x="${MARGIN.left - 6}" y="${(y(n) + 4).toFixed(1)}" text-anchor="end">${n}</text>`,
  );
  const marks = (['p50Ms', 'p90Ms', 'p99Ms'] as const).map((key, i) => {
    const at = x(latency[key].value);
    const left = at > (2 * WIDTH) / 3;
    return `<path d="M${at.toFixed(1)} ${MARGIN.top}V${HEIGHT - MARGIN.bottom}" stroke="${MEMORY}" stroke-dasharray="4 3"/><text x="${(at + (left ? -4 : 4)).toFixed(1)}" y="${MARGIN.top + 12 + 15 * i}" text-anchor="${left ? 'end' : 'start'}" ${HALO}>${key.slice(0, 3)} ${latency[key].value.toPrecision(3)} ms</text>`;
  });
  const { batch, threads } = latency.setting;
  const title = `Latency of ${model.file}: batch ${batch}, ${threads} thread${threads === 1 ? '' : 's'}, ${latency.runs} runs`;
  return frame(title, 'milliseconds of a run', 'runs', [...bars, ...ticks, ...heights, ...marks]);
}
