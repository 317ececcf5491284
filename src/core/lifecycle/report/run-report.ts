import { lstatSync, readdirSync } from 'node:fs';
import { basename, extname, join } from 'node:path';
import { withAtomicOutput } from '../../bytes/output.js';
import { withAtomicFolder } from '../../bytes/output-folder.js';
import { readReport } from '../../card/card-sources.js';
import {
  DOCUMENT_KINDS,
  type DocumentKind,
  documentKind,
  type FoundDocument,
  parseDocument,
} from '../../card/documents.js';
import { renderRunReport } from '../../card/run-page.js';
import { filled } from '../../defaults.js';
import { HpsError } from '../../errors.js';
import { LIMITS } from '../../limits.js';
import { type Run, startStage } from '../../run.js';
import { writeFiles } from '../card/write.js';

export interface RunReportOptions extends Run {
  /** Folder that commands wrote their reports to. */
  readonly folder: string;
  /** Folder of the summary, or a file named `.html` or `.md` for that rendering alone; `summary` in that folder by default. */
  readonly out?: string;
  /** Replace a summary that was made here. */
  readonly force?: boolean;
}

export const REPORT_DEFAULTS = { force: false } as const satisfies Partial<RunReportOptions>;

export interface RunReport {
  readonly out: string;
  readonly files: readonly string[];
  /** What was found, by path in the folder. */
  readonly documents: readonly { readonly path: string; readonly kind: DocumentKind }[];
  /** JSON files that are no report of ours, and why. */
  readonly skipped: readonly { readonly path: string; readonly why: string }[];
}

/** The file that tells a summary from other folders. */
const MARKER = 'summary.json';
const DEPTH = 4;

/**
 * Summarises all reports of a folder on one page, as Markdown and HTML.
 *
 * @throws HpsError FILE_NOT_FOUND for no folder; DATA_INVALID where it holds no report; and the OUTPUT_… codes
 */
export async function reportRun(given: RunReportOptions): Promise<RunReport> {
  const options = filled(given, REPORT_DEFAULTS);
  const { folder, out = join(folder, 'summary'), force, signal } = options;
  const found: FoundDocument[] = [];
  const skipped: { path: string; why: string }[] = [];
  for (const path of jsonFiles(folder)) {
    signal?.throwIfAborted();
    startStage(options, `Reading ${path}`);
    try {
      const value = readReport(join(folder, path));
      const kind = documentKind(value);
      if (kind === undefined) skipped.push({ path, why: 'no report of a command' });
      else found.push({ path, kind, report: parseDocument(kind, value, basename(path)) } as FoundDocument);
    } catch (error) {
      if (!(error instanceof HpsError)) throw error;
      skipped.push({ path, why: error.message });
    }
  }
  if (found.length === 0) throw nothingFound(folder, skipped);
  const name = basename(folder);
  const single = SINGLE_FILES[extname(out).toLowerCase()];
  const rendered = await renderRunReport({ name, documents: found, skipped }, { pictures: single === undefined });
  const documents = found.map(({ path, kind }) => ({ path, kind }));
  const summary = `${JSON.stringify({ documents, skipped }, null, 2)}\n`;
  const inputs = found.map(({ path }) => join(folder, path));
  const written =
    single === undefined
      ? await withAtomicFolder(out, { force, marker: MARKER }, (into) =>
          writeFiles(into, new Map([...rendered.files, [MARKER, summary]]), rendered.pictures),
        )
      : await withAtomicOutput(out, { force, inputs }, async (output) => {
          await output.writeFile(output.name, rendered.files.get(single)!);
          return [output.name];
        });
  return { out: basename(out), files: written, documents, skipped };
}

/** Renderings that can be had alone, by what the output's name ends in; the HTML has its pictures inside. */
const SINGLE_FILES: Readonly<Record<string, string>> = { '.html': 'index.html', '.md': 'README.md' };

/** JSON files below a folder by their path in it, sorted; links are not followed, nor summaries and cards looked into. */
function jsonFiles(folder: string): string[] {
  const found: string[] = [];
  const visit = (at: string, depth: number) => {
    const entries = readdirSync(join(folder, at), { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
    if (depth > 0 && entries.some(({ name }) => name === MARKER || name === 'card.json')) return;
    for (const entry of entries) {
      const path = at === '' ? entry.name : `${at}/${entry.name}`;
      if (found.length >= LIMITS.runReports) return;
      if (entry.isDirectory() && depth < DEPTH && !entry.name.startsWith('.')) visit(path, depth + 1);
      else if (entry.isFile() && entry.name.endsWith('.json')) found.push(path);
    }
  };
  if (!lstatSync(folder, { throwIfNoEntry: false })?.isDirectory()) {
    throw new HpsError('FILE_NOT_FOUND', `${basename(folder)}: no such folder`, {
      hint: 'Give the folder that reports were written to.',
      details: { folder: basename(folder) },
    });
  }
  visit('', 0);
  return found;
}

function nothingFound(folder: string, skipped: RunReport['skipped']): HpsError {
  const known = Object.values(DOCUMENT_KINDS).map(({ made }) => made);
  return new HpsError('DATA_INVALID', `${basename(folder)}: no report in it (${skipped.length} other JSON files)`, {
    hint: `Reports are written by ${known.join(', ')}.`,
    details: { skipped: skipped.slice(0, 10) },
  });
}
