import { existsSync, readFileSync } from 'node:fs';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { PROJECT } from './cli.js';

const ajv = new Ajv2020({ strict: false, allErrors: true });

/** The published schema `hpsv3/NAME@VERSION`, of a report or of a document; null where there is none. */
function published(id: string): ValidateFunction | null {
  const [, name] = /^hpsv3\/([\w-]+)@\d+$/.exec(id) ?? [];
  const file = [`schemas/reports/${name}.schema.json`, `schemas/${name}.schema.json`].find((path) =>
    existsSync(PROJECT + path),
  );
  if (file === undefined) return null;
  const known = ajv.getSchema(id);
  if (known) return known;
  const schema = JSON.parse(readFileSync(PROJECT + file, 'utf8')) as { readonly $id: string };
  return schema.$id === id ? ajv.compile(schema) : null;
}

/** What a document breaks of the published schema of this id. */
export function breaches(id: string, document: unknown): string[] {
  const validate = published(id);
  if (!validate) return [`no schema ${JSON.stringify(id)} is published`];
  if (validate(document)) return [];
  return validate.errors!.map(
    ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`,
  );
}

/** What a document printed with `--json` breaks: of the schema that it names, or of the one of errors. */
export function printedBreaches(text: string): string[] {
  const document = JSON.parse(text) as { readonly schema?: string; readonly error?: unknown };
  return breaches(document.error === undefined ? String(document.schema) : 'hpsv3/error@1', document);
}
