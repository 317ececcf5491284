import { stripVTControlCharacters } from 'node:util';
import * as Errors from '@oclif/core/errors';
import { suggest } from '../bytes/suggest.js';
import { HpsError, isTooManyFiles, systemErrorCode, TOO_MANY_FILES } from '../errors.js';
import { printable } from './format.js';
import { exitCodeOf } from './interruption.js';
import { withFlags } from './option-names.js';

/** What every command prints for every failure under `--json`. */
export interface ErrorJson {
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly hint: string | null;
    readonly details: Readonly<Record<string, unknown>>;
  };
}

/** Words a mistyped flag may have meant. */
interface Vocabulary {
  readonly flags: readonly string[];
  /** Those of other commands, without dashes. */
  readonly others: readonly string[];
}

/**
 * Whether failures are to be printed as JSON: as oclif decides it, for those that come before there is a command to ask.
 *
 * @param contentType - what the environment asks for
 */
export function jsonRequested(argv: readonly string[], contentType: string | undefined): boolean {
  const end = argv.indexOf('--');
  const flags = end < 0 ? argv : argv.slice(0, end);
  return flags.includes('--json') || contentType?.toLowerCase() === 'json';
}

/** System errors of a full disk, a quota or a size limit, wherever they surface. */
const NO_SPACE = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/** The expected failure in `error`: ours as it is, oclif's parse and usage errors as USAGE; null for a bug. */
export function asHpsError(error: unknown, known: Partial<Vocabulary> = {}): HpsError | null {
  if (error instanceof HpsError) {
    error.message = withoutFraming(error.message, ''); // ours name the flag themselves
    return known.flags ? spelled(error, known) : error;
  }
  const system = systemErrorCode(error);
  if (system !== undefined && NO_SPACE.has(system)) {
    return new HpsError('OUTPUT_WRITE_FAILED', `the output could not be written (${system})`, {
      hint: 'Free some space, or write to another disk.',
      details: { system },
      cause: error,
    });
  }
  if (isTooManyFiles(system)) {
    return new HpsError('FILE_UNREADABLE', `no further file can be opened (${system})`, {
      hint: TOO_MANY_FILES,
      details: { system },
      cause: error,
    });
  }
  return isOclifError(error) ? usageError(error, known) : null;
}

/** The same failure with the flags of the command where core names its options. */
function spelled(error: HpsError, { flags = [], others }: Partial<Vocabulary>): HpsError {
  const names = flags.map((flag) => flag.replace(/^--/, ''));
  const { code, details, cause } = error;
  const hint = error.hint && withFlags(error.hint, names, others);
  return new HpsError(code, withFlags(error.message, names, others), { hint, details, cause });
}

/** What a bug looks like from outside: its kind only, since its message and stack may name folders of this machine. */
export function internalError(error: unknown): HpsError {
  const kind = error instanceof Error ? error.name : typeof error;
  return new HpsError('INTERNAL', `a bug in hpsv3 (${kind})`, {
    hint: 'Run it again with DEBUG=* to see where, and report it.',
    cause: error,
  });
}

export function errorJson({ code, message, hint, details }: HpsError): ErrorJson {
  return { error: { code, message, hint: hint ?? null, details: boundedDetails(details) } };
}

/** Elements of one list, and characters of one string, among an error's details: a file may have put millions there. */
const DETAIL = { elements: 10_000, characters: 10_000 } as const;

function boundedDetails(details: HpsError['details']): HpsError['details'] {
  const bound = (_key: string, value: unknown) => {
    if (typeof value === 'string' && value.length > DETAIL.characters) return `${value.slice(0, DETAIL.characters)}…`;
    if (!Array.isArray(value) || value.length <= DETAIL.elements) return value;
    return [...value.slice(0, DETAIL.elements), `… ${value.length - DETAIL.elements} more`];
  };
  return JSON.parse(JSON.stringify(details, bound));
}

/** The same failure for oclif to print: it sets the exit code in whichever CLI the command runs. */
export function toCliError(error: HpsError): Error {
  const { code, message, hint } = error;
  const lines = message.split('\n').map(printable).join('\n');
  return new Errors.CLIError(lines, { code, exit: exitCodeOf(error), suggestions: hint ? [hint] : [] });
}

/** True for oclif's way of ending a command early (`this.exit(0)`, the end of `--help`), which is no failure. */
export function isExit(error: unknown): boolean {
  return systemErrorCode(error) === 'EEXIT';
}

interface OclifError extends Error {
  oclif: { exit?: number };
  /** Set by NonExistentFlagsError. */
  flags?: unknown;
}

// By shape and not by class: inside another CLI the error may come from that CLI's own copy of oclif.
function isOclifError(error: unknown): error is OclifError {
  return error instanceof Error && typeof (error as Partial<OclifError>).oclif === 'object' && !isExit(error);
}

function usageError(error: OclifError, known: Partial<Vocabulary>): HpsError {
  const together = flagsTogether(error.message);
  if (together) return new HpsError('USAGE', together.message, { hint: together.hint, cause: error });
  const message = withoutFraming(error.message, '$1: ');
  const [flag] = Array.isArray(error.flags) ? error.flags.map(String) : [];
  const hint = suggestion(flag?.split('=')[0], known.flags) ?? nearestValue(message) ?? 'See more with --help.';
  return new HpsError('USAGE', message, { hint, ...(flag && { details: { flag } }), cause: error });
}

const BROKEN_RULES = /^The following errors? occurred:/;

/** What oclif says of flags that are missing, or are not for each other, and how it is said here with what to do. */
const RULES_OF_FLAGS: readonly (readonly [
  RegExp,
  say: (...flags: string[]) => readonly [message: string, hint: string],
])[] = [
  [
    /^(?:All|One) of the following must be provided when using (--\S+): (.+)$/,
    (flag, needed) => [`${flag} needs ${needed}`, `Give ${needed}, or leave ${flag} out.`],
  ],
  [
    /^(--[^\s=]+)(?:=.*)? cannot also be provided when using (--\S+)$/s,
    (other, flag) => [`${flag} and ${other} exclude each other`, 'Leave one of them out.'],
  ],
  [
    /^Exactly one of the following must be provided: (.+)$/,
    (flags) => [`one of ${flags} is missing`, 'Give one of them.'],
  ],
  [/^Missing required flag (?:--)?(\S+)$/, (flag) => [`--${flag} is missing`, 'See more with --help.']],
];

/** All that oclif found wrong with flags beside each other; undefined for errors of another kind, and for words that are not known here. */
function flagsTogether(text: string): { readonly message: string; readonly hint: string } | undefined {
  const plain = withoutFraming(stripVTControlCharacters(text), '');
  if (!BROKEN_RULES.test(plain)) return undefined;
  const found = plain
    .split('\n')
    .slice(1)
    .map((line) => {
      for (const [pattern, say] of RULES_OF_FLAGS) {
        const [, ...flags] = pattern.exec(line.trim()) ?? [];
        if (flags.length > 0) return say(...flags);
      }
      return [line.trim(), 'See more with --help.'] as const;
    });
  const [messages, hints] = [0, 1].map((part) => [...new Set(found.map((each) => each[part]))]);
  return { message: messages.join('; '), hint: hints.join(' ') };
}

/** For a value that is none of its flag's: oclif says so as `Expected --mode=paar to be one of: item, pair, head`. */
function nearestValue(message: string): string | undefined {
  const [, given, options] = /^Expected (?:--[\w-]+=)?(.*) to be one of: (.+)$/s.exec(message) ?? [];
  return suggestion(given, options?.split(', '));
}

/** Without what oclif writes around the message of a flag's parser: `Parsing --seed \n\t…\nSee more help with --help`. */
function withoutFraming(message: string, flag: string): string {
  return message.replace(/^Parsing (--\S+)\s+/, flag).replace(/\s*See more help with --help\s*$/, '');
}

function suggestion(word: string | undefined, known: readonly string[] | undefined): string | undefined {
  const meant = word === undefined || known === undefined ? undefined : suggest(word, known);
  return meant === undefined ? undefined : `Did you mean ${meant}?`;
}
