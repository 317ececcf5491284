import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { isJsonObject, type JsonObject, type JsonValue } from '../bytes/json.js';
import { didYouMean } from '../bytes/suggest.js';
import { parseYaml, readTextFile } from '../bytes/yaml.js';
import { HpsError } from '../errors.js';
import { onlySaidHere, saidHereRule } from './said-here.js';

const HINT = 'Write one option a line: `model: weights/model.onnx`, `device: cpu`, `batch-size: 16`.';
/** Options whose values are paths: they start at the folder of the configuration. */
const PATHS = new Set(['model', 'calibrator']);

/**
 * What `hpsv3_config.yaml` says for a command: arguments by the name of their flag. Keys are names of flags, with `_` for `-` where one
 * likes; one that only other commands have is passed over.
 *
 * @param manifest - path of oclif.manifest.json, which lists the flags of commands
 * @throws HpsError FILE_NOT_FOUND, CONFIG_INVALID for what is no such file, names an unknown option, or sets what only a command line may
 */
export async function configuredArguments(
  file: string,
  command: string,
  manifest: string,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const name = basename(file);
  const root = parseYaml(await readTextFile(file, 'Check the path of the configuration.'), { name, hint: HINT });
  if (!isJsonObject(root)) throw invalid(name, 'must be a mapping of options to values');
  const { commands } = JSON.parse(readFileSync(manifest, 'utf8')) as {
    commands: Record<string, { flags: JsonObject }>;
  };
  const known = [...new Set(Object.values(commands).flatMap(({ flags }) => Object.keys(flags)))];
  const found = Object.entries(root).flatMap(([key, value]): [string, string[]][] => {
    const flag = key.replaceAll('_', '-');
    if (!known.includes(flag)) throw invalid(name, `unknown key ${key}`, didYouMean(key, known));
    const reason = onlySaidHere(flag, value);
    if (reason !== null) throw invalid(name, `${key}: ${saidHereRule(flag, reason)}`);
    const definition = commands[command]?.flags[flag];
    if (!isJsonObject(definition)) return [];
    return [[flag, argumentsOf(flag, value, definition, { name, command, folder: dirname(resolve(file)) })]];
  });
  return new Map(found);
}

function argumentsOf(
  flag: string,
  value: JsonValue,
  definition: JsonObject,
  { name, command, folder }: { readonly name: string; readonly command: string; readonly folder: string },
): string[] {
  if (definition['type'] === 'boolean') return value === true ? [`--${flag}`] : [];
  const values = [isJsonObject(value) ? value['path'] : value].flat();
  if (values.length > 1 && !definition['multiple']) throw several(command, flag, values);
  return values.flatMap((one) => {
    if (typeof one !== 'string' && typeof one !== 'number') throw invalid(name, `${flag}: expected one text or number`);
    return [`--${flag}`, PATHS.has(flag) ? resolve(folder, String(one)) : String(one)];
  });
}

/** The folder of a release that a program lies in, three folders up; null for a program that is installed. */
export function releaseFolder(program: string): string | null {
  const folder = resolve(dirname(program), '../../..');
  return isRelease(folder) ? folder : null;
}

export const isRelease = (folder: string): boolean => existsSync(resolve(folder, 'bundle.json'));

const several = (command: string, flag: string, values: readonly (JsonValue | undefined)[]): HpsError =>
  new HpsError('USAGE', `${command} takes one ${flag}, and the configuration has ${values.length}`, {
    hint: `Give --${flag} with one of ${values.join(', ')}; batch and serve take them all.`,
  });

const invalid = (file: string, rule: string, hint = HINT): HpsError =>
  new HpsError('CONFIG_INVALID', `${file}: ${rule}`, { hint, details: { file } });
