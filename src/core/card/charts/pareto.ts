import type { Trial } from '../../quantization/search/auto.js';
import { COLOURS, DARK_STYLE, FONT_ATTRIBUTE } from '../theme.js';

const WIDTH = 720;
const PLOT = { left: 56, top: 50, width: 632, height: 260 };
const ROW = 18;
const MAY_BE_WRITTEN = COLOURS.green;
const NOT = COLOURS.grey;
const COLUMNS = { number: 24, name: 48, bytes: 288, speed: 352, flips: 420, kendall: 490, verdict: 506 } as const;

/**
 * Size against speed as SVG: one numbered circle a trial, green where it may be written, filled where no other is better in
 * everything, at its true place, over a table of the same numbers; a second ring is around the one that was written. The cross is the
 * float model. Equal trials give equal bytes.
 */
export function paretoChart(trials: readonly Trial[], floatBytes: number, written: Trial | null): string {
  const sizes = axis(Math.max(floatBytes, ...trials.map(({ bytes }) => bytes)));
  const speeds = axis(Math.max(1, ...trials.map(({ speed }) => speed)));
  const x = (bytes: number): number => PLOT.left + (bytes / sizes.end) * PLOT.width;
  const y = (speed: number): number => PLOT.top + (1 - speed / speeds.end) * PLOT.height;
  const height = PLOT.top + PLOT.height + 64 + ROW * (trials.length + 2);
  const places = apart(trials.map(({ bytes, speed }) => ({ x: x(bytes), y: y(speed) })));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" font-family="${FONT_ATTRIBUTE}" font-size="12" fill="${COLOURS.ink}">`,
    DARK_STYLE,
    `<rect width="${WIDTH}" height="${height}" fill="${COLOURS.page}"/>`,
    text(PLOT.left, 22, 'Size and speed of what was tried', 'font-size="14" font-weight="bold"'),
    ...sizes.ticks.map((bytes) => tick(x(bytes), PLOT.top + PLOT.height, formatSize(bytes, sizes.end))),
    ...speeds.ticks.map((speed) => level(y(speed), `${Number(speed.toPrecision(6))}`)),
    text(PLOT.left + PLOT.width, PLOT.top + PLOT.height + 34, `size in ${unitOf(sizes.end).name}`, 'text-anchor="end"'),
    text(PLOT.left, PLOT.top - 6, 'speed, in times the float model’s'),
    `<path d="M${PLOT.left} ${fixed(y(1))}h${PLOT.width}" stroke="${COLOURS.ink}" stroke-dasharray="4 4"/>`,
    `<path d="M${fixed(x(floatBytes))} ${fixed(y(1))}m-5-5l10 10m0-10l-10 10" stroke="${COLOURS.ink}" stroke-width="2"/>`,
    text(x(floatBytes) - 10, y(1) - 10, 'float', 'text-anchor="end"'),
    ...trials.map((trial) => mark(trial, { x: x(trial.bytes), y: y(trial.speed) }, trial === written)),
    ...trials.map((trial, i) => numberOf(i + 1, { x: x(trial.bytes), y: y(trial.speed) }, places[i], trial)),
    ...table(trials, PLOT.top + PLOT.height + 64, written),
    '</svg>\n',
  ].join('\n');
}

interface Place {
  readonly x: number;
  readonly y: number;
}

const RADIUS = 6;
/** Of a number, as it is read. */
const LABEL = { width: 18, height: 14 } as const;

/** Places beside the circles for their numbers, none over another, nor over a circle. */
function apart(circles: readonly Place[]): Place[] {
  const taken: Place[] = [];
  for (const { x, y } of circles) {
    const place = { x: x + RADIUS + LABEL.width / 2, y };
    const covers = (other: Place, width: number): boolean =>
      Math.abs(other.x - place.x) < width && Math.abs(other.y - place.y) < LABEL.height;
    let step = 0;
    while (
      taken.some((one) => covers(one, LABEL.width)) ||
      circles.some((one) => covers(one, LABEL.width / 2 + RADIUS))
    ) {
      step++; // above and below by turns, further out each time
      place.y = y + (step % 2 === 1 ? -1 : 1) * Math.ceil(step / 2) * (LABEL.height / 2);
    }
    taken.push({ ...place });
  }
  return taken;
}

function mark({ against, pareto }: Trial, { x, y }: Place, written: boolean): string {
  const colour = against === null ? MAY_BE_WRITTEN : NOT;
  const circle = (r: number, fill: string): string =>
    `<circle cx="${fixed(x)}" cy="${fixed(y)}" r="${r}" fill="${fill}" stroke="${colour}" stroke-width="1.5"/>`;
  return `${written ? circle(RADIUS + 4, 'none') : ''}${circle(RADIUS, pareto ? colour : COLOURS.page)}`;
}

function numberOf(number: number, circle: Place, place: Place, { against }: Trial): string {
  const colour = against === null ? MAY_BE_WRITTEN : NOT;
  const line =
    place.y === circle.y
      ? ''
      : `<path d="M${fixed(circle.x)} ${fixed(circle.y)}L${fixed(place.x - LABEL.width / 2)} ${fixed(place.y)}" stroke="${colour}" stroke-width="0.75"/>`;
  return `${line}${text(place.x, place.y + 4, `${number}`, `text-anchor="middle" fill="${colour}"`)}`;
}

function table(trials: readonly Trial[], top: number, written: Trial | null): string[] {
  const right = 'text-anchor="end"';
  const line = (y: number, cells: readonly (readonly [number, string, string?])[], style = ''): string =>
    cells.map(([x, content, anchor = '']) => text(x, y, content, `${anchor} ${style}`)).join('');
  const head = [
    [COLUMNS.name, 'trial'],
    [COLUMNS.bytes, 'size', right],
    [COLUMNS.speed, 'speed', right],
    [COLUMNS.flips, 'flips', right],
    [COLUMNS.kendall, 'Kendall', right],
    [COLUMNS.verdict, '(on held-out rows)'],
  ] as const;
  return [
    line(top, head, 'font-weight="bold"'),
    ...trials.map((trial, i) =>
      line(
        top + ROW * (i + 1),
        [
          [COLUMNS.number, `${i + 1}`],
          [COLUMNS.name, nameOf(trial)],
          [COLUMNS.bytes, `${formatSize(trial.bytes, trial.bytes)} ${unitOf(trial.bytes).name}`, right],
          [COLUMNS.speed, `${trial.speed.toFixed(2)} x`, right],
          [COLUMNS.flips, `${(100 * trial.heldOut.flipRate).toFixed(2)} %`, right],
          [COLUMNS.kendall, trial.heldOut.kendall?.toFixed(3) ?? '–', right],
          [COLUMNS.verdict, trial === written ? 'written' : (trial.against ?? 'may be written')],
        ],
        `fill="${trial.against === null ? MAY_BE_WRITTEN : NOT}"`,
      ),
    ),
  ];
}

const nameOf = ({ scheme, calibrator, keptFloat }: Trial): string =>
  [scheme, calibrator, keptFloat > 0 ? `(${keptFloat} layers float)` : null].filter(Boolean).join(' ');

const fixed = (value: number): string => value.toFixed(1);

const text = (x: number, y: number, content: string, style = ''): string =>
  `<text x="${fixed(x)}" y="${fixed(y)}" ${style}>${content}</text>`;

const tick = (x: number, y: number, label: string): string =>
  `<path d="M${fixed(x)} ${y}v4" stroke="${COLOURS.ink}"/>${text(x, y + 17, label, 'text-anchor="middle"')}`;

const level = (y: number, label: string): string =>
  `<path d="M${PLOT.left} ${fixed(y)}h${PLOT.width}" stroke="${COLOURS.grid}"/>${text(PLOT.left - 8, y + 4, label, 'text-anchor="end"')}`;

/** Four to nine round steps from 0 to a little beyond the largest value. */
function axis(largest: number): { end: number; ticks: number[] } {
  const power = 10 ** Math.floor(Math.log10(largest));
  const step = [0.2, 0.25, 0.5, 1, 2].map((factor) => factor * power).find((each) => largest / each <= 6) ?? power;
  const count = Math.floor(largest / step) + 1;
  return { end: count * step, ticks: Array.from({ length: count + 1 }, (_, i) => i * step) };
}

const UNITS = [
  { name: 'GB', bytes: 1e9 },
  { name: 'MB', bytes: 1e6 },
  { name: 'kB', bytes: 1e3 },
] as const;

const unitOf = (bytes: number) => UNITS.find((unit) => bytes >= unit.bytes) ?? UNITS[2];

const formatSize = (bytes: number, of: number): string =>
  `${Number((bytes / unitOf(of).bytes).toPrecision(bytes === of ? 3 : 6))}`;
