import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { marked, type ReportName } from '../../src/core/documents/reports.js';
import { PROJECT } from './cli.js';

const ajv = new Ajv2020({ strict: false, allErrors: true });

/** What a report breaks of its published schema, as it is printed with `--json`. */
export function schemaErrors(name: ReportName, report: object): string[] {
  const id = `hpsv3/${name}@1`;
  const validate =
    ajv.getSchema(id) ??
    ajv.compile(JSON.parse(readFileSync(`${PROJECT}schemas/reports/${name}.schema.json`, 'utf8')) as object);
  if (validate(JSON.parse(JSON.stringify(marked(name, report))))) return [];
  return validate.errors!.map(
    ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`,
  );
}
