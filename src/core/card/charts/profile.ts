import type { Kernel, Profile } from '../../profiling/schema.js';
import { COLOURS } from '../theme.js';
import { drawing, escapeXml, fixed, HALO, LINE, type Place, paragraph, SIDE, text, titled, WIDTH } from './by-hand.js';
import { shown } from './text.js';

const LEFT = 60;
const RIGHT = WIDTH - 16;
const HEIGHT = 250;
const COMPUTE = COLOURS.blue;
const MEMORY = COLOURS.vermillion;
const INK = COLOURS.ink;
const GRID = COLOURS.grid;
/** Kernels that are named in the chart: more names would lie on each other. */
const NAMED = 6;
const BINS = 40;

/** Where the plot is, in the drawing. */
interface Area {
  readonly top: number;
  readonly bottom: number;
}

interface Labels {
  readonly title: string;
  readonly x: string;
  readonly y: string;
}

/** Drawings one below the other: the title, what is said of the plot, the plot with its axes, and what stands under it. */
function framed(
  labels: Labels,
  above: (y: number) => { parts: string[]; below: number },
  plot: (area: Area) => readonly string[],
  under: (y: number) => { parts: string[]; below: number },
): string {
  const title = titled(labels.title);
  const notes = above(title.below);
  const top = notes.below;
  const bottom = top + HEIGHT;
  const listed = under(bottom + 58);
  const middle = (top + bottom) / 2;
  return drawing(listed.below, labels.title, [
    ...title.parts,
    ...notes.parts,
    ...plot({ top, bottom }),
    `<path d="M${LEFT} ${top}V${bottom}H${RIGHT}" fill="none" stroke="${INK}"/>`,
    text((LEFT + RIGHT) / 2, bottom + 36, labels.x, 'text-anchor="middle"'),
    text(16, middle, labels.y, `text-anchor="middle" transform="rotate(-90 16 ${middle})"`),
    ...listed.parts,
  ]);
}

type Scale = (value: number) => number;

const xOf =
  (low: number, high: number, of: Scale = (x) => x): Scale =>
  (value) =>
    LEFT + ((of(value) - of(low)) / (of(high) - of(low))) * (RIGHT - LEFT);
const yOf =
  ({ top, bottom }: Area, low: number, high: number, of: Scale = (y) => y): Scale =>
  (value) =>
    bottom - ((of(value) - of(low)) / (of(high) - of(low))) * (bottom - top);

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
  const rates = [peaks.macsPerSecond, peaks.integerMacsPerSecond].filter((rate) => rate !== null);
  const largest = Math.max(...kernels.map(({ ms }) => ms), 1e-9);
  const share = kernels.reduce((sum, { ms }) => sum + ms, 0) / time.wallMs;
  // As many powers as have room.
  const every = Math.ceil(xs.length / 7);
  const plot = (area: Area): string[] => {
    const y = yOf(area, ys[0], ys[ys.length - 1], Math.log10);
    return [
      ...xs.map((v, i) => {
        const label = i % every === 0 ? text(x(v), area.bottom + 16, power(v), 'text-anchor="middle"') : '';
        return `<path d="M${fixed(x(v))} ${area.top}V${area.bottom}" stroke="${GRID}"/>${label}`;
      }),
      ...ys.map(
        (v) =>
          `<path d="M${LEFT} ${fixed(y(v))}H${RIGHT}" stroke="${GRID}"/>${text(LEFT - 6, y(v) + 4, power(v), 'text-anchor="end"')}`,
      ),
      ...rates.map((macsPerSecond) => {
        const rate = macsPerSecond / 1e9;
        const start = Math.max(xs[0], ys[0] / bandwidth);
        return `<path d="M${fixed(x(start))} ${fixed(y(start * bandwidth))}L${fixed(x(rate / bandwidth))} ${fixed(y(rate))}H${fixed(x(xs[xs.length - 1]))}" fill="none" stroke="${INK}" stroke-width="2"/>`;
      }),
      ...points.map(({ kernel, intensity, rate }) => {
        const radius = 3 + 11 * Math.sqrt(kernel.ms / largest);
        const colour = kernel.bound === 'compute' ? COMPUTE : MEMORY;
        return `<circle cx="${fixed(x(intensity))}" cy="${fixed(y(rate))}" r="${fixed(radius)}" fill="${colour}" fill-opacity="0.4" stroke="${colour}"><title>${escapeXml(`${kernel.name} (${kernel.operator}): ${kernel.ms.toFixed(3)} ms`)}</title></circle>`;
      }),
      ...numbers(
        points.slice(0, NAMED).map(({ intensity, rate }) => ({ x: x(intensity), y: y(rate) })),
        area,
      ),
    ];
  };
  return framed(
    { title: `Roofline of ${shown(model.file, 32)}`, x: 'multiply-accumulates a byte', y: 'GMAC/s reached' },
    (y) => legend(peaks, share, y),
    plot,
    (y) => names(points.slice(0, NAMED), y),
  );
}

interface Point {
  readonly kernel: Kernel;
  readonly intensity: number;
  readonly rate: number;
}

/** A number at each circle, those that would cover each other moved apart, with lines to their circles. */
function numbers(circles: readonly Place[], { bottom }: Area): string[] {
  const taken: Place[] = [];
  return circles.flatMap((exact, i) => {
    const at = { x: Math.min(exact.x, RIGHT - LINE / 2), y: exact.y };
    const covers = (other: Place): boolean => Math.abs(other.x - at.x) < LINE && Math.abs(other.y - at.y) < LINE;
    // Downwards, then a column to the side where there is room.
    const aside = exact.x > (LEFT + RIGHT) / 2 ? -LINE : LINE;
    while (taken.some(covers)) {
      at.y += 2;
      if (at.y > bottom - 4) Object.assign(at, { x: at.x + aside, y: exact.y });
    }
    taken.push(at);
    const line =
      at.x === exact.x && at.y === exact.y
        ? ''
        : `<path d="M${fixed(exact.x)} ${fixed(exact.y)}L${fixed(at.x)} ${fixed(at.y)}" stroke="${INK}"/>`;
    return [line, text(at.x, at.y + 4, `${i + 1}`, `font-weight="bold" text-anchor="middle" ${HALO}`)];
  });
}

/** The names of the numbered kernels under the plot, where there is nothing else. */
function names(points: readonly Point[], top: number): { parts: string[]; below: number } {
  const parts: string[] = [];
  let y = top;
  points.forEach(({ kernel }, i) => {
    parts.push(
      text(SIDE, y, `${i + 1}`, 'font-weight="bold"'),
      text(SIDE + LINE, y, shown(kernel.name, 48)),
      text(SIDE + LINE, y + LINE, `${kernel.ms.toPrecision(3)} ms, ${kernel.recoverableMs.toPrecision(2)} recoverable`),
    );
    y += 2.5 * LINE;
  });
  return { parts, below: y };
}

function legend(
  { macsPerSecond, integerMacsPerSecond, bytesPerSecond }: Profile['peaks'],
  share: number,
  y: number,
): { parts: string[]; below: number } {
  const integers = integerMacsPerSecond === null ? '' : `, of 8 bits ${(integerMacsPerSecond / 1e9).toFixed(0)}`;
  const measured = paragraph(
    SIDE,
    y + LINE,
    `${(100 * share).toFixed(0)} % of the time is in these kernels; measured: products ${(macsPerSecond / 1e9).toFixed(0)} GMAC/s${integers}; copies ${(bytesPerSecond / 1e9).toFixed(1)} GB/s`,
    `fill="${COLOURS.grey}"`,
  );
  const dot = (x: number, colour: string, label: string): string =>
    `<circle cx="${x}" cy="${y - 4}" r="5" fill="${colour}"/>${text(x + 10, y, label)}`;
  return {
    parts: [dot(SIDE + 5, COMPUTE, 'bound by arithmetic'), dot(SIDE + 160, MEMORY, 'by memory'), ...measured.parts],
    below: measured.below,
  };
}

/** How often a run took how long, over the logarithm of the time: a disturbed run takes many times as long. */
export function latencyChart({ model, latency }: Pick<Profile, 'model' | 'latency'>, times: readonly number[]): string {
  const [low, high] = [latency.minMs * 0.99, latency.maxMs * 1.01];
  const counts = new Array<number>(BINS).fill(0);
  for (const ms of times) counts[Math.min(BINS - 1, Math.floor((Math.log(ms / low) / Math.log(high / low)) * BINS))]++;
  const most = Math.max(...counts);
  const x = xOf(low, high, Math.log);
  const width = (RIGHT - LEFT) / BINS;
  const plot = (area: Area): string[] => {
    const y = yOf(area, 0, most * 1.25);
    return [
      ...counts.map((n, bin) =>
        n === 0
          ? ''
          : `<rect x="${fixed(LEFT + bin * width)}" y="${fixed(y(n))}" width="${fixed(width - 1)}" height="${fixed(area.bottom - y(n))}" fill="${COMPUTE}"/>`,
      ),
      ...Array.from({ length: 6 }, (_, i) => low * (high / low) ** (i / 5)).map((ms) =>
        text(x(ms), area.bottom + 16, `${Number(ms.toPrecision(3))}`, 'text-anchor="middle"'),
      ),
      ...[...new Set([0, Math.ceil(most / 2), most])].map((n) => text(LEFT - 6, y(n) + 4, `${n}`, 'text-anchor="end"')),
      ...(['p50Ms', 'p90Ms', 'p99Ms'] as const).map((key, i) => {
        const at = x(latency[key].value);
        const left = at > (2 * WIDTH) / 3;
        const label = `${key.slice(0, 3)} ${latency[key].value.toPrecision(3)} ms`;
        const anchor = `text-anchor="${left ? 'end' : 'start'}" ${HALO}`;
        return `<path d="M${fixed(at)} ${area.top}V${area.bottom}" stroke="${MEMORY}" stroke-dasharray="4 3"/>${text(at + (left ? -4 : 4), area.top + 12 + LINE * i, label, anchor)}`;
      }),
    ];
  };
  const { batch, threads } = latency.setting;
  return framed(
    { title: `Latency of ${shown(model.file, 32)}`, x: 'milliseconds of a run', y: 'runs' },
    (y) => paragraph(SIDE, y, `batch ${batch}, ${threads} thread${threads === 1 ? '' : 's'}, ${latency.runs} runs`),
    plot,
    (y) => ({ parts: [], below: y - LINE / 2 }),
  );
}
