import { marked, type ReportName } from '../../src/core/documents/reports.js';
import { breaches } from './schema.js';

/** What a report breaks of its published schema, as it is printed with `--json`. */
export const schemaErrors = (name: ReportName, report: object): string[] =>
  breaches(`hpsv3/${name}@1`, JSON.parse(JSON.stringify(marked(name, report))));
