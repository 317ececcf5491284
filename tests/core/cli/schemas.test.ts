import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { publishedSchemas } from '../../../src/core/cli/schemas.js';
import { PROJECT } from '../../helpers/cli.js';

it('publishes every schema as it is in the code (npm run schemas)', () => {
  const published = Object.fromEntries(Array.from(publishedSchemas(), ([name, text]) => [`${name}.schema.json`, text]));
  const committed = Object.fromEntries(
    readdirSync(`${PROJECT}schemas`).map((file) => [file, readFileSync(`${PROJECT}schemas/${file}`, 'utf8')]),
  );
  expect(committed).toEqual(published);
});
