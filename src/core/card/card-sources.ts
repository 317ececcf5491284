import { basename } from 'node:path';
import { hashFile } from '../bytes/hash.js';
import { type JsonValue, parseJson } from '../bytes/json.js';
import { readTextFile } from '../bytes/yaml.js';
import { parseDocument as parseDefined } from '../documents/define.js';
import { readWhole } from '../documents/read-whole.js';
import { HpsError } from '../errors.js';
import { explanationDocument } from '../explanation/document.js';
import { LIMITS } from '../limits.js';
import { manifestOf } from '../onnx/manifest.js';
import { openOnnx } from '../onnx/read.js';
import { numel } from '../tensor/shape.js';
import type { BoundFile, CardFacts, FileRole, ModelFacts } from './card-facts.js';
import { parseCardText, parseDataText } from './card-text.js';
import { type Evaluation, parseDocument } from './documents.js';
import { type RawExample, readExamples } from './examples.js';
import type { CardSources } from './gather-facts.js';

/** A bound file, and where it lies on this machine; null where it is not here. */
export interface LocatedFile {
  readonly bound: BoundFile;
  readonly at: string | null;
}

/** Reads a report. @throws HpsError FILE_NOT_FOUND, FILE_UNREADABLE, CONFIG_INVALID for what is no JSON or too long for one of ours */
export function readReport(path: string): JsonValue {
  const { name, bytes } = readWhole(path, { limit: LIMITS.reportBytes, what: 'a report' });
  return parseJson(bytes, { name });
}

/** Binds a file by its hash, before anybody has said where it will lie. */
export async function bindFile(
  role: FileRole,
  path: string,
  number: number,
  signal?: AbortSignal,
): Promise<LocatedFile> {
  const { sha256, byteLength } = await hashFile(path, { signal });
  const bound = { id: `${role}-${number}`, role, name: basename(path), sha256, bytes: byteLength, path: null };
  return { bound, at: path };
}

/** What of a bound evaluation leads to other files, by the role of each. */
export const inputRoles = ({ inputs }: Evaluation) =>
  (
    [
      ['scores', inputs.scores],
      ['labels', inputs.labels],
      ['calibrator', inputs.calibrator],
      ['baseline', inputs.baseline],
    ] as const
  ).flatMap(([role, input]) => (input === null ? [] : [{ role, ...input }]));

/** Paths of a model's external data. */
export function externalDataOf(model: string): string[] {
  const opened = openOnnx(model);
  try {
    return opened.externalFiles.map(({ path }) => path);
  } finally {
    opened.close();
  }
}

/** What a model says of itself. @throws HpsError as `openOnnx` */
export function readModelFacts(path: string, files: readonly BoundFile[]): ModelFacts {
  const opened = openOnnx(path);
  try {
    const { model, source } = opened;
    const manifest = manifestOf(model, source.name);
    const bound = files.find(({ role }) => role === 'model')!;
    const external = files.filter(({ role }) => role === 'external-data');
    const counts = new Map<string, number>();
    for (const { opType = '' } of model.graph.node) counts.set(opType, (counts.get(opType) ?? 0) + 1);
    const calibrator = manifest?.calibrator;
    return {
      file: bound.name,
      sha256: bound.sha256,
      bytes: external.reduce((sum, { bytes }) => sum + bytes, bound.bytes),
      externalData: external.map(({ name, sha256, bytes }) => ({ name, sha256, bytes })),
      opset: model.opsetImport.find(({ domain }) => !domain || domain === 'ai.onnx')?.version ?? 0,
      nodes: model.graph.node.length,
      parameters: model.graph.initializer.reduce((sum, { dims }) => sum + numel(dims), 0),
      operators: Object.fromEntries([...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))),
      architecture: manifest?.architecture ?? null,
      modality: manifest?.modality ?? null,
      mode: manifest?.mode ?? null,
      dtype: manifest?.dtype ?? null,
      decision: manifest?.decision ?? null,
      inputs: manifest?.inputs ?? [],
      outputs: manifest?.outputs ?? [],
      session: manifest?.session ?? {},
      embeddedCalibrator: calibrator
        ? {
            method: calibrator.method,
            n: calibrator.n,
            clusters: calibrator.clusters,
            dataSha256: calibrator.dataSha256,
            parameters: calibrator.parameters,
            band: calibrator.band,
          }
        : null,
      lineage: manifest?.lineage ?? [],
    };
  } finally {
    opened.close();
  }
}

export interface AssembleOptions {
  readonly tool: string;
  readonly scorer: string | undefined;
  readonly pictures: CardFacts['pictures'];
  /** Stands for a model that is not here. */
  readonly knownModel: ModelFacts | null;
  /** Whether rows that lie in the card's folder are shown as examples. */
  readonly examples: boolean;
}

/**
 * Reads what a card is made from out of its bound files.
 *
 * @throws HpsError FILE_NOT_FOUND for a report that is not here; CONFIG_INVALID for one that is none; as `openOnnx` for the model
 */
export async function assembleSources(
  located: readonly LocatedFile[],
  { tool, scorer, pictures, knownModel, examples }: AssembleOptions,
): Promise<CardSources> {
  const files = located.map(({ bound }) => bound);
  const having = (role: FileRole) => located.filter(({ bound }) => bound.role === role);
  const one = async <T>(role: FileRole, read: (file: string, path: string) => Promise<T>): Promise<T | null> => {
    const [first] = having(role);
    return first === undefined ? null : read(first.bound.id, here(first));
  };
  const evaluations: CardSources['evaluations'][number][] = [];
  for (const file of having('evaluation')) {
    const report = parseDocument('evaluation', readReport(here(file)), file.bound.name);
    evaluations.push({ file: file.bound.id, report, from: boundInputs(report, files) });
  }
  const document = (kind: 'quantization' | 'export' | 'profile') =>
    one(kind, async (file, path) => ({ file, report: parseDocument(kind, readReport(path), basename(path)) }));
  const model = having('model').find(({ at }) => at !== null);
  return {
    tool,
    scorer,
    pictures,
    files,
    evaluations,
    examples: examples ? await examplesOf(evaluations[0], located) : [],
    model: model ? readModelFacts(here(model), files) : knownModel,
    calibration: await one('calibrator', async (file, path) => ({
      file,
      report: parseDocument('calibrator', readReport(path), basename(path)),
    })),
    quantization: (await document('quantization')) as CardSources['quantization'],
    export: (await document('export')) as CardSources['export'],
    profile: (await document('profile')) as CardSources['profile'],
    explanation: await one('explanation', async (file, path) => ({
      file,
      report: parseDefined(explanationDocument, readReport(path), basename(path)),
    })),
    text:
      (await one('card', async (_, path) => parseCardText(await readTextFile(path, CHECK_PATH), basename(path)))) ?? {},
    datasets:
      (await one('data', async (_, path) => parseDataText(await readTextFile(path, CHECK_PATH), basename(path)))) ?? [],
  };
}

/** Of the rows that an evaluation was computed from, where they are in the card's folder for everybody to read. */
async function examplesOf(
  evaluation: CardSources['evaluations'][number] | undefined,
  located: readonly LocatedFile[],
): Promise<RawExample[]> {
  const path = (role: FileRole) =>
    located.find(
      ({ bound, at }) => bound.role === role && evaluation?.from.includes(bound.id) && bound.path !== null && at,
    )?.at;
  const [scores, labels] = [path('scores'), path('labels')];
  return evaluation && scores && labels ? readExamples({ scores, labels }, evaluation.report.kind) : [];
}

const CHECK_PATH = 'Check the path.';

/** Ids of the bound files that an evaluation was computed from, in the order of its inputs. */
const boundInputs = (report: Evaluation, files: readonly BoundFile[]): string[] =>
  inputRoles(report).flatMap(({ role, sha256 }) => {
    const file = files.find((one) => one.role === role && one.sha256 === sha256);
    return file ? [file.id] : [];
  });

function here({ bound, at }: LocatedFile): string {
  if (at !== null) return at;
  throw new HpsError('FILE_NOT_FOUND', `${bound.name}: no such file`, {
    hint: 'Give the folder it lies in with `files`.',
    details: { file: bound.name, sha256: bound.sha256 },
  });
}
