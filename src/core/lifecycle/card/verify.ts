import { existsSync, readFileSync } from 'node:fs';
import { join, resolve, sep } from 'node:path';
import { hashFile } from '../../bytes/hash.js';
import { listFiles, parseSums, SUMS_FILE } from '../../bytes/sums.js';
import type { BoundFile, CardFacts, EvaluationFacts } from '../../card/card-facts.js';
import { isRecomputable } from '../../card/card-gaps.js';
import { assembleSources, type LocatedFile } from '../../card/card-sources.js';
import { type Difference, differencesOf, numbersIn } from '../../card/differences.js';
import { evaluationSchema } from '../../card/documents.js';
import { gatherFacts } from '../../card/gather-facts.js';
import { cardFolder, readCardFacts } from '../../card/read-card.js';
import { renderCard } from '../../card/render-card.js';
import { type Filled, filled } from '../../defaults.js';
import { readWhole } from '../../documents/read-whole.js';
import { HpsError } from '../../errors.js';
import { LIMITS } from '../../limits.js';
import { type Run, startStage } from '../../run.js';
import { TOOL } from '../../version.js';
import { evaluateFiles } from '../evaluate/evaluate.js';
import { findByHash } from './write.js';

export interface VerifyCardOptions extends Run {
  /** A card's folder, or one that has it as `card`. */
  readonly folder: string;
  /** Folders where files lie that the card knows by their hashes. */
  readonly files?: readonly string[];
  /** Also compute the figures of evaluations from their scores and labels again. */
  readonly recompute?: boolean;
}

export const VERIFY_CARD_DEFAULTS = { files: [], recompute: true } as const satisfies Partial<VerifyCardOptions>;

type Settled = Filled<VerifyCardOptions, typeof VERIFY_CARD_DEFAULTS>;

/** `absent`: known by its hash, and in none of the folders given. */
export type FileStatus = 'same' | 'changed' | 'missing' | 'absent';

export interface VerifyCardReport {
  readonly passed: boolean;
  readonly name: string;
  readonly bound: readonly (Pick<BoundFile, 'id' | 'name' | 'role'> & { readonly status: FileStatus })[];
  /**
   * Files of the folder whose hash is not the one in SHA256SUMS, that it does not name, or that are gone; of the folder around
   * the card, where that has SHA256SUMS too, those it names, as `../NAME`.
   */
  readonly changed: readonly string[];
  /** Numbers and words of `card.json` that its bound files do not give. */
  readonly differences: readonly Difference[];
  /** Renderings that are not what the facts give. */
  readonly renderings: readonly string[];
  /** Numbers compared with the bound reports, and those that were computed from scores and labels again. */
  readonly compared: number;
  readonly recomputed: number;
  /** Evaluations of the card, and those whose figures were computed again: the rest hold to their reports and no further. */
  readonly evaluations: { readonly total: number; readonly recomputed: number };
  readonly notes: readonly string[];
}

/** Where a number that was computed again may differ from the one stated, of the larger: another processor rounds otherwise. */
const ROUNDING = 1e-9;

/**
 * Holds a card to the files it is bound to: hashes them, gathers its facts and computes its figures again, renders it again. A "no" is
 * a report with `passed: false`.
 *
 * @throws HpsError FILE_NOT_FOUND for a folder without card; CONFIG_INVALID for a card that breaks its schema
 */
export async function verifyModelCard(given: VerifyCardOptions): Promise<VerifyCardReport> {
  const options = filled(given, VERIFY_CARD_DEFAULTS);
  const folder = cardFolder(options.folder);
  const facts = readCardFacts(folder);
  const notes: string[] = [];
  startStage(options, 'Hashing');
  const changed = [...(await checkSums(folder)), ...(await checkAround(options.folder, folder))];
  const located = await locateFiles(facts, folder, options.files);
  const bound = await Promise.all(located.map(async ({ file, at }) => statusOf(file, at)));
  const differences: Difference[] = bound.flatMap(({ status, id, found }, i) =>
    found === undefined || status === 'same' ? [] : [{ at: hashPath(facts, id), stated: facts.files[i].sha256, found }],
  );
  for (const { name, status } of bound) {
    if (status === 'absent')
      notes.push(`${name} is known by its hash and is not here: give its folder with \`files\`.`);
  }
  const gathered = await gatherAgain(facts, located);
  differences.push(...('facts' in gathered ? differencesOf(facts, gathered.facts) : [gathered.difference]));
  const again = options.recompute
    ? await recompute(facts, located, options)
    : { differences: [], numbers: 0, evaluations: 0, notes: [] };
  differences.push(...again.differences);
  notes.push(...again.notes);
  startStage(options, 'Rendering');
  const renderings = await checkRenderings(facts, folder, notes);
  const gone = bound.some(({ status }) => status === 'missing' || status === 'changed');
  return {
    passed: changed.length === 0 && differences.length === 0 && renderings.length === 0 && !gone,
    name: facts.name,
    bound: bound.map(({ id, name, role, status }) => ({ id, name, role, status })),
    changed,
    differences,
    renderings,
    compared: numbersIn(facts),
    recomputed: again.numbers,
    evaluations: { total: facts.evaluations.length, recomputed: again.evaluations },
    notes,
  };
}

interface Located {
  readonly file: BoundFile;
  readonly at: string | null;
}

/** Where each bound file lies: at its path, or by its hash in one of the folders; null where it is nowhere. */
export async function locateFiles(facts: CardFacts, folder: string, folders: readonly string[]): Promise<Located[]> {
  return Promise.all(
    facts.files.map(async (file) => {
      const own = file.path === null ? null : join(folder, file.path);
      if (own !== null && existsSync(own)) return { file, at: own };
      return { file, at: await findByHash(folders, file.name, file.sha256) };
    }),
  );
}

async function statusOf(
  file: BoundFile,
  at: string | null,
): Promise<BoundFile & { status: FileStatus; found?: string }> {
  if (at === null) return { ...file, status: file.path === null ? 'absent' : 'missing' };
  const { sha256 } = await hashFile(at);
  return { ...file, status: sha256 === file.sha256 ? 'same' : 'changed', found: sha256 };
}

/** Where in the facts the hash of a bound file stands. */
const hashPath = (facts: CardFacts, id: string): string =>
  facts.files.find((file) => file.id === id)?.role === 'model'
    ? 'model.sha256'
    : `files.${facts.files.findIndex((file) => file.id === id)}.sha256`;

/** The facts once more from the bound files, under the hashes that the card states; or what keeps them from being gathered. */
async function gatherAgain(
  facts: CardFacts,
  located: readonly Located[],
): Promise<{ readonly facts: CardFacts } | { readonly difference: Difference }> {
  const files = located.map(({ file, at }): LocatedFile => ({ bound: file, at }));
  const scorer = facts.subject === 'scorer' ? facts.name : undefined;
  try {
    const sources = await assembleSources(files, {
      tool: facts.tool,
      scorer,
      pictures: facts.pictures,
      knownModel: facts.model,
      examples: facts.examples !== undefined,
    });
    return { facts: gatherFacts(sources) };
  } catch (error) {
    if (!(error instanceof HpsError)) throw error;
    return { difference: { at: 'files', stated: 'readable', found: error.message } };
  }
}

/** Computes what can be computed from scores and labels. */
async function recompute(
  facts: CardFacts,
  located: readonly Located[],
  { signal, onProgress }: Settled,
): Promise<{ differences: Difference[]; numbers: number; evaluations: number; notes: string[] }> {
  const differences: Difference[] = [];
  const notes: string[] = [];
  let [numbers, evaluations] = [0, 0];
  for (const [i, one] of facts.evaluations.entries()) {
    const paths = pathsOf(one, located);
    if (!isRecomputable(one) || paths === null) {
      notes.push(
        `The figures of ${one.file} were compared with their report only: its scores and labels are not here. Give their folder with \`files\`.`,
      );
      continue;
    }
    const { options, minGroup } = one.report;
    try {
      const report = await evaluateFiles({
        ...paths,
        by: options.by,
        bestOf: options.bestOf,
        diagnose: isOfLabelsAlone(one.report),
        minGroup,
        resamples: options.resamples ?? undefined,
        seed: options.seed,
        force: false,
        signal,
        onProgress: (progress) => onProgress?.({ ...progress, stage: `${one.file}: ${progress.stage}` }),
      });
      const again = comparable(evaluationSchema.parse(JSON.parse(JSON.stringify(report))), one.report);
      differences.push(
        ...differencesOf(comparable(one.report, one.report), again, `evaluations.${i}.report`, ROUNDING),
      );
      numbers += numbersIn(again);
      evaluations++;
    } catch (error) {
      if (signal?.aborted || !(error instanceof HpsError)) throw error;
      differences.push({ at: `evaluations.${i}.report`, stated: 'can be computed', found: error.message });
    }
  }
  return { differences, numbers, evaluations, notes };
}

/**
 * A report without names of files, which may be others here, and of the tool, which may be a later one. Of 0.1.0, whose p-values had
 * a floor, also without these.
 */
function comparable(report: EvaluationFacts['report'], stated: EvaluationFacts['report']): object {
  const { inputs, tool, baseline, diagnosis, ...rest } = report;
  const { file, ...against } = baseline ?? {};
  // What was measured in media is in none of the bound files.
  const { diagnose: _, ...options } = rest.options;
  const own = isOfLabelsAlone(stated) ? { ...rest, diagnosis } : { ...rest, options };
  const figures = { ...own, baseline: against };
  return stated.fittedOnTheseLabels === undefined ? without(figures, OF_LATER_REPORTS) : figures;
}

/** Whether a report has a diagnosis that scores and labels give again. */
const isOfLabelsAlone = ({ diagnosis }: EvaluationFacts['report']): boolean =>
  diagnosis !== undefined && !diagnosis.media && diagnosis.unreadable.count === 0;

const OF_LATER_REPORTS: ReadonlySet<string> = new Set(['fittedOnTheseLabels', 'pValue', 'holm']);

/** The document without these keys, wherever they are. */
const without = (document: object, keys: ReadonlySet<string>): object =>
  JSON.parse(JSON.stringify(document, (key, value) => (keys.has(key) ? undefined : value)));

/** Where what an evaluation was computed from lies; null where any of it is not here. */
export function pathsOf({ from, report }: EvaluationFacts, located: readonly Located[]) {
  const path = (input: { readonly sha256: string } | null): string | undefined | null => {
    if (input === null) return undefined;
    return located.find(({ file }) => from.includes(file.id) && file.sha256 === input.sha256)?.at ?? null;
  };
  const { inputs } = report;
  const [scores, labels] = [path(inputs.scores), path(inputs.labels)];
  const [calibrator, baseline] = [path(inputs.calibrator), path(inputs.baseline)];
  if (!scores || !labels || calibrator === null || baseline === null) return null;
  return { scores, labels, calibrator, baseline };
}

async function checkRenderings(facts: CardFacts, folder: string, notes: string[]): Promise<string[]> {
  if (facts.tool !== TOOL) {
    notes.push(
      `The card was rendered by ${facts.tool}, this is ${TOOL}: its renderings were checked by their hashes alone.`,
    );
    return [];
  }
  const { files } = await renderCard(facts, { pictures: true });
  return [...files].flatMap(([path, text]) => {
    const at = join(folder, path);
    return existsSync(at) && readFileSync(at).equals(Buffer.from(text)) ? [] : [path];
  });
}

/** The hashes that SHA256SUMS states; null where it is not there or a line of it cannot be read. */
async function readSums(folder: string): Promise<Map<string, string> | null> {
  const path = join(folder, SUMS_FILE);
  if (!existsSync(path)) return null;
  const { bytes } = readWhole(path, { limit: LIMITS.configBytes, what: 'a list of hashes', made: 'hpsv3 modelcard' });
  return parseSums(Buffer.from(bytes).toString());
}

/** Files of a card whose hash is not the one in SHA256SUMS, those it does not name, and those that are gone. */
async function checkSums(folder: string): Promise<string[]> {
  const stated = await readSums(folder);
  if (stated === null) return [SUMS_FILE];
  const there = listFiles(folder).filter((one) => one !== SUMS_FILE);
  const changed = [...stated.keys()].filter((name) => !there.includes(name));
  for (const name of there) {
    const sha256 = stated.get(name);
    if (sha256 === undefined || (await hashFile(join(folder, name))).sha256 !== sha256) changed.push(name);
  }
  return changed.sort();
}

/**
 * The same of the folder around a card, where it has SHA256SUMS of its own: what is named there must be as it was. Files beside
 * them are nobody's business, and the card's own are checked with the card.
 */
async function checkAround(folder: string, card: string): Promise<string[]> {
  if (folder === card || !existsSync(join(folder, SUMS_FILE))) return [];
  const stated = await readSums(folder);
  if (stated === null) return [`../${SUMS_FILE}`];
  const changed: string[] = [];
  for (const [name, sha256] of stated) {
    const at = resolve(folder, name);
    if (at.startsWith(`${resolve(card)}${sep}`)) continue;
    const inside = at.startsWith(`${resolve(folder)}${sep}`) && existsSync(at);
    if (!inside || (await hashFile(at)).sha256 !== sha256) changed.push(`../${name}`);
  }
  return changed;
}
