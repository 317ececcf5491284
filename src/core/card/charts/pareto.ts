import type { Trial } from '../../quantization/search/auto.js';
import { COLOURS } from '../theme.js';
import { drawing, fixed, LINE, type Place, paragraph, SIDE, text, titled, WIDTH } from './by-hand.js';

const PLOT = { left: 46, top: 66, width: WIDTH - 46 - 24, height: 220 };
const MAY_BE_WRITTEN = COLOURS.green;
const NOT = COLOURS.grey;

/**
 * Size against speed as SVG: one numbered circle a trial, green where it may be written, filled where no other is better in
 * everything, at its true place, over a list of the same numbers; a second ring is around the one that was written. The cross is the
 * float model. Equal trials give equal bytes.
 */
export function paretoChart(trials: readonly Trial[], floatBytes: number, written: Trial | null): string {
  const sizes = axis(Math.max(floatBytes, ...trials.map(({ bytes }) => bytes)));
  const speeds = axis(Math.max(1, ...trials.map(({ speed }) => speed)));
  const x = (bytes: number): number => PLOT.left + (bytes / sizes.end) * PLOT.width;
  const y = (speed: number): number => PLOT.top + (1 - speed / speeds.end) * PLOT.height;
  const circles = trials.map(({ bytes, speed }) => ({ x: x(bytes), y: y(speed) }));
  const places = apart(circles);
  const title = 'Size and speed of what was tried';
  const listed = list(trials, PLOT.top + PLOT.height + 60, written);
  return drawing(listed.below, title, [
    ...titled(title).parts,
    ...sizes.ticks.map((bytes) => tick(x(bytes), PLOT.top + PLOT.height, formatSize(bytes, sizes.end))),
    ...speeds.ticks.map((speed) => level(y(speed), `${Number(speed.toPrecision(6))}`)),
    text(PLOT.left + PLOT.width, PLOT.top + PLOT.height + 34, `size in ${unitOf(sizes.end).name}`, 'text-anchor="end"'),
    text(SIDE, PLOT.top - 14, 'speed, in times the float model’s'),
    `<path d="M${PLOT.left} ${fixed(y(1))}h${PLOT.width}" stroke="${COLOURS.ink}" stroke-dasharray="4 4"/>`,
    `<path d="M${fixed(x(floatBytes))} ${fixed(y(1))}m-5-5l10 10m0-10l-10 10" stroke="${COLOURS.ink}" stroke-width="2"/>`,
    text(x(floatBytes) - 10, y(1) - 10, 'float', 'text-anchor="end"'),
    ...trials.map((trial, i) => mark(trial, circles[i], trial === written)),
    ...trials.map((trial, i) => numberOf(i + 1, circles[i], places[i], trial)),
    ...listed.parts,
  ]);
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

/** What each trial is, its numbers on the held-out rows, and what became of it: one below the other, as wide as a phone. */
function list(trials: readonly Trial[], top: number, written: Trial | null): { parts: string[]; below: number } {
  const parts: string[] = [];
  let y = top;
  trials.forEach((trial, i) => {
    const size = `${formatSize(trial.bytes, trial.bytes)} ${unitOf(trial.bytes).name}`;
    const flips = `${(100 * trial.heldOut.flipRate).toFixed(2)} % flips`;
    const kendall = trial.heldOut.kendall === null ? [] : [`Kendall ${trial.heldOut.kendall.toFixed(3)}`];
    const figures = [size, `${trial.speed.toFixed(2)} x`, flips, ...kendall].join(', ');
    const verdict = trial === written ? 'written' : (trial.against ?? 'may be written');
    const colour = `fill="${trial.against === null ? MAY_BE_WRITTEN : NOT}"`;
    parts.push(text(SIDE + 16, y, `${i + 1}`, `text-anchor="end" ${colour}`));
    for (const [line, style] of [
      [nameOf(trial), 'font-weight="bold" '],
      [figures, ''],
      [verdict, trial === written ? 'font-weight="bold" ' : ''],
    ]) {
      const shown = paragraph(SIDE + 24, y, line, `${style}${colour}`);
      parts.push(...shown.parts);
      y = shown.below;
    }
    y += LINE / 2;
  });
  return { parts, below: y };
}

const nameOf = ({ scheme, calibrator, keptFloat }: Trial): string =>
  [scheme, calibrator, keptFloat > 0 ? `(${keptFloat} ${keptFloat === 1 ? 'layer' : 'layers'} float)` : null]
    .filter(Boolean)
    .join(' ');

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
