import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { withAtomicFolder } from '../../bytes/output-folder.js';
import { explanationPage, type ShownMap, wordValues } from '../../card/explanation-page.js';
import { readRows } from '../../data/read-rows.js';
import { STANDARD_STREAM, type StandardStreams, withInput } from '../../data/row-files.js';
import type { DataRow } from '../../data/rows.js';
import { curvesOf } from '../../data/score-windows.js';
import { type Filled, filled } from '../../defaults.js';
import { formatDocument } from '../../documents/define.js';
import { HpsError } from '../../errors.js';
import { checkExplanation, type ExplanationCheck } from '../../explanation/checks/check.js';
import { scaleOf } from '../../explanation/colours.js';
import type { ExplainedSample, ExplainedWindows, ExplanationDocument, MapFacts } from '../../explanation/document.js';
import { Explainer, type Explanation } from '../../explanation/explainer.js';
import { Faithfulness } from '../../explanation/faithfulness.js';
import { factsOf, writeMap } from '../../explanation/map-files.js';
import { DEFAULT_SETTINGS, type MethodId, type MethodSettings } from '../../explanation/methods/method.js';
import { drawMap } from '../../explanation/pictures.js';
import { Summary } from '../../explanation/summary.js';
import { WindowScorer } from '../../explanation/window-scorer.js';
import { rasterizeSvg } from '../../media/rasterize.js';
import { type RemoteOptions, RemoteStore } from '../../media/remote/store.js';
import { type Run, reporter } from '../../run.js';
import type { ContractFile } from '../../samples/contract.js';
import { sampleOf } from '../../scoring/row-sample.js';
import type { Sample } from '../../scoring/scorer.js';
import type { WindowOptions } from '../../scoring/windows/options.js';
import { TOOL } from '../../version.js';

/** What is explained: one sample, or every row of a file. */
export type ExplainInput = { readonly sample: Sample } | { readonly file: string };

export interface ExplainOptions extends Run {
  readonly model: string;
  readonly input: ExplainInput;
  readonly method?: MethodId;
  readonly settings?: Partial<MethodSettings>;
  /** Folder to write. */
  readonly out: string;
  readonly force?: boolean;
  readonly contract?: ContractFile;
  readonly mediaRoot?: string;
  readonly remote?: RemoteOptions;
  /** Rows of a file that get maps and a picture each; the others are counted in the summary. */
  readonly mostRows?: number;
  /** Hold every map against the model: see `checkExplanation`. */
  readonly check?: boolean;
  /** Scores long items in windows, and explains the worst one as an item of its own; of a pair the worst one of each side. */
  readonly windows?: WindowOptions;
  /** What a path of `-` stands for. */
  readonly streams?: StandardStreams;
}

export const EXPLAIN_DEFAULTS = {
  method: 'ig',
  force: false,
  mostRows: 20,
  check: false,
} as const satisfies Partial<ExplainOptions>;

type Settled = Filled<ExplainOptions, typeof EXPLAIN_DEFAULTS>;

export interface ExplainReport extends Omit<ExplanationDocument, 'schema'> {
  readonly out: string;
  readonly warnings: readonly string[];
}

/** A folder that has it was made here, and may be replaced. */
const MARKER = 'explanation.json';

/**
 * Explains one decision, or those of a file: maps of every part of every side, with their numbers, in a folder.
 * @throws HpsError as `Explainer.open` and `Explainer.explain`; the OUTPUT_… codes
 */
export async function explainDecisions(given: ExplainOptions): Promise<ExplainReport> {
  const options = filled(given, EXPLAIN_DEFAULTS);
  const { out, force } = options;
  return withAtomicFolder(out, { force, marker: MARKER }, async (folder) => {
    const isFile = 'file' in options.input;
    const fileRoot = isFile && options.input.file !== STANDARD_STREAM ? dirname(resolve(options.input.file)) : '.';
    const remote = options.remote && RemoteStore.open(options.remote);
    try {
      const opening = {
        contract: options.contract,
        mediaRoot: options.mediaRoot ?? (isFile ? fileRoot : undefined),
        remote,
        threads: options.settings?.threads,
      };
      const explainer = await Explainer.open(options.model, opening);
      let scorer: WindowScorer | undefined;
      try {
        const { windows, signal } = options;
        if (windows) {
          const onProgress = isFile ? undefined : options.onProgress; // of many rows the rows are the progress
          scorer = await WindowScorer.open(options.model, explainer, { ...opening, windows, signal, onProgress });
        }
        const work = new Explaining(explainer, scorer, folder, options);
        await work.run();
        const document = await work.document();
        const { schema: _, ...explained } = document;
        await writeFile(join(folder, 'index.html'), await work.page(document));
        await writeFile(join(folder, MARKER), formatDocument(document));
        const warnings = [...new Set(document.samples.flatMap((sample) => sample.warnings))];
        return { out, ...explained, warnings };
      } finally {
        await scorer?.close();
        await explainer.close();
      }
    } finally {
      await remote?.close();
    }
  });
}

interface Explained {
  readonly explanation: Explanation;
  readonly windows?: ExplainedWindows;
  readonly check?: ExplanationCheck;
}

/** One folder being filled. */
class Explaining {
  private readonly settings: MethodSettings;
  private readonly samples: ExplainedSample[] = [];
  private readonly failed: ExplanationDocument['failed'][number][] = [];
  private readonly summary = new Summary();
  private readonly faithfulness = new Faithfulness();
  /** Of the samples that have files of their own, by their places. */
  private readonly shown = new Map<number, readonly ShownMap[]>();

  constructor(
    private readonly explainer: Explainer,
    /** Where long items are explained by their worst window. */
    private readonly scorer: WindowScorer | undefined,
    private readonly folder: string,
    private readonly options: Settled,
  ) {
    this.settings = { ...DEFAULT_SETTINGS, ...options.settings };
  }

  async run(): Promise<void> {
    const { input } = this.options;
    if ('sample' in input) {
      this.samples.push(await this.write('sample', await this.explain(input.sample, 'sample'), ''));
      return;
    }
    await withInput(
      input.file,
      this.options.streams,
      async (data) => {
        const report = reporter(this.options, 'Explaining', 'rows');
        let rows = 0;
        for await (const batch of readRows(data, {}))
          for (const result of batch) {
            this.options.signal?.throwIfAborted();
            if (result.row) await this.explainRow(result.row, result.line);
            else this.failed.push({ line: result.line, id: null, code: result.code, message: result.message });
            report(++rows);
          }
      },
      this.options.signal,
    );
    if (this.samples.length > 0) return;
    const [first] = this.failed;
    throw new HpsError(
      'DATA_INVALID',
      `no row could be explained${first ? `; line ${first.line}: ${first.message}` : ''}`,
      {
        hint: 'Give rows as `hpsv3 batch` reads them.',
        details: { failed: this.failed.length },
      },
    );
  }

  private async explainRow(row: DataRow, line: number): Promise<void> {
    try {
      const explained = await this.explain(sampleOf(row), row.promptId);
      this.summary.add(explained.explanation, row.groups);
      const number = this.samples.length + 1;
      const folder = number <= this.options.mostRows ? `rows/${String(number).padStart(4, '0')}/` : null;
      this.samples.push(await this.write(row.id, explained, folder));
    } catch (error) {
      if (!(error instanceof HpsError) || !OF_SAMPLE.has(error.code)) throw error;
      this.failed.push({ line, id: row.id, code: error.code, message: error.message });
    }
  }

  private async explain(sample: Sample, cluster: string): Promise<Explained> {
    const { method, signal, onProgress, onWarning, input } = this.options;
    // Of many rows the rows are the progress.
    const run = 'sample' in input ? { signal, onProgress, onWarning } : { signal, onWarning };
    const found = await this.scorer?.find(sample);
    const windows = found && { windows: found.windows };
    const sides = await this.explainer.prepare(sample, found?.places);
    const explanation = await this.explainer.explainInputs(sides, method, this.settings, run);
    if (!this.options.check) return { explanation, ...windows };
    const check = await checkExplanation(this.explainer, sides, explanation, this.settings, run);
    this.faithfulness.add(cluster, check);
    return { explanation, ...windows, check };
  }

  /** @param name - of the sample's folder within the whole, with a slash; null where it has no files */
  private async write(
    id: string,
    { explanation, windows, check }: Explained,
    name: string | null,
  ): Promise<ExplainedSample> {
    const { kind, logit, baselineLogit, completeness, truncated, warnings } = explanation;
    const path = join(this.folder, name ?? '');
    if (name !== null) await mkdir(path, { recursive: true });
    const maps: MapFacts[] = [];
    const shown: ShownMap[] = [];
    for (const map of explanation.maps) {
      if (name === null) {
        maps.push({ ...factsOf(map), files: null });
        continue;
      }
      const alike = explanation.maps.filter(({ part }) => part.kind === map.part.kind);
      const limit = scaleOf(alike.map((each) => (each.part.kind === 'text' ? wordValues(each) : each.map.values)));
      const picture = await drawMap(map, limit);
      maps.push(await writeMap(map, { path, name }, picture && (await rasterizeSvg(picture.svg))));
      shown.push({ map, picture, limit });
    }
    if (name !== null) this.shown.set(this.samples.length, shown);
    const facts = { id, kind, logit, baselineLogit, completeness, truncated, maps };
    return {
      ...facts,
      ...(check && { check }),
      ...(windows && { windows }),
      warnings: [...isOneWindow(windows), ...warnings],
    };
  }

  page(document: ExplanationDocument): Promise<string> {
    return explanationPage(document, this.shown);
  }

  async document(): Promise<ExplanationDocument> {
    const { name: file, sha256, contract } = this.explainer;
    const { method } = this.options;
    const { nodes, mostNodes, copies, noise, seed, patch } = this.settings;
    return {
      schema: 'hpsv3/explanation@1',
      tool: TOOL,
      model: { file, sha256, modality: contract.modality, decision: contract.decision },
      method,
      settings: { nodes, mostNodes, copies, noise, seed, patch },
      samples: this.samples,
      faithfulness: await this.faithfulness.report(seed),
      summary: 'file' in this.options.input ? this.summary.report() : [],
      failed: this.failed,
    };
  }
}

/** A window that is longer than the item is not what was asked for. */
function isOneWindow(windows: ExplainedWindows | undefined): string[] {
  if (!windows || curvesOf(windows).some(([, { count }]) => count > 1)) return [];
  return [`What is no longer than a window of ${windows.window} is explained whole.`];
}

/** What concerns one row; anything else concerns the model, and with it every row. */
const OF_SAMPLE: ReadonlySet<string> = new Set([
  'ACCESS_DENIED',
  'DATA_INVALID',
  'FILE_NOT_FOUND',
  'FILE_UNREADABLE',
  'GRADIENT_NONFINITE',
  'INPUTS_INVALID',
  'MEDIA_INVALID',
  'REMOTE_FAILED',
  'REMOTE_REFUSED',
  'SCORE_NONFINITE',
]);
