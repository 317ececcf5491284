import { basename } from 'node:path';
import { ARCHITECTURES } from '../architectures/registry.js';
import { isJsonObject, type JsonObject, type JsonValue } from '../bytes/json.js';
import { didYouMean } from '../bytes/suggest.js';
import { parseYaml, readTextFile } from '../bytes/yaml.js';
import { HpsError } from '../errors.js';
import { type TrainingSettings, trainingConfigSchema } from '../training/run/config.js';
import type * as z from '../zod.js';
import { onlySaidHere, saidHereRule } from './said-here.js';

/** What a `--config` file holds. */
export interface ConfigFile {
  /** Base name of the file, for messages. */
  readonly name: string;
  /** As written: the architecture that reads it knows its keys. */
  readonly model: JsonObject | undefined;
  /** As written: what is left out has the defaults of the verb that reads it. */
  readonly training: TrainingSettings | undefined;
  readonly data: JsonObject | undefined;
  /** Defaults for flags, by the flag's name without dashes. */
  readonly flags: JsonObject;
}

export interface ParseConfigOptions {
  /** Names a `flags` section may use; any other is an error. Without it every name passes. */
  knownFlags?: readonly string[];
}

const HINT = 'Write one plain YAML 1.2 or JSON document with the sections model, training, data, flags.';
const SECTIONS = ['model', 'training', 'data', 'flags'];

/**
 * Reads a configuration file: YAML 1.2 or JSON, told apart by neither name nor content since JSON is YAML.
 *
 * @throws HpsError FILE_NOT_FOUND, FILE_UNREADABLE, or CONFIG_INVALID as `parseConfig`
 */
export async function readConfigFile(path: string, options: ParseConfigOptions = {}): Promise<ConfigFile> {
  const name = basename(path);
  return parseConfig(await readTextFile(path, 'Check the path given to --config.'), name, options);
}

/**
 * The sections of a configuration file. A file that names no section is the `model` section, so the `config.json` beside
 * a checkpoint can be used as it is.
 *
 * @throws HpsError CONFIG_INVALID for anything but one plain document of known sections and keys
 */
export function parseConfig(bytes: Uint8Array, name: string, options: ParseConfigOptions = {}): ConfigFile {
  const root = asObject(parseYaml(bytes, { name, hint: HINT }), name, 'the file');
  if (!SECTIONS.some((section) => Object.hasOwn(root, section))) {
    return { name, model: root, training: undefined, data: undefined, flags: {} };
  }
  for (const key of Object.keys(root)) {
    if (!SECTIONS.includes(key)) throw unknownKey(name, key, SECTIONS);
  }
  const section = (key: string) => (root[key] === undefined ? undefined : asObject(root[key], name, key));
  const training = section('training');
  const model = section('model');
  if (model) checkModel(model, name);
  return {
    name,
    model,
    training: training && checkTraining(training, name),
    data: section('data'),
    flags: parseFlags(section('flags') ?? {}, name, options.knownFlags),
  };
}

function asObject(value: JsonValue, name: string, what: string): JsonObject {
  if (isJsonObject(value)) return value;
  throw invalid(name, `${what} must be a mapping of keys to values`);
}

/** Of a file without sections this is not asked: a config.json holds keys of other tools. */
function checkModel(section: JsonObject, name: string): void {
  const known = [...new Set(ARCHITECTURES.flatMap(({ configKeys = [] }) => configKeys))];
  const unknown = Object.keys(section).find((key) => !known.includes(key));
  if (unknown !== undefined) throw unknownKey(name, `model.${unknown}`, known);
}

function checkTraining(section: JsonObject, name: string): TrainingSettings {
  const result = trainingConfigSchema.safeParse(section);
  if (result.success) return section as TrainingSettings;
  const [issue] = result.error.issues;
  if (issue.code === 'unrecognized_keys') {
    throw unknownKey(name, `training.${issue.keys[0]}`, Object.keys(trainingConfigSchema.shape));
  }
  throw invalid(name, `training.${issue.path.join('.')}: ${describeIssue(issue)}`);
}

const describeIssue = (issue: z.core.$ZodIssue): string => issue.message.replace(/^Invalid input: /, '');

/**
 * `batch_size` is read as the flag `batch-size`, so that a file may keep one spelling throughout. What may only be said on the command
 * line is refused whichever command reads the file.
 */
function parseFlags(section: JsonObject, name: string, known: readonly string[] | undefined): JsonObject {
  const entries = Object.entries(section).map(([key, value]): [string, JsonValue] => {
    const flag = key.replaceAll('_', '-');
    if (known && !known.includes(flag)) throw unknownKey(name, `flags.${key}`, known);
    const reason = onlySaidHere(flag, value);
    if (reason !== null) {
      throw new HpsError('CONFIG_INVALID', `${name}: flags.${key}: ${saidHereRule(flag, reason)}`, {
        hint: `Take ${key} out of the file, and give it on the command line if you mean it.`,
        details: { file: name, key: `flags.${key}` },
      });
    }
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
    hint: HINT,
    details: { file: name },
  });
}
