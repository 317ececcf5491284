import type { TopLevelSpec } from 'vega-lite';

/** Two panels, one above the other: the loss with its unweighted parts, and the AUC of each modality. */
export function curveSpec(log: readonly Readonly<Record<string, unknown>>[]): TopLevelSpec {
  const evaluated = log.filter((line) => line.step !== undefined && line.auc !== undefined);
  const losses = evaluated.flatMap((line) =>
    Object.entries(line)
      .filter(([name]) => name.startsWith('loss'))
      .map(([name, value]) => ({ step: line.step, series: name.replace(/^loss\./, ''), value })),
  );
  const aucs = evaluated.flatMap((line) =>
    Object.entries({ ...(line.auc as Record<string, number | null>), mean: line.mean_auc }).flatMap(
      ([series, value]) => (typeof value === 'number' ? [{ step: line.step, series, value }] : []),
    ),
  );
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    vconcat: [panel(losses, 'loss'), ...(aucs.length > 0 ? [panel(aucs, 'AUC, held out')] : [])],
    resolve: { scale: { color: 'independent', strokeDash: 'independent' } },
  } as TopLevelSpec;
}

const panel = (values: readonly Readonly<Record<string, unknown>>[], title: string) => ({
  width: 520,
  height: 200,
  data: { values },
  mark: { type: 'line', point: true },
  encoding: {
    x: { field: 'step', type: 'quantitative', title: 'step' },
    y: { field: 'value', type: 'quantitative', title, scale: { zero: false } },
    color: { field: 'series', type: 'nominal' },
    strokeDash: { field: 'series', type: 'nominal' },
  },
});
