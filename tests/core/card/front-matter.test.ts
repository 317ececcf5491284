import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { CardFacts } from '../../../src/core/card/card-facts.js';
import { renderCycloneDx } from '../../../src/core/card/cyclonedx.js';
import { frontMatter, renderEvalResults, renderFrontMatter } from '../../../src/core/card/front-matter.js';
import { readCardFacts } from '../../../src/core/card/read-card.js';
import { evaluated, HOSTILE_NAMES, makeCard, writeTexts } from '../../helpers/cards.js';
import { cycloneDxErrors } from '../../helpers/cyclonedx.js';
import { sharedFolder } from '../../helpers/temp.js';

const folder = sharedFolder();
let facts: CardFacts;
beforeAll(async () => {
  const report = await evaluated(folder, { prompts: 20 });
  await makeCard(`${folder}/card`, { evaluations: [report], ...writeTexts(folder) });
  facts = await readCardFacts(`${folder}/card`);
}, 60_000);

/** As the Hub finds it (huggingface_hub, repocard.py, REGEX_YAML_BLOCK). */
const hubBlock = (content: string): string => /^(\s*---[\r\n]+)([\S\s]*?)([\r\n]+---(\r\n|\n|$))/.exec(content)![2];

describe('front matter', () => {
  it("is found and read by the Hub's rule, and equals the facts", () => {
    const written = parse(hubBlock(readFileSync(`${folder}/card/README.md`, 'utf8')));
    expect(written).toEqual(frontMatter(facts));
    expect(written).toMatchObject({
      license: 'apache-2.0',
      language: ['en'],
      base_model: ['someone/something'],
      datasets: ['someone/drawn'],
      metrics: expect.arrayContaining(['accuracy', 'brier_score']),
    });
    expect(written.tags).toEqual(['hpsv3', 'human-preference', 'reward-model', 'test']);
  });

  it('states each figure as the report has it in model-index', () => {
    const [{ name, results }] = frontMatter(facts)['model-index']!;
    expect(name).toBe('Drawn');
    expect(results).toHaveLength(1);
    expect(results[0].dataset).toEqual({ type: 'someone/drawn', name: 'Drawn pairs' });
    const accuracy = results[0].metrics.find(({ type }) => type === 'accuracy');
    expect(accuracy?.value).toBe(facts.evaluations[0].report.overall.accuracy.value);
  });

  it.each(HOSTILE_NAMES)('reads %j back as it was', (name) => {
    const hostile = { ...facts, name, text: { ...facts.text, tags: [name], license: name, language: [name] } };
    const block = hubBlock(`${renderFrontMatter(hostile)}\n# A card\n\n---\n`);
    expect(parse(block)).toEqual(frontMatter(hostile));
  });

  it('has results for data that are a benchmark on the Hub, and none for others', () => {
    expect(parse(renderEvalResults(facts)!)).toEqual([
      {
        dataset: { id: 'someone/drawn', task_id: 'preference' },
        value: facts.evaluations[0].report.overall.accuracy.value,
        notes: expect.stringContaining('Accuracy'),
      },
    ]);
    expect(renderEvalResults({ ...facts, datasets: facts.datasets.map(({ task_id, ...rest }) => rest) })).toBeNull();
  });
});

describe('CycloneDX', () => {
  it('breaks no rule of the schema of version 1.6', () => {
    const bom = JSON.parse(readFileSync(`${folder}/card/bom.cdx.json`, 'utf8'));
    expect(cycloneDxErrors(bom)).toEqual([]);
    expect(bom.metadata.component.licenses).toEqual([{ license: { id: 'Apache-2.0' } }]);
    expect(bom.metadata.component.modelCard.quantitativeAnalysis.performanceMetrics[0]).toEqual({
      type: 'accuracy',
      value: String(facts.evaluations[0].report.overall.accuracy.value),
      slice: 'dataset=Drawn pairs',
      confidenceInterval: { lowerBound: expect.any(String), upperBound: expect.any(String) },
    });
  });

  it.each(HOSTILE_NAMES)('takes %j for a name and a licence', (name) => {
    const hostile = { ...facts, name, text: { ...facts.text, license: name } };
    expect(cycloneDxErrors(JSON.parse(renderCycloneDx(hostile, new Map())))).toEqual([]);
  });

  it('is told from a broken one', () => {
    const bom = JSON.parse(renderCycloneDx(facts, new Map()));
    bom.metadata.component.modelCard.invented = 1;
    expect(cycloneDxErrors(bom)).not.toEqual([]);
  });
});
