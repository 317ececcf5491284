import { type Block, folded, type Page } from './blocks.js';
import type { CardFacts } from './card-facts.js';
import { SECTIONS } from './card-gaps.js';
import { type Pictures, quantitativeAnalyses } from './sections/analyses.js';
import { evaluationData, factors, metrics, trainingData } from './sections/data.js';
import { caveats, ethicalConsiderations, intendedUse } from './sections/maker.js';
import { howToUse, howToVerify, modelDetails } from './sections/model.js';
import { atAGlance, badges, GLANCE, leadOf, tiles, tryIt } from './sections/summary.js';

/**
 * The card as a page: what a reader decides by first, then how to use it, then everything else. It has the nine sections of Mitchell
 * et al. (2019); their order is the second list of contents.
 */
export function cardPage(facts: CardFacts, pictures: Pictures): Page {
  const rest = new Map([...pictures].filter(([name]) => !GLANCE.some((one) => one === name)));
  return {
    kind: 'Model card',
    title: facts.name,
    lead: leadOf(facts),
    order: { title: 'As Mitchell et al. (2019)', sections: Object.values(SECTIONS) },
    blocks: [
      ...badges(facts),
      ...tiles(facts),
      ...tryIt(facts),
      ...atAGlance(pictures),
      ...howToUse(facts),
      ...intendedUse(facts),
      ...caveats(facts),
      ...quantitativeAnalyses(facts, rest),
      ...factors(facts),
      ...evaluationData(facts),
      ...trainingData(facts),
      ...ethicalConsiderations(facts),
      ...shut(modelDetails(facts)),
      ...shut(howToVerify(facts)),
      ...shut(metrics(facts)),
    ],
  };
}

/** A section that most readers need once, or never. */
const shut = (blocks: readonly Block[]): Block[] =>
  blocks.map((block) => (block.kind === 'heading' && block.level === 2 ? folded(block.text) : block));
