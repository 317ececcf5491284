import { copyFileSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, extname, join, relative, resolve, sep } from 'node:path';
import { hashFile, sha256Hex } from '../../bytes/hash.js';
import { withAtomicOutput } from '../../bytes/output.js';
import { withAtomicFolder } from '../../bytes/output-folder.js';
import { formatSums, listFiles, SUMS_FILE } from '../../bytes/sums.js';
import type { BoundFile, CardFacts, FileRole, Gap } from '../../card/card-facts.js';
import { SECTIONS, type SectionId } from '../../card/card-gaps.js';
import {
  assembleSources,
  bindFile,
  externalDataOf,
  inputRoles,
  type LocatedFile,
  readReport,
} from '../../card/card-sources.js';
import { documentKind, type Evaluation, parseDocument } from '../../card/documents.js';
import { gatherFacts } from '../../card/gather-facts.js';
import { CARD_FILE } from '../../card/read-card.js';
import { PICTURES_FOLDER, type RenderedCard, renderCard } from '../../card/render-card.js';
import { type Filled, filled } from '../../defaults.js';
import { HpsError } from '../../errors.js';
import { LIMITS } from '../../limits.js';
import { canDrawText, rasterizeSvg } from '../../media/rasterize.js';
import { type Run, startStage } from '../../run.js';
import { TOOL } from '../../version.js';

export interface ModelCardOptions extends Run {
  readonly model?: string;
  /** Name of a scorer that is no file. */
  readonly scorer?: string;
  /** Reports of `hpsv3 evaluate`. */
  readonly evaluations?: readonly string[];
  /** A calibrator file; by default the one that the first evaluation names, where it lies beside it. */
  readonly calibration?: string;
  /** Reports that `quantize` and `export` wrote; by default the one beside the model. */
  readonly quantization?: string;
  readonly exported?: string;
  readonly profile?: string;
  /** What `hpsv3 explain` wrote: its folder, or explanation.json in it. */
  readonly explanation?: string;
  /** `data.yaml` and `card.yaml`. */
  readonly data?: string;
  readonly card?: string;
  /** A folder, or a file named `.md`, `.html` or `.json` for that rendering alone. */
  readonly out: string;
  /** Folders where scores and labels lie that reports name. */
  readonly files?: readonly string[];
  /** Put scores and labels into the folder, so that figures can be computed again; else they are known by their hashes. */
  readonly copyData?: boolean;
  /** Write nothing where anything is not stated. */
  readonly strict?: boolean;
  /** Replace a card that was made here. */
  readonly force?: boolean;
}

export const CARD_DEFAULTS = {
  evaluations: [],
  files: [],
  copyData: true,
  strict: false,
  force: false,
} as const satisfies Partial<ModelCardOptions>;

type Settled = Filled<ModelCardOptions, typeof CARD_DEFAULTS>;

export interface ModelCardReport {
  readonly name: string;
  /** Base name of the folder or file. */
  readonly out: string;
  /** What was written, by path in the folder. */
  readonly files: readonly string[];
  /** Of `card.json`. */
  readonly sha256: string;
  /** Files that its numbers are bound to. */
  readonly bound: readonly BoundFile[];
  readonly gaps: readonly Gap[];
  /** What evaluations were computed from and is in none of the folders: without it their figures cannot be computed again. */
  readonly missingInputs: readonly string[];
}

/**
 * Writes a model card from the reports of the other commands.
 *
 * @throws HpsError MODELS_INCOMPARABLE for a report of another model; CONFIG_INVALID for a file that is none of ours; CARD_INCOMPLETE
 *   (exit 3) with `strict` where something is not stated; and the OUTPUT_… codes
 */
export async function makeModelCard(given: ModelCardOptions): Promise<ModelCardReport> {
  const options = filled(given, CARD_DEFAULTS);
  const { out, strict, scorer } = options;
  if (options.model === undefined && scorer === undefined && options.evaluations.length === 0) {
    throw new HpsError('USAGE', 'there is nothing to describe', {
      hint: 'Give `model` FILE.onnx, or `scorer` NAME with `evaluations` REPORT.json.',
    });
  }
  startStage(options, 'Hashing');
  const single = SINGLE_FILES[extname(out).toLowerCase()];
  const found = await findFiles(options);
  if (!single) refuseInputsInside(out, found);
  const placed = single ? found.map((file) => ({ ...file, copyTo: null })) : placeFiles(found, options);
  const pictures = (await canDrawText()) ? 'png' : 'svg';
  const sources = await assembleSources(placed, { tool: TOOL, scorer, pictures, knownModel: null, examples: true });
  const facts = gatherFacts(sources);
  if (strict && facts.gaps.length > 0) throw incomplete(facts);
  startStage(options, 'Drawing');
  const rendered = await renderCard(facts, { pictures: !single });
  const written = single
    ? await writeSingle(rendered.files.get(single)!, options, found)
    : await writeFolder(facts, rendered, placed, options);
  return {
    name: facts.name,
    out: basename(out),
    files: written,
    sha256: sha256Hex(Buffer.from(rendered.files.get('card.json')!)),
    bound: facts.files,
    gaps: facts.gaps,
    missingInputs: missingInputs(facts),
  };
}

/** Names of files that reports name by a hash that no bound file has. */
function missingInputs({ evaluations, files }: CardFacts): string[] {
  const bound = new Set(files.map(({ sha256 }) => sha256));
  const missing = evaluations.flatMap(({ report }) => inputRoles(report)).filter(({ sha256 }) => !bound.has(sha256));
  return [...new Set(missing.map(({ name }) => name))];
}

/** Renderings that can be had alone, by what the output's name ends in. */
const SINGLE_FILES: Readonly<Record<string, string>> = {
  '.md': 'README.md',
  '.html': 'card.html',
  '.json': 'card.json',
};

function incomplete({ gaps }: CardFacts): HpsError {
  const places = [...new Set(gaps.map(({ section }) => SECTIONS[section as SectionId]))];
  return new HpsError('CARD_INCOMPLETE', `${gaps.length} things are not stated (${places.join(', ')})`, {
    hint: `State them in card.yaml and data.yaml: ${gaps.map(({ text }) => text).join('; ')}.`,
    details: { gaps },
  });
}

/** All files the card is bound to, hashed, in the order of their roles. */
async function findFiles(options: Settled): Promise<LocatedFile[]> {
  const { model, evaluations, signal } = options;
  const found: LocatedFile[] = [];
  const bind = async (role: FileRole, path: string): Promise<LocatedFile> => {
    const number = found.filter(({ bound }) => bound.role === role).length + 1;
    const file = await bindFile(role, path, number, signal);
    const same = found.find(({ bound }) => bound.role === role && bound.sha256 === file.bound.sha256);
    if (same) return same;
    found.push(file);
    return file;
  };
  if (model !== undefined) {
    await bind('model', model);
    for (const path of externalDataOf(model)) await bind('external-data', path);
  }
  // First, so that it is the calibrator of the card even where an evaluation used another.
  if (options.calibration !== undefined) await bind('calibrator', options.calibration);
  for (const path of evaluations) {
    await bind('evaluation', path);
    const report = parseDocument('evaluation', await readReport(path), basename(path));
    await bindInputs(report, [dirname(path), '.', ...options.files], bind);
  }
  const beside = await reportBeside(model);
  const quantization = options.quantization ?? beside.quantization;
  const exported = options.exported ?? beside.export;
  if (quantization !== undefined) await bind('quantization', quantization);
  if (exported !== undefined) await bind('export', exported);
  if (options.profile !== undefined) await bind('profile', options.profile);
  if (options.explanation !== undefined) await bind('explanation', explanationIn(options.explanation));
  if (options.card !== undefined) await bind('card', options.card);
  if (options.data !== undefined) await bind('data', options.data);
  return found;
}

/** The document in a folder that `explain` wrote, or the file that is given. */
const explanationIn = (path: string): string =>
  statSync(path, { throwIfNoEntry: false })?.isDirectory() ? join(path, 'explanation.json') : path;

/** Binds what an evaluation was computed from, where a file of that name has the hash that the report states. */
async function bindInputs(
  report: Evaluation,
  folders: readonly string[],
  bind: (role: FileRole, path: string) => Promise<LocatedFile>,
): Promise<void> {
  for (const { role, name, sha256 } of inputRoles(report)) {
    const path = await findByHash(folders, name, sha256);
    if (path !== null) await bind(role, path);
  }
}

/** The file of that name and hash in the first folder that has it. */
export async function findByHash(folders: readonly string[], name: string, sha256: string): Promise<string | null> {
  for (const folder of folders) {
    const path = join(folder, basename(name));
    if (existsSync(path) && (await hashFile(path)).sha256 === sha256) return path;
  }
  return null;
}

/** The report that `export` or `quantize` left beside the model. */
async function reportBeside(model: string | undefined): Promise<{ quantization?: string; export?: string }> {
  const path = `${model}.report.json`;
  if (model === undefined || !existsSync(path)) return {};
  const kind = documentKind(await readReport(path));
  return kind === 'quantization' || kind === 'export' ? { [kind]: path } : {};
}

/** A bound file, and where in the card's folder a copy of it goes; null where none does. */
interface PlacedFile extends LocatedFile {
  readonly copyTo: string | null;
}

const ROWS: ReadonlySet<FileRole> = new Set(['scores', 'labels', 'baseline']);
const MODEL: ReadonlySet<FileRole> = new Set(['model', 'external-data']);

/**
 * Decides where each bound file lies. Reports and rows are copied into the folder. A model beside or below the folder's own parent is
 * named by its path; another one is copied where it is small; what is left is known by its hash.
 */
function placeFiles(found: readonly LocatedFile[], { out, copyData }: Settled): PlacedFile[] {
  const taken = new Set<string>();
  const weight = found.reduce((sum, { bound }) => (MODEL.has(bound.role) ? sum + bound.bytes : sum), 0);
  return found.map(({ bound, at }): PlacedFile => {
    const copy = (): PlacedFile => {
      const copyTo = freeName(bound.name, taken);
      return { bound: { ...bound, path: copyTo }, at, copyTo };
    };
    if (MODEL.has(bound.role)) {
      const path = nearby(out, at!);
      if (path !== null) return { bound: { ...bound, path }, at, copyTo: null };
      return weight <= LIMITS.cardModelBytes ? copy() : { bound, at, copyTo: null };
    }
    if (ROWS.has(bound.role) && (!copyData || bound.bytes > LIMITS.cardRowsBytes)) return { bound, at, copyTo: null };
    return copy();
  });
}

/** Path of a file from a folder, where it goes up by one folder at most: further up it would tell of the machine. */
function nearby(folder: string, file: string): string | null {
  const parts = relative(resolve(folder), resolve(file)).split(sep);
  return parts.filter((part) => part === '..').length <= 1 && !/^[A-Za-z]:/.test(parts[0]) ? parts.join('/') : null;
}

/** Copies lie in one folder, each under a name of its own. */
function freeName(name: string, taken: Set<string>): string {
  for (let n = 1; ; n++) {
    const path = `files/${n === 1 ? '' : `${n}-`}${name}`;
    if (taken.has(path)) continue;
    taken.add(path);
    return path;
  }
}

/** A folder that is replaced must not hold what the new one is made from. */
function refuseInputsInside(out: string, found: readonly LocatedFile[]): void {
  const inside = found.find(({ at }) => at !== null && !relative(resolve(out), resolve(at)).startsWith('..'));
  if (inside === undefined) return;
  throw new HpsError('OUTPUT_INVALID', `${basename(out)}: ${inside.bound.name} lies in it and is an input`, {
    hint: 'Write the card to a folder of its own.',
    details: { file: inside.bound.name },
  });
}

async function writeSingle(text: string, { out, force }: Settled, found: readonly LocatedFile[]): Promise<string[]> {
  const inputs = found.flatMap(({ at }) => (at === null ? [] : [at]));
  await withAtomicOutput(out, { force, inputs }, (output) => output.writeFile(output.name, text));
  return [basename(out)];
}

async function writeFolder(
  facts: CardFacts,
  rendered: RenderedCard,
  placed: readonly PlacedFile[],
  { out, force }: Settled,
): Promise<string[]> {
  return withAtomicFolder(out, { force, marker: CARD_FILE }, async (folder) => {
    await writeFiles(folder, rendered.files, facts.pictures === 'png' ? rendered.pictures : new Map());
    for (const { bound, at, copyTo } of placed) if (copyTo !== null) await copyBound(bound, at!, join(folder, copyTo));
    writeFileSync(join(folder, SUMS_FILE), await formatSums(folder, listFiles(folder)));
    return listFiles(folder);
  });
}

/** Writes texts by their paths in a folder, and drawings as PNG beside them; the paths of all files. */
export async function writeFiles(
  folder: string,
  files: ReadonlyMap<string, string>,
  drawings: ReadonlyMap<string, string>,
): Promise<string[]> {
  const write = (path: string, content: string | Uint8Array) => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  };
  for (const [path, text] of files) write(path, text);
  for (const [name, svg] of drawings) write(`${PICTURES_FOLDER}/${name}.png`, await rasterizeSvg(svg));
  return listFiles(folder);
}

async function copyBound({ name, sha256 }: BoundFile, from: string, to: string): Promise<void> {
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, to);
  if ((await hashFile(to)).sha256 === sha256) return;
  throw new HpsError('FILE_UNREADABLE', `${name}: changed while it was read`, {
    hint: 'Wait until it is written completely, then try again.',
    details: { file: name },
  });
}
