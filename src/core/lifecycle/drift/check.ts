import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hashFile } from '../../bytes/hash.js';
import { withAtomicOutput } from '../../bytes/output.js';
import { withAtomicFolder } from '../../bytes/output-folder.js';
import { type Calibrator, calibrate } from '../../calibration/calibrator.js';
import { assertSameModel, readCalibrator } from '../../calibration/read-calibrator.js';
import { driftPage } from '../../card/drift-page.js';
import { rowsWarnings } from '../../data/row-counts.js';
import { type Filled, filled } from '../../defaults.js';
import { formatDocument, type ReadDocument, readDocument } from '../../documents/define.js';
import type { JudgedProbabilities } from '../../drift/calibration.js';
import { checkWindow, type WindowFindings } from '../../drift/check-window.js';
import type { CheckDocument } from '../../drift/document.js';
import { NO_CALIBRATOR } from '../../drift/identity.js';
import { judgedProbabilities } from '../../drift/judged.js';
import { endLook, startState, takeLabels, takeScores } from '../../drift/monitors.js';
import { CHECK_SETTINGS, type CheckSettings } from '../../drift/options.js';
import { expectPerformance } from '../../drift/performance.js';
import { type DriftReference, isConsistent, referenceDocument } from '../../drift/reference.js';
import { type DriftState, stateDocument } from '../../drift/state.js';
import { spanOf, timelineOf } from '../../drift/timeline.js';
import { judgeFindings } from '../../drift/verdict.js';
import { groupName, type Window, WindowBuilder } from '../../drift/window.js';
import { HpsError } from '../../errors.js';
import { type Run, startStage } from '../../run.js';
import { TOOL } from '../../version.js';
import {
  type DriftInputs,
  kindOf,
  type Labelled,
  readContext,
  readWindow,
  type WindowRead,
  warningsOf,
} from './inputs.js';

export interface CheckDriftOptions extends DriftInputs, Partial<Omit<CheckSettings, 'floors' | 'least'>>, Run {
  /** What `fitDrift` wrote. */
  readonly reference: string;
  /** Folder to write. */
  readonly out: string;
  readonly force?: boolean;
  readonly floors?: Partial<CheckSettings['floors']>;
  readonly least?: Partial<CheckSettings['least']>;
  /** File in which monitors keep what they know between checks. */
  readonly state?: string;
  /** Calibrator whose probabilities are judged, instead of those that rows state. */
  readonly calibrator?: string;
  /** Also say what fitting the calibrator again would change; needs labels. */
  readonly calibration?: boolean;
  /** Too few rows are an error. */
  readonly requireData?: boolean;
}

export const CHECK_DRIFT_DEFAULTS = {
  ...CHECK_SETTINGS,
  force: false,
  calibration: false,
  requireData: false,
} as const satisfies Partial<CheckDriftOptions>;

type Settled = Filled<CheckDriftOptions, typeof CHECK_DRIFT_DEFAULTS>;

export interface CheckDriftReport extends CheckDocument {
  readonly out: string;
}

/** A folder that has it was made here, and may be replaced. */
const MARKER = 'drift.json';

/**
 * Has anything moved since the reference? Asks first whether it is still the same model, then of inputs, scores and calibration; and
 * lets monitors, which remember, look at what is new.
 *
 * @throws HpsError CONFIG_INVALID for a reference or a state that is none; MODELS_INCOMPARABLE for rows of the other kind, a
 *   calibrator of another model, or a state of another reference; DATA_INVALID with `requireData`; the OUTPUT_… codes
 */
export async function checkDrift(given: CheckDriftOptions): Promise<CheckDriftReport> {
  const options = filled(given, CHECK_DRIFT_DEFAULTS);
  const { out, force, state: path } = options;
  const check = new Check(options, readReference(options.reference));
  const { document, state } = await withAtomicFolder(out, { force, marker: MARKER }, async (folder) => {
    const outcome = await check.run();
    await writeFile(join(folder, MARKER), formatDocument(outcome.document));
    await writeFile(join(folder, 'index.html'), await driftPage(outcome.document));
    return outcome;
  });
  // After the report: where the process ends between the two, the same check comes to the same again.
  if (path !== undefined && state) {
    await withAtomicOutput(path, { force: true }, (output) =>
      output.writeFile(output.name, `${JSON.stringify(state)}\n`),
    );
  }
  return { out, ...document };
}

function readReference(path: string): ReadDocument<DriftReference> {
  const read = readDocument(referenceDocument, path);
  if (isConsistent(read.document.sample)) return read;
  throw new HpsError('CONFIG_INVALID', `${read.name}: the parts of its sample do not belong together`, {
    hint: 'Make it again: `hpsv3 drift fit`.',
    details: { file: read.name },
  });
}

interface Outcome {
  readonly document: CheckDocument;
  /** Null where it stays as it is. */
  readonly state: DriftState | null;
}

/** One window being checked. */
class Check {
  private readonly reference: DriftReference;
  private readonly calibrator: Calibrator | null;
  private readonly settings: CheckSettings;
  private readonly notes: string[] = [];

  constructor(
    private readonly options: Settled,
    private readonly read: ReadDocument<DriftReference>,
  ) {
    this.reference = read.document;
    this.calibrator = options.calibrator === undefined ? null : readCalibrator(options.calibrator).document;
    this.settings = {
      ...options,
      by: options.by.map(groupName),
      floors: { ...CHECK_SETTINGS.floors, ...options.floors },
      least: { ...CHECK_SETTINGS.least, ...options.least },
    };
  }

  async run(): Promise<Outcome> {
    const { options, reference, settings } = this;
    if (options.calibration && options.labels === undefined) {
      throw new HpsError('USAGE', '`calibration` needs `labels`', { hint: 'Give the labels of some of the rows.' });
    }
    this.assertGroups();
    const before = this.readState();
    const context = await readContext(options, options);
    const { window, found } = await this.readWindow(context, before?.position);
    this.assertComparable(window);
    const judged = await this.judge(window, context, before !== null && Object.keys(before.position).length > 0);
    startStage(options, 'Comparing');
    const findings = await checkWindow(reference, window, {
      settings,
      judged,
      claimed: this.isCalibrated(window),
      symmetric: this.calibrator?.symmetric ?? false,
      refit: options.calibration,
      signal: options.signal,
    });
    // What another model scores is no evidence against this one.
    const bets = this.isCalibrated(window) ? judged : null;
    const state = before && findings.identity.length === 0 ? await this.look(before, window, bets, found) : null;
    if (judged && !this.isCalibrated(window)) this.notes.push(UNCALIBRATED);
    const document = this.document({ window, found, context, findings, state: state ?? before });
    if (options.requireData && document.verdict === 'not-enough-data') throw notEnough(document);
    return { document, state };
  }

  /** @throws HpsError USAGE */
  private assertGroups(): void {
    const known = this.reference.sample.features.flatMap(({ name }) =>
      name.startsWith('group.') ? [name.slice(6)] : [],
    );
    const unknown = this.settings.by.find((name) => !known.includes(name));
    if (unknown === undefined) return;
    throw new HpsError('USAGE', `the reference has no group ${unknown}`, {
      hint: known.length > 0 ? `It has ${known.map((name) => `groups.${name}`).join(', ')}.` : 'It has no groups.',
      details: { group: unknown, known },
    });
  }

  private readState(): DriftState | null {
    const { state: path } = this.options;
    const { alpha, by, least } = this.settings;
    if (path === undefined) return null;
    if (!existsSync(path)) return startState(this.reference, this.read.sha256, { alpha, by, least: least.clusters });
    const { document: state, name } = readDocument(stateDocument, path);
    if (state.reference !== this.read.sha256) {
      throw new HpsError('MODELS_INCOMPARABLE', `${name}: is the state of another reference`, {
        hint: 'Give the reference it was begun with, or a file that is not there yet.',
        details: { state: state.reference, reference: this.read.sha256 },
      });
    }
    if (state.alpha !== alpha) {
      throw new HpsError('USAGE', `${name}: was begun with an alpha of ${state.alpha}, not ${alpha}`, {
        hint: 'Give the `alpha` it was begun with, or a file that is not there yet.',
        details: { state: state.alpha, alpha },
      });
    }
    return state;
  }

  private async readWindow(context: Labelled, from?: DriftState['position']) {
    const { options, reference } = this;
    const [kind, otherwise] = [kindOf(options, context), reference.kind ?? undefined];
    const group = this.calibrator?.groups?.name;
    const by = [...new Set([...this.settings.by, ...(group === undefined ? [] : [group])])];
    const builder = new WindowBuilder({ ...options, kind, otherwise, by }, context.contextOf);
    const found = await readWindow(options, builder, options, from);
    const window = builder.finish();
    return { window: this.calibrator ? this.calibrated(window, this.calibrator) : window, found };
  }

  /** The window with the probabilities of a calibrator. @throws HpsError MODELS_INCOMPARABLE */
  private calibrated(window: Window, calibrator: Calibrator): Window {
    for (const model of window.identity.model) assertSameModel(calibrator, model);
    if (window.kind !== 'pair' || calibrator.kind !== 'pair') return window;
    const { rows } = window;
    const column = calibrator.groups ? rows.groups.get(calibrator.groups.name) : undefined;
    const probability = rows.logit.map(
      (logit, row) => calibrate(calibrator, logit, column?.names[column.codes[row]]).value,
    );
    return { ...window, rows: { ...rows, probability } };
  }

  /** Whether probabilities are said to hold: by a calibrator, by the rows, or by rows that state them and say nothing against it. */
  private isCalibrated({ identity, sample }: Window): boolean {
    if (this.calibrator) return this.calibrator.method !== 'none';
    if (identity.calibrated.length + identity.calibrator.length === 0) return sample.features.has('score');
    return !identity.calibrated.includes('false') && !identity.calibrator.includes(NO_CALIBRATOR);
  }

  /** @throws HpsError MODELS_INCOMPARABLE */
  private assertComparable({ kind, rows }: Window): void {
    const { kind: known } = this.reference;
    if (rows.count === 0 || kind === null || known === null || kind === known) return;
    const words = { pair: 'pairs', item: 'items' };
    throw new HpsError('MODELS_INCOMPARABLE', `the reference is of ${words[known]}, the rows are ${words[kind]}`, {
      hint: 'Make a reference of rows of this kind: `hpsv3 drift fit`.',
      details: { reference: known, rows: kind },
    });
  }

  /** @param late - whether labels may be of rows of the log that were read before */
  private async judge(window: Window, context: Labelled, late: boolean): Promise<JudgedProbabilities | null> {
    const { labels } = context;
    if (labels === null || labels.count === 0) return null;
    if (labels.kind !== 'pair') {
      this.notes.push(
        'Labels of items are not tested here: `hpsv3 calibrate` with `check` tests a calibrator to their scale.',
      );
      return null;
    }
    const { rows } = late && this.options.log !== undefined ? (await this.readWindow(context)).window : window;
    const judged = judgedProbabilities(labels, rows);
    if (judged.joined.count > 0) return judged;
    this.notes.push('No label is of a row that was scored: their ids are others.');
    return null;
  }

  private async look(
    before: DriftState,
    { rows }: Window,
    judged: JudgedProbabilities | null,
    { position }: WindowRead,
  ): Promise<DriftState> {
    const { scores, signal } = this.options;
    const sha256 = scores === undefined ? null : (await hashFile(scores, { signal })).sha256;
    const known = sha256 !== null && before.files.includes(sha256);
    if (known) this.notes.push('The monitors have seen these scores before: they do not count them twice.');
    const scored = known ? before : takeScores(before, rows, this.settings.seed);
    const labelled = judged ? takeLabels(scored, judged) : scored;
    const files = sha256 === null || known ? before.files : [...before.files, sha256];
    return endLook({ ...labelled, position, files });
  }

  private document({ window, found, context, findings, state }: Found): CheckDocument {
    const { reference, settings, read } = this;
    const { rows, sample } = window;
    const { comparison, calibration } = findings;
    const changed = findings.identity.length > 0;
    const monitors = state?.monitors ?? [];
    const judgement = judgeFindings(findings, changed ? [] : monitors, { ...rows, least: settings.least });
    const [says] = window.identity.calibrated;
    return {
      schema: 'hpsv3/drift-check@1',
      ...judgement,
      alpha: settings.alpha,
      reference: {
        name: read.name,
        sha256: read.sha256,
        rows: reference.rows,
        clusters: reference.clusters,
        from: reference.from,
        to: reference.to,
      },
      window: {
        rows: rows.count,
        clusters: rows.clusters,
        sampled: sample.rows,
        refused: found.report.badRows,
        ...spanOf(rows),
        torn: found.torn,
      },
      identity: findings.identity,
      permutations: comparison?.permutations ?? 0,
      features: comparison?.features ?? [],
      untested: comparison?.untested ?? [],
      smallGroups: comparison?.smallGroups ?? [],
      expected: changed ? null : expectPerformance(rows, reference, says === undefined ? null : says === 'true'),
      calibration: calibration && {
        ...calibration,
        refit: calibration.refit && { ...calibration.refit, command: this.refitCommand() },
      },
      monitors: state && {
        looks: state.looks,
        rows: state.rows,
        labels: state.labels,
        limit: state.monitors.length / state.alpha,
        of: state.monitors.map(({ of, group, n, logE, mostLogE, alarm }) => ({ of, group, n, logE, mostLogE, alarm })),
      },
      timeline: timelineOf(rows),
      warnings: [
        ...warningsOf(window, rowsWarnings('Scores', found.report), context),
        ...(found.torn > 0
          ? [`${found.torn} files of the log end in a line without an end: it is left for the next check.`]
          : []),
        ...this.notes,
      ],
      tool: TOOL,
    };
  }

  private refitCommand(): string {
    const method = this.calibrator?.method;
    const words = ['hpsv3', 'calibrate', '--scores', 'SCORES', '--labels', 'LABELS'];
    return [...words, ...(method ? ['--method', method] : []), '--out', 'calibrator.json'].join(' ');
  }
}

const UNCALIBRATED =
  'The probabilities are not calibrated: whether they hold is not asked, only whether what a score means is what it was in a reference with labels.';

interface Found {
  readonly window: Window;
  readonly found: WindowRead;
  readonly context: Labelled;
  readonly findings: WindowFindings;
  readonly state: DriftState | null;
}

const notEnough = ({ reasons, window }: CheckDocument): HpsError =>
  new HpsError('DATA_INVALID', `not enough data: ${reasons[0]}`, {
    hint: 'Give more rows, or leave `require-data` out.',
    details: { rows: window.rows, clusters: window.clusters },
  });
