import { type Block, gap, heading, list, paragraph, prose, type Text } from '../blocks.js';
import type { CardFacts } from '../card-facts.js';
import { SECTIONS, type SectionId } from '../card-gaps.js';

/** A section's gaps, where the section stands. */
export const gapsIn = ({ gaps }: CardFacts, section: SectionId): Block[] =>
  gaps.filter((one) => one.section === section).map(({ text }) => gap(text));

export const section = (facts: CardFacts, id: SectionId, blocks: readonly Block[]): Block[] => [
  heading(2, SECTIONS[id]),
  ...blocks,
  ...gapsIn(facts, id),
];

export const maybe = (text: string | undefined): Block[] => (text === undefined ? [] : [paragraph(prose(text))]);

/** A heading and a list, where there is one. */
export const titled = (title: string, items: readonly Text[] | undefined): Block[] =>
  items === undefined
    ? []
    : [heading(3, title), list(items.map((item) => (typeof item === 'string' ? prose(item) : item)))];

export const intendedUse = (facts: CardFacts): Block[] => {
  const { uses, users, out_of_scope: outOfScope } = facts.text.intended_use ?? {};
  return section(facts, 'intended-use', [
    ...titled('Uses', uses),
    ...titled('Users', users),
    ...titled('Out of scope', outOfScope),
  ]);
};

export function ethicalConsiderations(facts: CardFacts): Block[] {
  const { data, human_life: life, risks = [] } = facts.text.ethical_considerations ?? {};
  const items = risks.map(
    ({ risk, mitigation }): Text => [
      { strong: risk },
      ...(mitigation === undefined ? [' Nothing is stated on what is done about it.'] : prose(` ${mitigation}`)),
    ],
  );
  return section(facts, 'ethical-considerations', [
    ...(data === undefined ? [] : [heading(3, 'Data'), paragraph(prose(data))]),
    ...(life === undefined ? [] : [heading(3, 'Human life'), paragraph(prose(life))]),
    ...titled('Risks', items.length > 0 ? items : undefined),
  ]);
}

export const caveats = (facts: CardFacts): Block[] =>
  section(facts, 'caveats', [
    ...titled('Caveats', facts.text.caveats),
    ...titled('Recommendations', facts.text.recommendations),
  ]);
