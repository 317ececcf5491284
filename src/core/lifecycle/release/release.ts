import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { type BundleFile, writeTarGz, writeZip } from '../../bundle/archive.js';
import {
  BUNDLE_FILE,
  type Bundle,
  bundleDocument,
  CARD_FOLDER,
  SAMPLES_FILE,
  WEIGHTS_FOLDER,
} from '../../bundle/bundle-file.js';
import { launchersOf } from '../../bundle/launchers.js';
import type { ReleaseLayout } from '../../bundle/layouts.js';
import { BOM_FILE, bomText, PROVENANCE_FILE, provenanceText } from '../../bundle/materials.js';
import { onnxruntimeFolder, type Program, readProgram } from '../../bundle/program.js';
import { onnxruntimeParts, openRuntime, type Runtime } from '../../bundle/runtimes.js';
import { RUNTIMES } from '../../bundle/runtimes-lock.js';
import { givenSamples, madeUpSamples, SAMPLE_TOLERANCE, scoreSamples, thisMachine } from '../../bundle/samples.js';
import { readPrivateKey } from '../../bundle/signing-keys.js';
import { type Target, targetsOf } from '../../bundle/targets.js';
import { termsProblems, termsSentence } from '../../bundle/terms.js';
import { CONFIG_FILE, configText, README_FILE, readmeText } from '../../bundle/texts.js';
import { hashFile } from '../../bytes/hash.js';
import { isJsonObject, type JsonObject, parseJson } from '../../bytes/json.js';
import { withAtomicFolder } from '../../bytes/output-folder.js';
import { FileSink } from '../../bytes/sink.js';
import { formatSums, SUMS_FILE } from '../../bytes/sums.js';
import { withTemporaryFolder } from '../../bytes/temporary-folder.js';
import type { CardFacts } from '../../card/card-facts.js';
import { externalDataOf } from '../../card/card-sources.js';
import { CARD_FILE } from '../../card/read-card.js';
import { type Filled, filled } from '../../defaults.js';
import { formatDocument } from '../../documents/define.js';
import { HpsError } from '../../errors.js';
import { LIMITS } from '../../limits.js';
import { type Run, startStage } from '../../run.js';
import { HPSv3Scorer } from '../../scoring/scorer.js';
import { TOOL } from '../../version.js';
import { writeLayout } from './layout.js';
import { checkedCard, type ReleasedCard } from './released-card.js';
import { sealed } from './seal.js';

export interface ReleaseOptions extends Run {
  readonly models: readonly string[];
  /** Calibrator file, where the model carries none. */
  readonly calibrator?: string;
  /** Folder of the model's card. */
  readonly card: string;
  readonly targets: readonly string[];
  /** Folder that `fetchRuntimes` filled; archives need it. */
  readonly runtimes?: string;
  /** Archives, or a folder that another program loads: `huggingface`, `triton`. Such a folder holds one model, and neither runner nor samples. */
  readonly layout?: ReleaseLayout;
  /** Rows that show the release; made up by default. */
  readonly samples?: string;
  /** Private key for the signature. */
  readonly sign?: string;
  /** Make it although a licence does not plainly allow to pass it on. */
  readonly acceptLicense?: boolean;
  /** Seconds since 1970 that every file of an archive gets. */
  readonly epoch?: number;
  readonly out: string;
  readonly force?: boolean;
}

/** 1980-01-01, the earliest date that a zip archive can state. */
const EPOCH = 315_532_800;

export const RELEASE_DEFAULTS = {
  layout: 'archive',
  acceptLicense: false,
  epoch: EPOCH,
  force: false,
} as const satisfies Partial<ReleaseOptions>;

type Settled = Filled<ReleaseOptions, typeof RELEASE_DEFAULTS>;

export interface ReleasedArchive {
  readonly target: string;
  /** Base name. */
  readonly archive: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly files: number;
}

export interface ReleaseReport {
  /** Base name of the folder. */
  readonly out: string;
  readonly layout: ReleaseLayout;
  readonly archives: readonly ReleasedArchive[];
  /** Of the folder of a layout, by their paths in it; none where archives were made. */
  readonly files: readonly string[];
  readonly samples: number;
  readonly signed: boolean;
  readonly warnings: readonly string[];
}

/**
 * Makes the archives of a release: the models, a runner that needs nothing installed, samples with their scores, the card, and what proves
 * what is in them. The same input gives the same bytes.
 *
 * @throws HpsError FILE_NOT_FOUND for runtimes that were not fetched; MODELS_INCOMPARABLE for the card of another model; GATE_FAILED for a
 *   card that does not hold; ACCESS_DENIED for a licence that does not allow it; BACKEND_UNAVAILABLE for a target without native parts;
 *   CREDENTIALS_INVALID for a key; and the OUTPUT_… codes
 */
export async function releaseModels(given: ReleaseOptions): Promise<ReleaseReport> {
  const options = filled(given, RELEASE_DEFAULTS);
  const targets = targetsOf(options.targets);
  const key = options.sign === undefined ? null : readPrivateKey(options.sign);
  if (options.calibrator !== undefined && options.models.length > 1) throw oneCalibrator();
  const warnings: string[] = [];
  const warn = (warning: string): void => {
    warnings.push(warning);
    options.onWarning?.(warning);
  };
  const { layout, runtimes } = options;
  if (layout !== 'archive') {
    assertOneModel(options);
    const [model] = options.models;
    const card = await checkedCard(options, warn);
    startStage(options, 'Writing the folder');
    const { out, force } = options;
    const files = await writeLayout({ layout, model, card, key, out, force, onWarning: warn });
    return { out: basename(resolve(out)), layout, archives: [], files, samples: 0, signed: key !== null, warnings };
  }
  if (runtimes === undefined) throw noRuntimes();
  const card = await checkedCard(options, warn);
  const program = readProgram();
  const parts = targets.map((target) => ({ target, ...readTarget(runtimes, target) }));
  startStage(options, 'Scoring samples');
  const content = await readContent(options, warn);
  return withAtomicFolder(options.out, { force: options.force, marker: SUMS_FILE }, async (folder) => {
    const archives: ReleasedArchive[] = [];
    for (const part of parts) {
      const { target } = part;
      startStage(options, `Packing ${target.archive}`);
      const all = await assemble({ ...part, program, content, card, options, signed: key !== null });
      const complete = await sealed(all, key, 'hpsv3_release');
      archives.push({
        target: target.id,
        files: complete.length,
        ...(await pack(folder, target, complete, options.epoch)),
      });
    }
    const names = archives.map(({ archive }) => archive).sort();
    writeFileSync(join(folder, SUMS_FILE), await formatSums(folder, names));
    return {
      out: basename(resolve(options.out)),
      layout,
      archives,
      files: [],
      samples: content.scores.length,
      signed: key !== null,
      warnings,
    };
  });
}

/** @throws HpsError USAGE for what a folder of one model has no place for */
function assertOneModel({ layout, models, calibrator, samples }: Settled): void {
  const none = models.length > 1 ? 'several models' : calibrator ? 'a calibrator file' : samples ? 'samples' : null;
  if (none === null) return;
  throw new HpsError('USAGE', `the layout ${layout} has no place for ${none}`, {
    hint: 'Give one model; `hpsv3 calibrate` has `embed` for its calibrator.',
    details: { layout },
  });
}

const noRuntimes = (): HpsError =>
  new HpsError('USAGE', 'archives need a folder of runtimes', {
    hint: 'Run `hpsv3 release fetch`, which downloads what releases are made of, once, and give its folder (`runtimes`).',
  });

const oneCalibrator = (): HpsError =>
  new HpsError('USAGE', 'a calibrator file goes with one model', {
    hint: 'Put calibrators into their models: `hpsv3 calibrate` has `embed` for it.',
  });

/** The native parts of a target. */
function readTarget(folder: string, target: Target): Runtime {
  const fetched = RUNTIMES[target.id].map((locked) => openRuntime(folder, locked));
  const onnxruntime = onnxruntimeParts(onnxruntimeFolder(), target);
  const all = [...fetched, { ...onnxruntime, licenses: [] }];
  return {
    files: all.flatMap(({ files }) => files),
    natives: all.flatMap(({ natives }) => natives),
    licenses: all.flatMap(({ licenses }) => licenses),
  };
}

/** What is the same for every target. */
interface Content {
  readonly models: Bundle['models'];
  readonly calibrator: Bundle['calibrator'];
  readonly weights: readonly BundleFile[];
  readonly samples: readonly BundleFile[];
  readonly scores: Bundle['samples']['scores'];
  readonly recorded: Bundle['samples']['recorded'];
}

async function readContent(options: Settled, warn: (warning: string) => void): Promise<Content> {
  const names = options.models.map((path) => basename(path));
  if (new Set(names).size < names.length) {
    throw new HpsError('USAGE', 'two models have the same file name', { hint: 'Rename one of them.' });
  }
  const weights: BundleFile[] = [];
  const place = async (path: string): Promise<{ file: string; sha256: string }> => {
    const file = `${WEIGHTS_FOLDER}/${basename(path)}`;
    weights.push({ path: file, content: { file: path }, packing: 'store' });
    return { file, sha256: (await hashFile(path, { signal: options.signal })).sha256 };
  };
  const calibrator = options.calibrator === undefined ? null : await place(options.calibrator);
  return withTemporaryFolder('release', async (folder) => {
    const scorers: HPSv3Scorer[] = [];
    try {
      const models: Bundle['models'][number][] = [];
      for (const path of options.models) {
        let calibrated = true;
        const scorer = await HPSv3Scorer.load(path, {
          calibrator: options.calibrator,
          mediaRoot: folder,
          onWarning: (warning) => {
            if (warning.includes('is uncalibrated')) calibrated = false;
            warn(warning);
          },
        });
        scorers.push(scorer);
        const externalData = await Promise.all(externalDataOf(path).map(place));
        const { modality, decision } = scorer;
        models.push({ ...(await place(path)), modality, decision, calibrated, externalData });
      }
      const samples =
        options.samples === undefined ? await madeUpSamples(scorers) : await givenSamples(options.samples, scorers);
      for (const file of samples) {
        const path = join(folder, file.path);
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, file.content as Uint8Array);
      }
      const scores = await scoreSamples(join(folder, SAMPLES_FILE), scorers);
      return { models, calibrator, weights, samples, scores, recorded: thisMachine(scorers[0]) };
    } finally {
      await Promise.all(scorers.map((scorer) => scorer.close()));
    }
  });
}

interface Assembly extends Runtime {
  readonly target: Target;
  readonly program: Program;
  readonly content: Content;
  readonly card: ReleasedCard;
  readonly options: Settled;
  readonly signed: boolean;
}

/** All files of a release but the signature and the hashes. */
async function assemble({
  target,
  natives,
  files,
  licenses,
  program,
  content,
  card,
  options,
  signed,
}: Assembly): Promise<BundleFile[]> {
  const { models, calibrator, weights, samples, scores, recorded } = content;
  const fixed: BundleFile[] = [
    ...launchersOf(target),
    ...program.files,
    ...files,
    ...dedupe([...program.licenses, ...licenses]),
    ...weights,
    ...samples,
    ...card.files.map((path) => ({ path: `${CARD_FOLDER}/${path}`, content: { file: join(card.folder, path) } })),
    { path: 'MODEL_CARD.md', content: { file: join(card.folder, 'README.md') } },
    {
      path: CONFIG_FILE,
      content: Buffer.from(
        configText({ models: models.map(({ file }) => file), calibrator: calibrator?.file ?? null }),
      ),
    },
  ];
  /** README, bundle, bill of materials, provenance, hashes, signature. */
  const more = signed ? 6 : 5;
  const bundle: Bundle = {
    schema: bundleDocument.id as Bundle['schema'],
    tool: TOOL,
    target: target.id,
    models,
    calibrator,
    card: { sha256: (await hashFile(join(card.folder, CARD_FILE))).sha256, model: card.facts.model!.sha256 },
    license: card.facts.text.license ?? null,
    natives: natives.map(({ path, ...part }) => ({ file: path, ...part })),
    samples: { recorded, tolerance: SAMPLE_TOLERANCE, scores },
    files: fixed.length + more,
  };
  const cardBom = readJson(join(card.folder, 'bom.cdx.json'));
  const texts: readonly (readonly [string, string])[] = [
    [BUNDLE_FILE, formatDocument(bundle)],
    [BOM_FILE, bomText(cardBom, bundle, program.packages)],
    [
      PROVENANCE_FILE,
      provenanceText(bundle, target, {
        locked: RUNTIMES[target.id],
        mtime: options.epoch,
        options: { models: models.map(({ file }) => basename(file)), acceptLicense: options.acceptLicense },
      }),
    ],
    [README_FILE, readmeText({ bundle, target, card: card.facts, signed, notes: notesOf(card.facts, options) })],
  ];
  return [...fixed, ...texts.map(([path, text]) => ({ path, content: Buffer.from(text) }))];
}

const notesOf = (facts: CardFacts, { acceptLicense }: Settled): string[] =>
  acceptLicense ? termsProblems(facts).map((problem) => `Before you pass it on: ${termsSentence(problem)}.`) : [];

function readJson(path: string): JsonObject {
  const value = parseJson(readFileSync(path), { name: basename(path), maxBytes: LIMITS.jsonBytes });
  if (isJsonObject(value)) return value;
  throw new HpsError('CONFIG_INVALID', `${basename(path)}: no JSON object`, { hint: 'Make the card again.' });
}

/** Two packages may bring the same file of terms. */
const dedupe = (files: readonly BundleFile[]): BundleFile[] => [
  ...new Map(files.map((file) => [file.path, file])).values(),
];

async function pack(folder: string, target: Target, files: readonly BundleFile[], epoch: number) {
  const path = join(folder, target.archive);
  const sink = new FileSink(await open(path, 'wx+'), target.archive);
  try {
    if (target.archive.endsWith('.zip')) await writeZip(sink, files);
    else await writeTarGz(sink, files, epoch);
    const { sha256, byteLength } = await sink.finish();
    return { archive: target.archive, sha256, bytes: byteLength };
  } finally {
    await sink.abandon();
  }
}
