import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Ajv, type ValidateFunction } from 'ajv';
import formats from 'ajv-formats';

/** Schemas of the CycloneDX project, as its library ships them. */
const folder = join(
  dirname(createRequire(import.meta.url).resolve('@cyclonedx/cyclonedx-library/package.json')),
  'res/schema',
);
const schema = (name: string): object => JSON.parse(readFileSync(join(folder, `${name}.SNAPSHOT.schema.json`), 'utf8'));

let validate: ValidateFunction | undefined;

function compiled(): ValidateFunction {
  const ajv = new Ajv({ strict: false, allErrors: true, addUsedSchema: false });
  (formats as unknown as (ajv: Ajv) => void)(ajv);
  ajv.addFormat('iri-reference', true).addFormat('idn-email', true);
  for (const name of ['spdx', 'jsf-0.82', 'cryptography-defs'])
    ajv.addSchema(schema(name), `http://cyclonedx.org/schema/${name}.SNAPSHOT.schema.json`);
  return ajv.compile(schema('bom-1.6'));
}

/** What breaks the schema of CycloneDX 1.6 in a document: empty for a valid one. */
export function cycloneDxErrors(bom: unknown): string[] {
  validate ??= compiled();
  return validate(bom) ? [] : (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}
