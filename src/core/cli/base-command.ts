import type { Interfaces } from '@oclif/core';
import { Command } from '@oclif/core/command';
import { marked, type ReportName } from '../documents/reports.js';
import { ERROR_CODES, HpsError } from '../errors.js';
import type { Modality } from '../modality.js';
import type { Run } from '../run.js';
import type { ConfigFile } from './config.js';
import { DEMO_MODEL, DEMO_WARNING, demoModel } from './demo-model.js';
import { asHpsError, errorJson, internalError, isExit, toCliError } from './failure.js';
import { configPath, withFallbackValues } from './flag-values.js';
import { quietFlag } from './flags.js';
import { formatJson } from './format.js';
import { exitCodeOf, interruptible, type Kept } from './interruption.js';
import { settleArguments, withArgumentFlags } from './named-arguments.js';
import { withFlags } from './option-names.js';
import { installProcessGuards, markReported } from './process-guards.js';
import { startProgress } from './progress.js';
import { terminalWidth, wrapProse } from './table.js';

type FlagOutput = Interfaces.OutputFlags<Interfaces.FlagInput>;
type ArgOutput = Interfaces.OutputArgs<Interfaces.ArgInput>;

const nothingKept: Kept = () => 'Nothing was written: every target is as it was.';

/** The warnings that a report carries. */
const warningsOf = (report: unknown): readonly string[] =>
  (report as { readonly warnings?: readonly string[] } | null | undefined)?.warnings ?? [];

/**
 * A command of hpsv3: its return value is what `--json` prints, and every failure has a code, a hint and the exit code
 * of DESIGN's table, whether the command runs from `hpsv3` itself or from another oclif CLI that installed the package.
 */
export abstract class HpsCommand<T> extends Command {
  static override enableJsonFlag = true;
  static override baseFlags = { quiet: quietFlag };

  /** The file named by `--config`, once the flags are parsed. */
  protected configFile: ConfigFile | undefined;
  private quiet = false;
  private demoPaths: readonly string[] | undefined;
  /** Whether another process says what there is to say: this one takes part, and is silent unless it fails. */
  protected isFollower = false;

  /** The schema of what it gives; null where that carries its own. */
  protected readonly report: ReportName | ((report: T) => ReportName) | null = null;

  abstract override run(): Promise<T>;

  /**
   * Runs as a part of another command: gives the report and prints nothing of its own but progress.
   *
   * @throws HpsError as the command, and GATE_FAILED or ROWS_FAILED where it would only set the exit code
   */
  async runWithin(): Promise<T> {
    this.log = () => undefined;
    this.logToStderr = () => undefined;
    this.warn = (input) => input;
    const report = await this.run();
    const exit = process.exitCode;
    if (!exit) return report;
    process.exitCode = undefined;
    const code = exit === ERROR_CODES.ROWS_FAILED.exit ? 'ROWS_FAILED' : 'GATE_FAILED';
    throw new HpsError(code, `${this.id?.replaceAll(':', ' ')} ends with exit code ${exit}`, {
      hint: 'Run that command by itself: it says why.',
      details: { command: this.id, exit },
    });
  }

  protected override async init(): Promise<void> {
    installProcessGuards({ json: this.jsonEnabled() });
    await super.init();
  }

  /** As oclif's, with the order: flag, environment (`HPSV3_NAME`), `--config` file, default. */
  protected override async parse<F extends FlagOutput, B extends FlagOutput, A extends ArgOutput>(
    options: Interfaces.Input<F, B, A>,
    argv: string[] = this.argv,
  ): Promise<Interfaces.ParserOutput<F, B, A>> {
    const path = options.flags && 'config' in options.flags ? configPath(argv) : undefined;
    if (path !== undefined) {
      const { readConfigFile } = await import('./config.js'); // brings yaml and zod: only where a file is named
      this.configFile = await readConfigFile(path, { knownFlags: this.flagsOfAllCommands() });
    }
    const asked = withArgumentFlags(options, argv);
    const parsed = await super.parse<F, B, A>(await withFallbackValues(asked, this, this.configFile), argv);
    settleArguments(parsed, options);
    await this.takeDemoModel(parsed);
    this.quiet = (parsed.flags as { quiet?: boolean }).quiet === true;
    return parsed;
  }

  /** What the bundled model is exported for, where `demo` is given as the model: of what is scored, if that is known. */
  protected demoModalities(_flags: FlagOutput): readonly Modality[] {
    return ['image'];
  }

  /** Puts the path of the bundled model in the place of `demo`. */
  private async takeDemoModel({ args, flags }: { args: ArgOutput; flags: FlagOutput }): Promise<void> {
    for (const values of [args, flags] as Record<string, unknown>[]) {
      const given = values['model'];
      if (![given].flat().includes(DEMO_MODEL)) continue;
      this.demoPaths ??= await Promise.all(this.demoModalities(flags).map(demoModel));
      const paths = this.demoPaths;
      values['model'] = Array.isArray(given) ? given.flatMap((one) => (one === DEMO_MODEL ? paths : [one])) : paths[0];
    }
    if (this.demoPaths) this.tell(DEMO_WARNING);
  }

  /**
   * Runs a verb of core: shows its progress and warnings, and stops it where the process is asked to end.
   * @param kept - what is left where it is stopped, and how to go on; by default nothing is
   * @param finishes - as in `interruptible`: work that ends by itself once it is asked
   */
  protected async follow<R>(
    work: (run: Required<Run>) => Promise<R>,
    kept = nothingKept,
    { finishes = false }: { readonly finishes?: boolean } = {},
  ): Promise<R> {
    const progress = startProgress({ quiet: this.quiet || this.isFollower });
    const shown = new Set<string>();
    const onWarning = (warning: string): void => {
      if (shown.has(warning)) return; // told while it happened, and again in the report
      shown.add(warning);
      progress.finish();
      this.tell(this.spelled(warning));
    };
    try {
      const follow = (signal: AbortSignal) => work({ signal, onProgress: progress.update, onWarning });
      const report = await interruptible(kept, follow, { finishes });
      for (const warning of warningsOf(report)) onWarning(warning);
      return report;
    } finally {
      progress.finish();
    }
  }

  /** Says what is worth knowing while the work goes on. */
  protected tell(warning: string): void {
    if (this.isFollower) return;
    this.warn(warning);
  }

  protected override async catch(error: Error): Promise<unknown> {
    if (isExit(error)) throw error;
    const known = asHpsError(error, { flags: this.ownFlags(), others: this.flagsOfAllCommands() });
    markReported();
    process.exitCode = known ? exitCodeOf(known) : 1;
    if (this.jsonEnabled()) return this.logJson(this.toErrorJson(known ?? error));
    throw known === null ? error : toCliError(known);
  }

  /** The report with the id of its schema first. */
  protected override toSuccessJson(report: unknown): unknown {
    if (typeof report !== 'object' || report === null) return report;
    if (this.demoPaths && 'warnings' in report)
      Object.assign(report, { warnings: [DEMO_WARNING, ...warningsOf(report)] });
    if (this.report === null) return report;
    return marked(typeof this.report === 'function' ? this.report(report as T) : this.report, report);
  }

  /** Always `{error: {code, message, hint, details}}`: oclif's own JSON would carry its whole configuration, paths included. */
  protected override toErrorJson(error: unknown): unknown {
    return errorJson(asHpsError(error) ?? internalError(error));
  }

  /** Plain JSON: oclif would colour it on a terminal. */
  override logJson(json: unknown): void {
    if (this.isFollower && process.exitCode === undefined) return;
    process.stdout.write(formatJson(json));
  }

  /** Text of core as a person at the command line reads it. */
  private spelled(text: string): string {
    return withFlags(text, Object.keys(this.ctor.flags ?? {}), this.flagsOfAllCommands());
  }

  override log(message = '', ...args: unknown[]): void {
    if (this.isFollower) return;
    super.log(wrapProse(this.spelled(message), terminalWidth()), ...args);
  }

  private ownFlags(): string[] {
    const { args, flags, baseFlags } = this.ctor;
    return [...Object.keys({ ...baseFlags, ...flags, ...args }), 'json', 'help'].map((name) => `--${name}`);
  }

  /** One configuration file may serve several commands, so a flag of any of them is known. */
  private flagsOfAllCommands(): string[] {
    const names = new Set(Object.keys(this.ctor.flags ?? {}));
    for (const command of this.config.commands) {
      if (command.pluginName !== this.ctor.pluginName) continue;
      for (const [name, { aliases = [] }] of Object.entries(command.flags ?? {}))
        for (const one of [name, ...aliases]) names.add(one);
    }
    names.delete('json');
    return [...names];
  }
}
