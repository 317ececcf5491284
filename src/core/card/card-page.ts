import { formatCount } from '../bytes/format.js';
import type { Page } from './blocks.js';
import type { CardFacts } from './card-facts.js';
import { formatEstimate, metricOf } from './figures.js';
import { type Pictures, quantitativeAnalyses } from './sections/analyses.js';
import { evaluationData, factors, metrics, trainingData } from './sections/data.js';
import { caveats, ethicalConsiderations, intendedUse } from './sections/maker.js';
import { howToUse, howToVerify, modelDetails } from './sections/model.js';

/** The card as a page: the nine sections of Mitchell et al. (2019) in their order, then how to use and how to verify it. */
export function cardPage(facts: CardFacts, pictures: Pictures): Page {
  return {
    title: `Model card: ${facts.name}`,
    lead: leadOf(facts),
    blocks: [
      ...modelDetails(facts),
      ...intendedUse(facts),
      ...factors(facts),
      ...metrics(facts),
      ...evaluationData(facts),
      ...trainingData(facts),
      ...quantitativeAnalyses(facts, pictures),
      ...ethicalConsiderations(facts),
      ...caveats(facts),
      ...howToUse(facts),
      ...howToVerify(facts),
    ],
  };
}

function leadOf({ tool, evaluations, gaps }: CardFacts): string {
  const [first] = evaluations;
  const id = first?.report.kind === 'pair' ? 'accuracy' : 'spearman';
  const figure = first?.report.overall[id];
  const result = figure
    ? ` ${metricOf(id).label} ${formatEstimate(figure)} on ${formatCount(first.report.n)} judged ${first.report.kind === 'pair' ? 'pairs' : 'items'}.`
    : ' Nothing has been evaluated.';
  const things = gaps.length === 1 ? 'One thing is' : `${gaps.length} things are`;
  const missing = gaps.length > 0 ? ` ${things} not stated, as is said where it belongs.` : '';
  return `Written by ${tool} from reports that every number is bound to.${result}${missing}`;
}
