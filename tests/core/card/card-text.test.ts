import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseCardText, parseDataText } from '../../../src/core/card/card-text.js';
import { HpsError } from '../../../src/core/errors.js';
import { CARD_TEXT, DATA_TEXT } from '../../helpers/cards.js';
import { PROJECT } from '../../helpers/cli.js';

function refusal(parse: () => unknown): HpsError {
  try {
    parse();
  } catch (error) {
    if (error instanceof HpsError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}
const ofCard = (text: string) => refusal(() => parseCardText(Buffer.from(text), 'card.yaml'));
const ofData = (text: string) => refusal(() => parseDataText(Buffer.from(text), 'data.yaml'));

describe('card.yaml and data.yaml', () => {
  it('reads what a maker states', () => {
    expect(parseCardText(Buffer.from(CARD_TEXT), 'card.yaml')).toMatchObject({ name: 'Drawn', license: 'Apache-2.0' });
    expect(parseDataText(Buffer.from(DATA_TEXT), 'data.yaml')).toMatchObject([{ name: 'Drawn pairs' }]);
  });

  it('reads the examples', () => {
    const example = (name: string) => readFileSync(`${PROJECT}configs/${name}.example.yaml`);
    expect(parseCardText(example('card'), 'card.yaml').caveats).toHaveLength(1);
    expect(parseDataText(example('data'), 'data.yaml')).toHaveLength(2);
  });

  it('takes an empty file for nothing stated', () => {
    expect(parseCardText(Buffer.from(''), 'card.yaml')).toEqual({});
  });

  it.each([
    ['licence: MIT', 'unknown key licence', 'Did you mean license?'],
    ['intended_use: {use: [a]}', 'unknown key intended_use.use', 'Did you mean uses?'],
    [
      'ethical_considerations: {risks: [{risk: a, mitigations: b}]}',
      'unknown key ethical_considerations.risks.0.mitigations',
      'Did you mean mitigation?',
    ],
    ['caveats: none', 'caveats: expected array, received string', 'card.example.yaml'],
    ['name: ""', 'name: ', 'card.example.yaml'],
    ['details: {repository: "javascript:alert(1)"}', 'details.repository: ', 'card.example.yaml'],
    ['- a', 'the file: expected object', 'card.example.yaml'],
    ['a: &x 1\nb: *x', 'aliases', 'card.example.yaml'],
  ])('refuses %j', (text, message, hint) => {
    const error = ofCard(text);
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.message).toContain(message);
    expect(error.hint).toContain(hint);
  });

  it.each([
    ['datasets: []', 'datasets: '],
    ['datasets: [{name: a, roles: [test]}]', 'datasets.0.roles.0: '],
    ['datasets: [{name: a, roles: [evaluation], hub_id: "a b"}]', 'must be owner/name'],
    ['dataset: []\ndatasets: [{name: a, roles: [evaluation]}]', 'unknown key dataset'],
  ])('refuses the data file %j', (text, message) => {
    expect(ofData(text).message).toContain(message);
  });
});
