import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cardFolder, readCardFacts } from '../../card/read-card.js';
import { DEFAULT_DEVICE } from '../../defaults.js';
import { HpsError, systemErrorCode } from '../../errors.js';
import { assertRecorded } from '../../gate/recorded-start.js';
import type { Run } from '../../run.js';
import { type Device, parseDevice } from '../../runtime/device.js';
import { readTls, stopped, type Tls, urlOf } from '../../serving/http.js';
import { createLog, type LOG_LEVELS, type ServerLog } from '../../serving/log.js';
import type { FileSource } from '../../serving/model.js';
import { type RewardServer, type ServerOptions, startServer } from '../../serving/server.js';
import { readTokens } from '../../serving/tokens.js';

export interface ServeOptions extends Run, Omit<ServerOptions, 'log' | 'onWarning' | 'tokens' | 'tls' | 'models'> {
  readonly models: readonly FileSource[];
  /** Folder of which models may be loaded later; where none is named, every one of it is served, by its name without `.onnx`. */
  readonly modelFolder?: string;
  /** Folder of a card: a model that is in it must be the very file it describes. */
  readonly card?: string;
  /** Files of scores that were recorded of the models (`export` and `verify` write them): nothing is served where one moved. */
  readonly recorded?: readonly string[];
  /** Path of a token file. */
  readonly tokens?: string;
  /** Paths of PEM files. */
  readonly tls?: Tls;
  /** Takes what is to be done when the token file has changed. */
  readonly onHangup?: (listener: () => void) => void;
  readonly host: string;
  readonly port: number;
  readonly logLevel: (typeof LOG_LEVELS)[number];
  /** Seconds between saying that it is not ready and taking no more requests. */
  readonly drainDelay: number;
  /** Called once it takes requests. */
  readonly onListening?: (address: ServeAddress) => void;
}

export interface ServeAddress {
  readonly url: string;
  readonly models: readonly { readonly name: string; readonly sha256: string }[];
}

export interface ServeReport extends ServeAddress {
  readonly seconds: number;
}

const STANDARD_ERROR = 2;

/**
 * Serves models until the signal stops it; then every request it has taken is answered before it ends.
 * @throws HpsError as `startServer`; USAGE for an address that cannot be listened on
 */
export async function serve(options: ServeOptions): Promise<ServeReport> {
  const {
    host,
    port,
    logLevel,
    drainDelay,
    signal,
    onListening,
    onHangup,
    tokens,
    tls,
    card,
    recorded = [],
    ...rest
  } = options;
  const started = performance.now();
  const log = createLog(logLevel, STANDARD_ERROR);
  const models = withHashes(allModels(options), card);
  await assertRecorded(
    models.map(({ file }) => file),
    recorded,
    { device: deviceOf(options), threads: THREADS, optimization: options.optimization, signal },
  );
  const server = await startServer({
    ...rest,
    models,
    tokens: tokens === undefined ? undefined : readTokens(tokens),
    tls: tls && readTls(tls),
    log,
  });
  if (tokens !== undefined) onHangup?.(() => readTokensAgain(server, tokens, log));
  try {
    signal?.throwIfAborted();
    const address = { url: urlOf(await server.listen({ host, port }), tls), models: server.models };
    log.info(address, 'listening');
    onListening?.(address);
    await stopped(signal);
    server.drain();
    log.info({}, 'draining');
    await sleep(1000 * drainDelay);
    return { ...address, seconds: (performance.now() - started) / 1000 };
  } finally {
    await server.close();
    log.info({}, 'ended');
  }
}

/** Inside one operator: batches run side by side instead. */
const THREADS = 1;

/** @throws HpsError USAGE for `auto`, of which nobody knows what it is before a model is loaded */
function deviceOf({ device = DEFAULT_DEVICE, recorded = [] }: ServeOptions): Device | undefined {
  const chosen = parseDevice(device);
  if (chosen.kind !== 'auto') return chosen;
  if (recorded.length === 0) return undefined;
  throw new HpsError('USAGE', '`device` auto: recorded scores need to know where they run', {
    hint: 'Name cpu, webgpu or cuda:N.',
  });
}

/** The models named; where none are, every one of the folder. @throws HpsError USAGE where there is none */
function allModels({ models, modelFolder }: ServeOptions): readonly FileSource[] {
  if (models.length > 0) return models;
  const files = modelFolder === undefined ? [] : onnxFiles(modelFolder);
  if (files.length > 0) return files.map((file) => ({ name: basename(file, '.onnx'), file }));
  throw new HpsError('USAGE', 'there is no model to serve', { hint: 'Give `model` FILE.onnx, or `models` FOLDER.' });
}

function onnxFiles(folder: string): string[] {
  const names = readFolder(folder).filter((name) => name.endsWith('.onnx'));
  return names.sort().map((name) => join(folder, name));
}

function readFolder(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (cause) {
    const system = systemErrorCode(cause);
    throw new HpsError('FILE_NOT_FOUND', `${basename(folder)}: is no folder that can be read (${system})`, {
      hint: 'Give `models` a folder of .onnx files.',
      details: { file: basename(folder) },
      cause,
    });
  }
}

/** With the hashes that a card states: by the file's name, or of the one model there is. */
function withHashes(models: readonly FileSource[], card: string | undefined): FileSource[] {
  if (card === undefined) return [...models];
  const { model: described } = readCardFacts(cardFolder(card));
  if (!described) {
    throw new HpsError('CONFIG_INVALID', `${basename(card)}: its card describes scores, and no model file`, {
      hint: 'Give the card of the model that is served.',
    });
  }
  const { file: name, sha256 } = described;
  const own = models.filter(({ file }) => basename(file) === name);
  const bound = own.length > 0 ? own : models.slice(0, 1);
  return models.map((model) => (bound.includes(model) ? { ...model, sha256 } : model));
}

function readTokensAgain(server: RewardServer, path: string, log: ServerLog): void {
  try {
    const entries = readTokens(path);
    server.replaceTokens(entries);
    log.info({ tokens: entries.map(({ name }) => name) }, 'tokens read again');
  } catch (error) {
    log.error({ err: error }, 'the token file cannot be read: the tokens before it stay');
  }
}
