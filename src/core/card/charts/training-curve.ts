import type { TopLevelSpec } from 'vega-lite';
import { COLOURS } from './draw.js';
import { PLOT, SCHEMA } from './specs.js';

type Line = Readonly<Record<string, unknown>>;

/**
 * Two panels, one above the other: the loss with its unweighted parts, and the AUC of each modality with its interval, from the log of
 * a run. The first line of the log says how many held-out pairs an AUC is of. A file of its own, drawn for a phone.
 */
export function curveSpec(log: readonly Line[]): TopLevelSpec {
  const evaluated = log.filter((line) => line.step !== undefined && line.auc !== undefined);
  const losses = evaluated.flatMap((line) =>
    Object.entries(line)
      .filter(([name, value]) => name.startsWith('loss') && typeof value === 'number')
      .map(([name, value]) => ({ step: line.step, series: name.replace(/^loss\./, ''), value })),
  );
  const pairs = heldOutPairs(log);
  const aucs = evaluated.flatMap((line) => {
    const own = Object.entries(line.auc as Record<string, number | null>);
    // Of one modality the mean is the same line.
    return (own.length > 1 ? [...own, ['mean', line.mean_auc] as const] : own).flatMap(([series, value]) =>
      typeof value === 'number' ? [{ step: line.step, series, value, ...intervalOf(value, pairs.get(series)) }] : [],
    );
  });
  const steps = evaluated.map(({ step }) => Number(step));
  const last = Math.max(1, ...steps);
  const panels = [
    ...(losses.length > 0 ? [panel(losses, 'loss', last)] : []),
    ...(aucs.length > 0 ? [panel(aucs, 'AUC, held out', last, 0.5)] : []),
  ];
  return {
    $schema: SCHEMA,
    title: {
      text: 'Training',
      subtitle: `Loss, and AUC on held-out pairs with approximate 95 % intervals; dashed: chance. ${evaluated.length} evaluations up to step ${last}`,
    },
    vconcat: panels,
    resolve: { scale: { color: 'independent', strokeDash: 'independent', shape: 'independent' } },
  } as unknown as TopLevelSpec;
}

/** How many held-out pairs each modality has, as the first line of the log says. */
function heldOutPairs(log: readonly Line[]): ReadonlyMap<string, number> {
  const examples = (log.find((line) => line.examples !== undefined)?.examples ?? {}) as Record<
    string,
    { readonly validationPairs?: number } | undefined
  >;
  return new Map(
    Object.entries(examples).flatMap(([name, counts]) =>
      counts?.validationPairs ? [[name, counts.validationPairs] as const] : [],
    ),
  );
}

/** Hanley and McNeil (1982), half of the pairs on each side; nothing where it is not known how many there are. */
function intervalOf(auc: number, pairs: number | undefined): { readonly low?: number; readonly high?: number } {
  if (pairs === undefined || pairs < 4) return {};
  const side = pairs / 2;
  const [q1, q2] = [auc / (2 - auc), (2 * auc ** 2) / (1 + auc)];
  const variance = (auc * (1 - auc) + (side - 1) * (q1 + q2 - 2 * auc ** 2)) / side ** 2;
  const half = 1.96 * Math.sqrt(Math.max(0, variance));
  return { low: Math.max(0, auc - half), high: Math.min(1, auc + half) };
}

/** Colours, dashes and shapes by the place of a series: lines that lie on each other show through each other's gaps. */
const INKS = [COLOURS.blue, COLOURS.vermillion, COLOURS.green, COLOURS.purple, COLOURS.ink, COLOURS.grey];
const DASHES = [
  [1, 0],
  [7, 4],
  [2, 3],
  [9, 3, 2, 3],
  [12, 5],
  [4, 2],
];
const SHAPES = ['circle', 'diamond', 'square', 'triangle-up', 'cross', 'triangle-down'];

function panel(
  values: readonly { readonly series: string; readonly step: unknown; readonly value: unknown }[],
  title: string,
  last: number,
  level?: number,
) {
  const names = [...new Set(values.map(({ series }) => series))];
  const by = <T>(range: readonly T[]) => ({
    field: 'series',
    type: 'nominal',
    scale: { domain: names, range: names.map((_, i) => range[i % range.length]) },
    legend: names.length > 1 ? { symbolOpacity: 1, symbolFillColor: 'transparent', columns: 3 } : null,
  });
  // From step 0, where nothing has been learnt.
  const x = { field: 'step', type: 'quantitative', title: 'step', scale: { domain: [0, last], nice: false } };
  const y = { field: 'value', type: 'quantitative', title, scale: { zero: false } };
  return {
    width: PLOT.narrow,
    height: 160,
    data: { values },
    layer: [
      ...(level === undefined
        ? []
        : [
            {
              data: { values: [{ level }] },
              mark: { type: 'rule', color: COLOURS.grey, strokeDash: [4, 4] },
              encoding: { y: { field: 'level', type: 'quantitative' } },
            },
            {
              mark: { type: 'area', opacity: 0.15 },
              encoding: { x, y: { ...y, field: 'low' }, y2: { field: 'high' }, color: by(INKS) },
            },
          ]),
      { mark: { type: 'line', strokeWidth: 1.75 }, encoding: { x, y, color: by(INKS), strokeDash: by(DASHES) } },
      {
        mark: { type: 'point', size: 50, opacity: 1, strokeWidth: 1.5 },
        encoding: { x, y, color: by(INKS), shape: by(SHAPES) },
      },
    ],
  };
}
