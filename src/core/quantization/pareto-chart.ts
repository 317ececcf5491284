import type { Trial } from './auto.js';

const WIDTH = 640;
const HEIGHT = 400;
const MARGIN = { left: 64, right: 24, top: 32, bottom: 48 };
/** Okabe and Ito: told apart by every kind of colour vision. */
const CHOSEN = '#009e73';
const OTHER = '#999999';

/**
 * Size against speed as SVG, one circle a trial: filled where none is better in everything, labelled with its flips.
 * The float model is the cross at speed 1. Equal trials give equal bytes.
 */
export function paretoChart(trials: readonly Trial[], floatBytes: number): string {
  const mostBytes = Math.max(floatBytes, ...trials.map(({ bytes }) => bytes)) * 1.1;
  const mostSpeed = Math.max(1, ...trials.map(({ speed }) => speed)) * 1.15;
  const x = (bytes: number) => MARGIN.left + (bytes / mostBytes) * (WIDTH - MARGIN.left - MARGIN.right);
  const y = (speed: number) => HEIGHT - MARGIN.bottom - (speed / mostSpeed) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const marks = trials.map((trial) => {
    const [cx, cy] = [x(trial.bytes).toFixed(1), y(trial.speed).toFixed(1)];
    const colour = trial.against === null ? CHOSEN : OTHER;
    const name = [trial.scheme, trial.calibrator, trial.keptFloat > 0 ? `${trial.keptFloat} kept float` : null]
      .filter(Boolean)
      .join(' ');
    const label = `${name}: ${(100 * trial.heldOut.flipRate).toFixed(2)} % flips`;
    return `<circle cx="${cx}" cy="${cy}" r="5" fill="${trial.pareto ? colour : 'none'}" stroke="${colour}"/><text x="${cx}" y="${cy}" dx="8" dy="4">${label}</text>`;
  });
  const float = `<path d="M${x(floatBytes).toFixed(1)} ${y(1).toFixed(1)}m-5-5l10 10m0-10l-10 10" stroke="#000"/>`;
  const axes = [
    `<path d="M${MARGIN.left} ${MARGIN.top}V${HEIGHT - MARGIN.bottom}H${WIDTH - MARGIN.right}" fill="none" stroke="#000"/>`,
    `<text x="${WIDTH / 2}" y="${HEIGHT - 12}" text-anchor="middle">size, 0 to ${(mostBytes / 2 ** 20).toFixed(2)} MiB</text>`,
    `<text x="16" y="${HEIGHT / 2}" text-anchor="middle" transform="rotate(-90 16 ${HEIGHT / 2})">speed, 0 to ${mostSpeed.toFixed(2)} times float</text>`,
  ];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="11">`,
    '<rect width="100%" height="100%" fill="#fff"/>',
    ...axes,
    float,
    ...marks,
    '</svg>\n',
  ].join('\n');
}
