import { basename } from 'node:path';
import type { Interfaces } from '@oclif/core';
import type { JsonValue } from '../bytes/json.js';
import { HpsError } from '../errors.js';
import type { ConfigFile } from './config.js';
import { onlySaidHere, saidHereRule } from './said-here.js';

type FlagDefinition = Interfaces.BooleanFlag<unknown> | Interfaces.OptionFlag<unknown>;
type AnyInput = { flags?: Record<string, unknown>; baseFlags?: unknown; enableJsonFlag?: boolean };

const TRUE_WORDS = new Set(['1', 'true', 'yes', 'y', 'on']);
const FALSE_WORDS = new Set(['0', 'false', 'no', 'n', 'off']);

/** The environment variable behind a flag: `--batch-size` reads `HPSV3_BATCH_SIZE`. */
export function environmentName(flag: string): string {
  return `HPSV3_${flag.toUpperCase().replaceAll('-', '_')}`;
}

/** The file given by `--config FILE`, `--config=FILE` or `HPSV3_CONFIG`; found before parsing, since it holds defaults for it. */
export function configPath(argv: readonly string[], env: NodeJS.ProcessEnv = process.env): string | undefined {
  const end = argv.indexOf('--');
  const flags = end < 0 ? argv : argv.slice(0, end);
  const index = flags.findLastIndex((arg) => arg === '--config' || arg.startsWith('--config='));
  if (index < 0) return env[environmentName('config')] || undefined;
  return flags[index] === '--config' ? flags[index + 1] : flags[index].slice('--config='.length);
}

/**
 * The same flags with values from the environment, else from the configuration file, as defaults: a given flag wins. What may only be
 * said on the command line is refused.
 *
 * @throws HpsError USAGE for an environment variable, CONFIG_INVALID for a file entry, of the wrong type
 */
export async function withFallbackValues<Input extends AnyInput>(
  input: Input,
  context: unknown,
  file: ConfigFile | undefined,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Input> {
  const flags: Record<string, unknown> = { ...(input.baseFlags as object | undefined), ...input.flags };
  for (const [name, flag] of Object.entries(flags) as [string, FlagDefinition][]) {
    const names = [name, ...(flag.aliases ?? [])];
    const variable = names.map(environmentName).find((one) => env[one]);
    const key = names.find((one) => file && Object.hasOwn(file.flags, one));
    if (variable !== undefined) {
      const reason = onlySaidHere(name, env[variable]!);
      if (reason !== null) throw environmentRefusal(variable)(saidHereRule(name, reason));
      flags[name] = { ...flag, default: await readValue(flag, env[variable]!, context, environmentRefusal(variable)) };
    } else if (file && key !== undefined) {
      flags[name] = { ...flag, default: await readValue(flag, file.flags[key], context, fileRefusal(file, key)) };
    } else if (flag.type === 'boolean' && flag.default === undefined) {
      flags[name] = { ...flag, default: false }; // oclif would leave it undefined, whatever its types say
    }
  }
  // A command class is its own parse input, and a spread does not see what it inherits.
  return { ...input, flags, baseFlags: input.baseFlags, enableJsonFlag: input.enableJsonFlag };
}

type Refusal = (rule: string) => HpsError;

const environmentRefusal =
  (variable: string): Refusal =>
  (rule) =>
    new HpsError('USAGE', `environment variable ${variable}: ${rule}`, {
      hint: `Correct ${variable}, or unset it.`,
      details: { variable },
    });

const fileRefusal =
  (file: ConfigFile, name: string): Refusal =>
  (rule) =>
    new HpsError('CONFIG_INVALID', `${basename(file.name)}: flags.${name}: ${rule}`, {
      hint: `Correct ${name} in the flags section.`,
      details: { key: `flags.${name}` },
    });

async function readValue(flag: FlagDefinition, value: JsonValue, context: unknown, refuse: Refusal): Promise<unknown> {
  if (flag.type === 'boolean') return readBoolean(value, refuse);
  if (!flag.multiple) return readOption(flag, value, context, refuse);
  const values = Array.isArray(value) ? value : [value];
  return Promise.all(values.map((one) => readOption(flag, one, context, refuse)));
}

function readBoolean(value: JsonValue, refuse: Refusal): boolean {
  if (typeof value === 'boolean') return value;
  const word = typeof value === 'string' ? value.toLowerCase() : '';
  if (TRUE_WORDS.has(word)) return true;
  if (FALSE_WORDS.has(word)) return false;
  throw refuse(`expected true or false, got ${JSON.stringify(value)}`);
}

async function readOption(
  flag: Interfaces.OptionFlag<unknown>,
  value: JsonValue,
  context: unknown,
  refuse: Refusal,
): Promise<unknown> {
  if (typeof value !== 'string' && typeof value !== 'number') {
    throw refuse(`expected one text or number, got ${JSON.stringify(value)}`);
  }
  const text = String(value);
  if (flag.options && !flag.options.includes(text)) {
    throw refuse(`expected one of ${flag.options.join(', ')}, got ${text}`);
  }
  try {
    return await flag.parse(text, context as never, flag as never);
  } catch (error) {
    throw refuse((error as Error).message);
  }
}
