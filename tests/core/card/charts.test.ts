import { describe, expect, it } from 'vitest';
import { drawSvg } from '../../../src/core/card/charts/draw.js';
import { readCardFacts } from '../../../src/core/card/read-card.js';
import { chartsOf } from '../../../src/core/card/render-card.js';
import { canDrawText, rasterizeSvg } from '../../../src/core/media/rasterize.js';
import { evaluated, HOSTILE_NAMES, makeCard } from '../../helpers/cards.js';
import { tempFolder } from '../../helpers/temp.js';

const bars = (data: object) =>
  ({
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    data,
    mark: 'bar',
    encoding: { x: { field: 'a', type: 'quantitative' } },
  }) as Parameters<typeof drawSvg>[0];

describe('drawSvg', () => {
  it.each(['file:///etc/passwd', '/etc/passwd', 'https://example.com/data.csv', 'data.csv'])(
    'never reads %s',
    async (url) => {
      await expect(drawSvg(bars({ url, format: { type: 'csv' } }))).rejects.toThrow(
        'a chart asked for a file or an address',
      );
    },
  );

  it('draws the same bytes twice', async () => {
    const spec = bars({ values: [{ a: 1 }, { a: 2 }] });
    expect(await drawSvg(spec)).toBe(await drawSvg(spec));
  });

  it('draws every picture of a card with hostile names as well-formed SVG that holds them as text', async () => {
    const folder = tempFolder();
    const report = await evaluated(folder, { groups: HOSTILE_NAMES, prompts: 20 });
    await makeCard(`${folder}/card`, { evaluations: [report] });
    const charts = chartsOf(await readCardFacts(`${folder}/card`));
    expect(charts.map(({ name }) => name)).toEqual(['reliability-1', 'groups-1', 'distributions-1']);
    for (const { spec } of charts) {
      const svg = await drawSvg(spec);
      expect(svg).not.toContain('<script');
      expect((await rasterizeSvg(svg)).byteLength).toBeGreaterThan(1000); // libxml refuses what is not well-formed
    }
  });
});

describe('canDrawText', () => {
  it('knows whether letters come out apart', async () => {
    expect(typeof (await canDrawText())).toBe('boolean');
  });
});
