import { realpathSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { invalidOutput } from '../bytes/output-error.js';
import { withAtomicFolder } from '../bytes/output-folder.js';
import { DEFAULT_SEED, type Filled, filled } from '../defaults.js';
import { HpsError } from '../errors.js';
import { type Run, reporter } from '../run.js';
import { TOOL } from '../version.js';
import { cardsPerSource, Deck } from './deck.js';
import { MediaFolder, type RowFile, RowFileWriter } from './folder.js';
import type { SynthModality, SynthModalityId } from './modality.js';
import { drawRaters, NOISE_MODEL, type Rater } from './raters.js';
import { type DrawnSizes, pickModalities } from './registry.js';
import { compareVariants, type RowContext, rateVariant } from './rows.js';
import { drawSources, findFiles, findUsableFiles, readSources, type SkippedFile, type Source } from './sources.js';
import { Tally, type TallyCell } from './tally.js';
import { Variants } from './variants.js';

/** Written last; a folder that has it was made here, and may be replaced. */
const MANIFEST = 'synth.json';
/** Skipped files that the manifest names; the rest are counted. */
const MAX_SKIPPED_NAMES = 20;

export interface SynthOptions extends Run {
  /** Folder to write. */
  readonly out: string;
  /** Replace a folder that was made here. */
  readonly force?: boolean;
  /** Without it, image, text and audio; of these, with `source`, the ones it has files for. */
  readonly modalities?: readonly SynthModalityId[];
  /** Ids of the damage to do; without it, all that every modality has but those that are made on request. */
  readonly perturbations?: readonly string[];
  /** Comparisons to make in each modality. */
  readonly pairs?: number;
  /** Comparisons that share a source, where there are sources enough. */
  readonly pairsPerSource?: number;
  /** Simulated raters; each judges every pair. */
  readonly raters?: number;
  /** Also write absolute scores of every item. */
  readonly absolute?: boolean;
  readonly seed?: number;
  /** Longer side of pictures and of clips, in pixels. */
  readonly sizes?: DrawnSizes;
  /** Folder of the user's own pictures, texts, sounds and clips; without it, sources are drawn. */
  readonly source?: string;
}

export const SYNTH_DEFAULTS = {
  pairs: 200,
  pairsPerSource: 4,
  raters: 5,
  absolute: false,
  seed: DEFAULT_SEED,
  sizes: { image: 256, video: 128 },
  force: false,
} as const satisfies Partial<SynthOptions>;

type Settled = Filled<SynthOptions, typeof SYNTH_DEFAULTS>;

export interface ModalityReport {
  readonly modality: SynthModalityId;
  readonly sources: number;
  readonly pairs: number;
  /** Pairs whose sides came out as the same bytes, and count as equal: a blurred picture of one colour. */
  readonly identical: number;
  readonly skipped: { readonly count: number; readonly files: readonly SkippedFile[] };
}

/** What `synth.json` holds. */
export interface SynthManifest {
  readonly schema: 'hpsv3/synth@1';
  readonly tool: string;
  readonly seed: number;
  readonly options: {
    readonly source: string | null;
    readonly pairs: number;
    readonly pairsPerSource: number;
    readonly sizes: DrawnSizes;
  };
  readonly noiseModel: string;
  readonly raters: readonly Rater[];
  readonly modalities: readonly ModalityReport[];
  /** Rows with the votes; the true utility differences in the form of scores; scores of single items, if wanted. */
  readonly files: { readonly labels: RowFile; readonly truth: RowFile; readonly absolute: RowFile | null };
  readonly media: { readonly files: number; readonly bytes: number; readonly sha256: string };
  readonly cells: readonly TallyCell[];
}

/** `synth.json` as it is written, and as it is printed. */
export interface SynthDocument extends SynthManifest {
  /** The folder: printed, and not written. */
  readonly out?: string;
}

export interface SynthReport extends SynthDocument {
  readonly out: string;
}

/**
 * Makes comparisons whose truth is known: sources damaged in known ways to known degrees, judged by simulated raters, in
 * the label format, with the media beside them. The same options and seed give the same bytes.
 *
 * @throws HpsError USAGE for more pairs than the sources give; DATA_INVALID for a folder without usable sources;
 *   BACKEND_UNAVAILABLE for video without ffmpeg; the OUTPUT_… codes
 */
export async function synthesize(given: SynthOptions): Promise<SynthReport> {
  const options = filled(given, SYNTH_DEFAULTS);
  const { out, force, source } = options;
  if (source !== undefined) refuseNested(source, out);
  const modalities = choosePerturbations(await chooseModalities(options), options.perturbations);
  for (const modality of modalities) await modality.prepare?.();
  return withAtomicFolder(out, { force, marker: MANIFEST }, async (folder) => {
    const manifest = await new Synthesis(folder, options).run(modalities);
    await writeFile(join(folder, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`);
    return { out, ...manifest };
  });
}

interface RowFiles {
  readonly labels: RowFileWriter;
  readonly truth: RowFileWriter;
  readonly absolute: RowFileWriter | null;
}

/** One folder being filled, a source at a time. */
class Synthesis {
  private readonly raters: readonly Rater[];
  private readonly media: MediaFolder;
  private readonly tally = new Tally();

  constructor(
    private readonly folder: string,
    private readonly options: Settled,
  ) {
    this.raters = drawRaters(options.raters, options.seed);
    this.media = new MediaFolder(folder);
  }

  async run(modalities: readonly SynthModality<unknown>[]): Promise<SynthManifest> {
    const { seed, pairs, pairsPerSource, sizes, source } = this.options;
    const open = (name: string) => RowFileWriter.open(this.folder, name);
    const rows: RowFiles = {
      labels: await open('labels.jsonl'),
      truth: await open('truth.jsonl'),
      absolute: this.options.absolute ? await open('absolute.jsonl') : null,
    };
    try {
      const plans: SourcePlan<unknown>[] = []; // all of them first: what is missing shows before the work is done
      for (const modality of modalities) plans.push(await this.findSources(modality));
      const reports: ModalityReport[] = [];
      for (const [i, modality] of modalities.entries()) reports.push(await this.compareIn(modality, plans[i], rows));
      return {
        schema: 'hpsv3/synth@1',
        tool: TOOL,
        seed,
        options: { source: source === undefined ? null : basename(resolve(source)), pairs, pairsPerSource, sizes },
        noiseModel: NOISE_MODEL,
        raters: this.raters,
        modalities: reports,
        files: {
          labels: await rows.labels.finish(),
          truth: await rows.truth.finish(),
          absolute: (await rows.absolute?.finish()) ?? null,
        },
        media: this.media.report(),
        cells: this.tally.report(),
      };
    } finally {
      for (const file of Object.values(rows)) await file?.abandon();
    }
  }

  private async compareIn<T>(
    modality: SynthModality<T>,
    { sources, perSource, skipped }: SourcePlan<T>,
    rows: RowFiles,
  ): Promise<ModalityReport> {
    const { pairs, seed, signal } = this.options;
    const report = reporter(this.options, `Making ${modality.id} pairs`, 'pairs');
    const deck = new Deck(
      modality.perturbations.map(({ id }) => id),
      `synth:${seed}:${modality.id}`,
    );
    const counts = { sources: 0, pairs: 0, identical: 0 };
    for await (const source of sources) {
      const wanted = Math.min(perSource, pairs - counts.pairs);
      counts.identical += await this.compareSource(modality, source, deck.take(wanted), rows);
      counts.pairs += wanted;
      counts.sources++;
      report(counts.pairs, pairs);
      signal?.throwIfAborted();
      if (counts.pairs === pairs) break;
    }
    const named = skipped.slice(0, MAX_SKIPPED_NAMES);
    return { modality: modality.id, ...counts, skipped: { count: skipped.length, files: named } };
  }

  /** The comparisons of one source; returns how many have identical sides. */
  private async compareSource<T>(
    modality: SynthModality<T>,
    source: Source<T>,
    cards: ReturnType<Deck['take']>,
    { labels, truth, absolute }: RowFiles,
  ): Promise<number> {
    const { seed } = this.options;
    const variants = new Variants(modality, source, seed, (...file) => this.media.keep(...file));
    const byId = new Map(modality.perturbations.map((perturbation) => [perturbation.id, perturbation]));
    const pairs = await Promise.all(
      cards.map(({ perturbation, weaker, stronger }) => {
        const way = byId.get(perturbation)!;
        return Promise.all([variants.get(way, weaker), variants.get(way, stronger)]);
      }),
    );
    this.media.settle();
    const context: RowContext = { modality: modality.id, sourceId: source.id, raters: this.raters, seed };
    let identical = 0;
    for (const [better, worse] of pairs) {
      const comparison = compareVariants(better, worse, context);
      await labels.writeRow(comparison.row);
      await truth.writeScore({ id: comparison.row.id, logit: comparison.difference });
      this.tally.add(comparison);
      if (comparison.identical) identical++;
    }
    if (absolute) {
      for (const variant of new Set(pairs.flat())) await absolute.writeRow(rateVariant(variant, context));
    }
    return identical;
  }

  /** As many sources as the pairs need, and how many pairs each gives. */
  private async findSources<T>(modality: SynthModality<T>): Promise<SourcePlan<T>> {
    const { source: folder, seed, pairs, pairsPerSource } = this.options;
    const most = cardsPerSource(modality.perturbations.length);
    const perSource = Math.min(pairsPerSource, most);
    if (folder === undefined) return { sources: drawSources(modality, seed), perSource, skipped: [] };
    const needed = Math.ceil(pairs / perSource);
    const { paths, skipped } = await findUsableFiles(modality, folder, { seed, needed });
    if (paths.length * most < pairs) throw tooFewSources(modality, paths.length, skipped, this.options);
    const share = Math.max(perSource, Math.ceil(pairs / paths.length));
    return { sources: readSources(modality, folder, paths), perSource: share, skipped };
  }
}

interface SourcePlan<T> {
  readonly sources: AsyncIterable<Source<T>>;
  readonly perSource: number;
  readonly skipped: readonly SkippedFile[];
}

/** Made when nothing is said: what every machine can make. */
const DEFAULT_MODALITIES: readonly SynthModalityId[] = ['image', 'text', 'audio'];

async function chooseModalities({ modalities, source, sizes }: Settled): Promise<SynthModality<unknown>[]> {
  if (modalities !== undefined) return pickModalities(modalities, sizes);
  const usual = pickModalities(DEFAULT_MODALITIES, sizes);
  if (source === undefined) return usual;
  const found: SynthModality<unknown>[] = [];
  for (const modality of usual) if ((await findFiles(source, modality.endings)).length > 0) found.push(modality);
  if (found.length > 0) return found;
  const name = basename(resolve(source));
  throw new HpsError('DATA_INVALID', `${name}: has no picture, text or sound`, {
    hint: `Give files that end in ${usual.flatMap(({ endings }) => endings).join(', ')}, or say what they are with \`modality\`.`,
    details: { folder: name },
  });
}

/** The modalities with the damage that is asked for; those that have none of it are left out. */
function choosePerturbations(
  modalities: readonly SynthModality<unknown>[],
  ids: readonly string[] | undefined,
): readonly SynthModality<unknown>[] {
  if (ids === undefined) return modalities;
  const all = modalities.flatMap(({ perturbations, onRequest = [] }) => [...perturbations, ...onRequest]);
  const unknown = ids.find((id) => !all.some((perturbation) => perturbation.id === id));
  if (unknown !== undefined) {
    throw new HpsError('USAGE', `there is no perturbation ${JSON.stringify(unknown)}`, {
      hint: `There are ${[...new Set(all.map(({ id }) => id))].join(', ')}.`,
      details: { perturbation: unknown },
    });
  }
  return modalities.flatMap((modality) => {
    const chosen = [...modality.perturbations, ...(modality.onRequest ?? [])].filter(({ id }) => ids.includes(id));
    return chosen.length > 0 ? [{ ...modality, perturbations: chosen }] : [];
  });
}

/** A folder inside the source would become a source, and the source inside a folder that is replaced would be lost. */
function refuseNested(source: string, out: string): void {
  const real = (path: string): string => {
    try {
      return realpathSync(path);
    } catch {
      return resolve(path); // not there yet, or reported when it is read
    }
  };
  const name = basename(out);
  const target = join(real(dirname(resolve(out))), name);
  const within = (inner: string, outer: string): boolean => `${inner}${sep}`.startsWith(`${outer}${sep}`);
  if (within(target, real(source)) || within(real(source), target)) {
    throw invalidOutput(name, 'lies within the source folder, or around it', 'Write to a folder elsewhere.');
  }
}

function tooFewSources(
  { id, endings, perturbations }: SynthModality<unknown>,
  sources: number,
  skipped: readonly SkippedFile[],
  { pairs, source = '' }: Settled,
): HpsError {
  const details = { modality: id, sources, skipped: skipped.slice(0, MAX_SKIPPED_NAMES), pairs };
  const folder = basename(resolve(source));
  if (sources > 0) {
    const most = sources * cardsPerSource(perturbations.length);
    return new HpsError('USAGE', `${folder}: ${sources} sources of ${id} give ${most} pairs at most, not ${pairs}`, {
      hint: 'Give more files, or fewer `pairs`.',
      details,
    });
  }
  const reason = skipped.length > 0 ? `; ${skipped.length} could not be used, the first: ${skipped[0].rule}` : '';
  return new HpsError('DATA_INVALID', `${folder}: no file can be a source of ${id}${reason}`, {
    hint:
      endings.length > 0
        ? `Give files that end in ${endings.join(', ')}, or leave ${id} out of \`modality\`.`
        : `Leave ${id} out of \`modality\`: its sources can only be drawn.`,
    details,
  });
}
