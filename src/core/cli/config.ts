import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { parseDocument, visit } from 'yaml';
import type { z } from 'zod';
import { isJsonObject, type JsonObject, type JsonValue } from '../bytes/json.js';
import { HpsError, systemErrorCode } from '../errors.js';
import { LIMITS } from '../limits.js';
import { didYouMean } from './suggest.js';
import { type TrainingConfig, trainingConfigSchema } from './training-config.js';

/** What a `--config` file holds. */
export interface ConfigFile {
  /** Base name of the file, for messages. */
  readonly name: string;
  /** As written: the architecture that reads it knows its keys. */
  readonly model: JsonObject | undefined;
  readonly training: TrainingConfig | undefined;
  readonly data: JsonObject | undefined;
  /** Defaults for flags, by the flag's name without dashes. */
  readonly flags: JsonObject;
}

export interface ParseConfigOptions {
  /** Names a `flags` section may use; any other is an error. Without it every name passes. */
  knownFlags?: readonly string[];
}

const SECTIONS = ['model', 'training', 'data', 'flags'];

/**
 * Reads a configuration file: YAML 1.2 or JSON, told apart by neither name nor content since JSON is YAML.
 *
 * @throws HpsError FILE_NOT_FOUND, FILE_UNREADABLE, or CONFIG_INVALID as `parseConfig`
 */
export async function readConfigFile(path: string, options: ParseConfigOptions = {}): Promise<ConfigFile> {
  const name = basename(path);
  return parseConfig(await readBounded(path, name), name, options);
}

/**
 * The sections of a configuration file. A file that names no section is the `model` section, so the `config.json` beside
 * a checkpoint can be used as it is.
 *
 * @throws HpsError CONFIG_INVALID for anything but one plain document of known sections and keys
 */
export function parseConfig(bytes: Uint8Array, name: string, options: ParseConfigOptions = {}): ConfigFile {
  const root = asObject(parseYaml(bytes, name), name, 'the file');
  if (!SECTIONS.some((section) => Object.hasOwn(root, section))) {
    return { name, model: root, training: undefined, data: undefined, flags: {} };
  }
  for (const key of Object.keys(root)) {
    if (!SECTIONS.includes(key)) throw unknownKey(name, key, SECTIONS);
  }
  const section = (key: string) => (root[key] === undefined ? undefined : asObject(root[key], name, key));
  const training = section('training');
  return {
    name,
    model: section('model'),
    training: training && parseTraining(training, name),
    data: section('data'),
    flags: parseFlags(section('flags') ?? {}, name, options.knownFlags),
  };
}

async function readBounded(path: string, name: string): Promise<Uint8Array> {
  try {
    const file = await open(path);
    try {
      // One byte more than allowed tells a file that is too long, and a pipe or device cannot grow past it.
      const buffer = new Uint8Array(LIMITS.configBytes + 1);
      let length = 0;
      while (length < buffer.length) {
        const { bytesRead } = await file.read(buffer, length, buffer.length - length);
        if (bytesRead === 0) break;
        length += bytesRead;
      }
      return buffer.subarray(0, length);
    } finally {
      await file.close();
    }
  } catch (error) {
    const system = systemErrorCode(error);
    if (system === undefined) throw error;
    const missing = system === 'ENOENT' || system === 'ENOTDIR';
    throw new HpsError(missing ? 'FILE_NOT_FOUND' : 'FILE_UNREADABLE', `${name}: cannot be read (${system})`, {
      hint: 'Check the path given to --config.',
      details: { file: name, system },
      cause: error,
    });
  }
}

function parseYaml(bytes: Uint8Array, name: string): JsonValue {
  if (bytes.byteLength > LIMITS.configBytes) throw invalid(name, `is longer than ${LIMITS.configBytes} bytes`);
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    const document = parseDocument(text, { version: '1.2', schema: 'core', merge: false, uniqueKeys: true });
    const [problem] = [...document.errors, ...document.warnings]; // an unknown tag is only a warning there
    if (problem) throw invalid(name, problem.message.split('\n')[0].replace(/:$/, ''));
    visit(document, {
      Alias: () => {
        throw invalid(name, 'aliases (*name) are not supported');
      },
    });
    return asJson(document.toJS(), name, 0);
  } catch (error) {
    if (error instanceof HpsError) throw error;
    if (error instanceof RangeError) throw invalid(name, `nests deeper than ${LIMITS.jsonDepth} levels`); // the parser's stack
    if (error instanceof TypeError) throw invalid(name, 'is not UTF-8 text');
    throw error;
  }
}

/** `value` itself once it is proven to be JSON: YAML also knows infinities, dates and sets. */
function asJson(value: unknown, name: string, depth: number): JsonValue {
  if (depth > LIMITS.jsonDepth) throw invalid(name, `nests deeper than ${LIMITS.jsonDepth} levels`);
  if (typeof value === 'number' && !Number.isFinite(value)) throw invalid(name, `${value} is not a usable number`);
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) asJson(inner, name, depth + 1);
  }
  return value as JsonValue;
}

function asObject(value: JsonValue, name: string, what: string): JsonObject {
  if (isJsonObject(value)) return value;
  throw invalid(name, `${what} must be a mapping of keys to values`);
}

function parseTraining(section: JsonObject, name: string): TrainingConfig {
  const result = trainingConfigSchema.safeParse(section);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  if (issue.code === 'unrecognized_keys') {
    throw unknownKey(name, `training.${issue.keys[0]}`, Object.keys(trainingConfigSchema.shape));
  }
  throw invalid(name, `training.${issue.path.join('.')}: ${describeIssue(issue)}`);
}

const describeIssue = (issue: z.core.$ZodIssue): string => issue.message.replace(/^Invalid input: /, '');

/** `batch_size` is read as the flag `batch-size`, so that a file may keep one spelling throughout. */
function parseFlags(section: JsonObject, name: string, known: readonly string[] | undefined): JsonObject {
  const entries = Object.entries(section).map(([key, value]): [string, JsonValue] => {
    const flag = key.replaceAll('_', '-');
    if (known && !known.includes(flag)) throw unknownKey(name, `flags.${key}`, known);
    return [flag, value];
  });
  return Object.fromEntries(entries);
}

function unknownKey(name: string, key: string, known: readonly string[]): HpsError {
  const word = key.slice(key.lastIndexOf('.') + 1);
  return new HpsError('CONFIG_INVALID', `${name}: unknown key ${key}`, {
    hint: didYouMean(word, known),
    details: { file: name, key, known },
  });
}

function invalid(name: string, rule: string): HpsError {
  return new HpsError('CONFIG_INVALID', `${name}: ${rule}`, {
    hint: 'Write one plain YAML 1.2 or JSON document with the sections model, training, data, flags.',
    details: { file: name },
  });
}
