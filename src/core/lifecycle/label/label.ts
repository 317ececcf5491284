import { existsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { withLockedFolder } from '../../bytes/folder-lock.js';
import { checkOutput, withAtomicOutput } from '../../bytes/output.js';
import { Random } from '../../bytes/random.js';
import { rowsWarnings } from '../../data/row-counts.js';
import { STANDARD_STREAM, type StandardStreams } from '../../data/row-files.js';
import type { PairRow } from '../../data/rows.js';
import { DEFAULT_SEED, type Filled, filled } from '../../defaults.js';
import { readWhole } from '../../documents/read-whole.js';
import { HpsError } from '../../errors.js';
import { consentOf } from '../../labelling/consent.js';
import { Desk } from '../../labelling/desk.js';
import { EXPORT_TYPES, EXPORTS, type ExportName, judgedPairs, writeExport } from '../../labelling/exports.js';
import { sessionFigures } from '../../labelling/figures.js';
import {
  FILES,
  type LabelSettings,
  type LeftOutByFile,
  prepareFolder,
  readFolderPairs,
  readKey,
  readPairs,
  readQueue,
  readSettings,
  writeExports,
  writePairs,
  writeSettings,
} from '../../labelling/folder.js';
import { type AdminDesk, LabelServer } from '../../labelling/label-server.js';
import { packPage } from '../../labelling/offline.js';
import { assertUnchanged, goldAnswer } from '../../labelling/pairs.js';
import { Raters } from '../../labelling/raters.js';
import { Session } from '../../labelling/session.js';
import { Shelf } from '../../labelling/shelf.js';
import { readVotes, VoteLog } from '../../labelling/vote-log.js';
import type { SessionFigures } from '../../labelling/wire.js';
import { LIMITS } from '../../limits.js';
import { type RemoteOptions, RemoteStore } from '../../media/remote/store.js';
import type { Run } from '../../run.js';
import { readTls, stopped, type Tls, urlOf } from '../../serving/http.js';
import { createLog, type LOG_LEVELS } from '../../serving/log.js';

export interface LabelOptions extends Run {
  /** Rows of pairs; undefined goes on with those of `out`. */
  readonly pairs?: string;
  /** Folder of the session: votes, and what is made of them. */
  readonly out: string;
  /** This many raters, each by a link of its own, each pair with its raters from the start where a design fits. */
  readonly raters?: number;
  /** Raters come by links that the page of the administrator makes. */
  readonly invite?: boolean;
  readonly votesPerPair?: number;
  /** Rows whose labels are the answer. */
  readonly gold?: string;
  readonly goldShare?: number;
  /** Share of questions that are asked again with the sides swapped. */
  readonly repeatShare?: number;
  /** Queue of `hpsv3 select`: these pairs alone, in this order. */
  readonly by?: string;
  /** What is asked instead of what the rows say. */
  readonly question?: string;
  /** File of the text that raters agree to before they begin. */
  readonly consent?: string;
  readonly seed?: number;
  readonly mediaRoot?: string;
  readonly remote?: RemoteOptions;
  readonly host?: string;
  readonly port?: number;
  /** Paths of PEM files. */
  readonly tls?: Tls;
  readonly logLevel?: (typeof LOG_LEVELS)[number];
  readonly streams?: StandardStreams;
  /** File to write instead: page, pairs and media in one, for raters without a connection. Their votes come back by `mergeLabels`. */
  readonly offline?: string;
  readonly force?: boolean;
  /** Called once raters can come. */
  readonly onListening?: (address: LabelAddress) => void;
}

export const LABEL_DEFAULTS = {
  invite: false,
  votesPerPair: 5,
  goldShare: 0.05,
  repeatShare: 0.03,
  seed: DEFAULT_SEED,
  host: '127.0.0.1',
  port: 0,
  logLevel: 'warn',
  force: false,
} as const satisfies Partial<LabelOptions>;

type Settled = Filled<LabelOptions, typeof LABEL_DEFAULTS>;

export interface LabelAddress {
  readonly url: string;
  /** Lets one administrator in, once. */
  readonly admin: string;
  /** One for each rater who has not come yet, each good once; none where everybody may take part. */
  readonly raters: readonly { readonly rater: string; readonly url: string }[];
}

export interface LabelReport {
  /** Where it was; null for a session that is only packed into a file. */
  readonly url: string | null;
  /** Pairs in that file. */
  readonly packed?: number;
  readonly figures: SessionFigures;
  /** Pairs that could not be shown, and why. */
  readonly withdrawn: Readonly<Record<string, string>>;
  /** Files of labels, and what some of them have no place for. */
  readonly files: readonly string[];
  readonly leftOut: LeftOutByFile;
  readonly warnings: readonly string[];
}

const STANDARD_ERROR = 2;

/**
 * Collects votes on pairs until the signal stops it. Every vote that a page was told of is on disk, and a session that ended, in
 * whatever way, goes on in its folder.
 * @throws HpsError DATA_INVALID for rows that are none, or not those the session has votes on; CHECKSUM_MISMATCH for a log of votes
 *   that somebody changed; OUTPUT_BUSY where another process has the folder; USAGE for an address that cannot be listened on, or
 *   that others can reach where everybody may take part
 */
export async function collectLabels(given: LabelOptions): Promise<LabelReport> {
  const options = filled(given, LABEL_DEFAULTS);
  return withLockedFolder(options.out, () => collect(options));
}

async function collect(options: Settled): Promise<LabelReport> {
  const { out, signal, onListening, onWarning } = options;
  const warnings: string[] = [];
  const warn = (warning: string): void => {
    warnings.push(warning);
    onWarning?.(warning);
  };
  const opened = await openFolder(options, warn);
  const { settings, pairs, gold, order, votes } = opened;
  const session = new Session({
    pairs: order,
    gold,
    votesPerPair: settings.votes_per_pair,
    goldShare: gold.length > 0 ? settings.gold_share : 0,
    repeatShare: settings.repeat_share,
    seed: settings.seed,
    key: readKey(out),
    raters: settings.raters ?? undefined,
  });
  for (const vote of votes.votes) session.apply(vote);
  if (options.offline !== undefined)
    return packOffline(options.offline, options, session, opened.pairs, settings, warnings, warn);
  const log = createLog(options.logLevel, STANDARD_ERROR);
  const tls = options.tls ? readTls(options.tls) : null;
  const remote = options.remote && RemoteStore.open(options.remote);
  const shelf = new Shelf({ mediaRoot: settings.media_root, remote });
  const voteLog = await VoteLog.open(join(out, FILES.votes), votes);
  const raters = await Raters.open(join(out, FILES.raters), namesIn(votes.votes));
  for (const [rater, seq] of raters.resumed) session.resume(rater, seq);
  const desk = new Desk({
    session,
    shelf,
    log: voteLog,
    question: settings.question,
    consent: settings.consent,
    onWithdrawn: (pair, why) => {
      log.warn({ pair, why }, 'a pair cannot be shown');
      warn(`Pair ${JSON.stringify(pair)} cannot be shown, and is asked of nobody: ${why}.`);
    },
  });
  const isOpen = settings.raters === null && !options.invite;
  const server = new LabelServer({
    desk,
    shelf,
    raters,
    consent: settings.consent,
    open: isOpen,
    name: resolve(out),
    admin: adminDesk(session, pairs, raters, options.invite),
    tls,
    log,
  });
  try {
    signal?.throwIfAborted();
    const url = urlOf(await server.listen(options), tls);
    const joined = raters.joined;
    const missing = (settings.raters ?? []).filter((rater) => !joined.has(rater));
    const address: LabelAddress = {
      url,
      admin: `${url}/admin#join=${await raters.invite('admin', null)}`,
      raters: await Promise.all(
        missing.map(async (rater) => ({ rater, url: `${url}/#join=${await raters.invite('rater', rater)}` })),
      ),
    };
    log.info({ url }, 'listening');
    onListening?.(address);
    await stopped(signal);
    await server.close();
    return {
      url,
      figures: await sessionFigures(session),
      withdrawn: Object.fromEntries(session.withdrawn),
      leftOut: await writeExports(out, session, pairs),
      files: EXPORTS,
      warnings,
    };
  } finally {
    await server.close();
    await Promise.all([voteLog.close(), raters.close(), remote?.close()]);
  }
}

async function packOffline(
  path: string,
  { out, force, remote: access }: Settled,
  session: Session,
  pairs: readonly PairRow[],
  { media_root, question, consent, seed }: LabelSettings,
  warnings: readonly string[],
  warn: (warning: string) => void,
): Promise<LabelReport> {
  checkOutput(path, { force });
  const remote = access && RemoteStore.open(access);
  try {
    const shelf = new Shelf({ mediaRoot: media_root, remote });
    const onWithdrawn = (pair: string, why: string): void => {
      session.withdraw(pair, why);
      warn(`Pair ${JSON.stringify(pair)} cannot be shown, and is not in the file: ${why}.`);
    };
    // Gold is in it as any other pair: nothing in the file says which it is.
    const { pairs: order, gold = [] } = session.options;
    const asked = mixed(order, gold, seed);
    const { html, pairs: packed } = await packPage({ pairs: asked, shelf, question, consent, seed, onWithdrawn });
    await withAtomicOutput(path, { force }, (output) => output.writeFile(output.name, html));
    return {
      url: null,
      packed,
      figures: await sessionFigures(session),
      withdrawn: Object.fromEntries(session.withdrawn),
      leftOut: await writeExports(out, session, pairs),
      files: [basename(path)],
      warnings,
    };
  } finally {
    await remote?.close();
  }
}

/** Pairs in their order, gold among them at random places. */
function mixed(pairs: readonly PairRow[], gold: readonly PairRow[], seed: number): PairRow[] {
  const random = new Random(`${seed} offline`);
  const all = [...pairs];
  for (const row of gold) all.splice(random.integer(0, all.length + 1), 0, row);
  return all;
}

const namesIn = (votes: readonly { readonly rater: string | null }[]): Set<string> =>
  new Set(votes.flatMap(({ rater }) => rater ?? []));

/** What the folder holds, brought up to the options. */
async function openFolder(options: Settled, warn: (warning: string) => void) {
  const { out } = options;
  const isNew = !existsSync(join(out, FILES.session));
  const before = isNew ? [] : await readFolderPairs(out, FILES.pairs);
  const settings = isNew ? newSettings(options) : goneOnWith(readSettings(out), options);
  await prepareFolder(out);
  const votes = await readVotes(join(out, FILES.votes));
  if (votes.tornBytes > 0) {
    warn(
      `The last ${votes.tornBytes} bytes of ${FILES.votes} are a vote that was being written when the process ended, and that nobody was told of: it is left out.`,
    );
  }
  const given = options.pairs === undefined ? null : await readPairs(options.pairs, options.streams);
  if (given) for (const warning of rowsWarnings(basename(options.pairs!), given.report)) warn(warning);
  const golden = options.gold === undefined ? null : await readGold(options, warn);
  const gold = golden ?? (await readFolderPairs(out, FILES.gold));
  const known = new Set(gold.map(({ id }) => id));
  const pairs = (given?.rows ?? before).filter(({ id }) => !known.has(id));
  if (pairs.length < (given?.rows ?? before).length) warn('Pairs whose answer is known are asked as gold alone.');
  if (pairs.length === 0) {
    throw new HpsError('USAGE', 'there are no pairs to label', { hint: 'Give `pairs` a file of rows.' });
  }
  assertUnchanged(before, pairs, new Set(votes.votes.filter(({ gold: isGold }) => !isGold).map(({ pair }) => pair)));
  const { order, rows } = await ordered(withPropensities(pairs, before), options.by, warn);
  await writePairs(out, FILES.pairs, rows);
  if (gold.length > 0) await writePairs(out, FILES.gold, gold);
  await writeSettings(out, settings);
  return { settings, pairs: rows, gold, order, votes };
}

async function readGold(options: Settled, warn: (warning: string) => void): Promise<PairRow[]> {
  const { rows, report } = await readPairs(options.gold!, options.streams);
  const usable = rows.filter((row) => goldAnswer(row) !== null);
  for (const warning of rowsWarnings(basename(options.gold!), report)) warn(warning);
  if (usable.length < rows.length) {
    warn(`${rows.length - usable.length} gold pairs have no answer, or a tie, and are left out.`);
  }
  return usable;
}

function newSettings(options: Settled): LabelSettings {
  const { raters, votesPerPair, seed, goldShare, repeatShare, question = null, pairs } = options;
  const fileRoot = pairs === undefined || pairs === STANDARD_STREAM ? '.' : dirname(resolve(pairs));
  return {
    votes_per_pair: votesPerPair,
    seed,
    gold_share: goldShare,
    repeat_share: repeatShare,
    raters: raters === undefined ? null : Array.from({ length: raters }, (_, i) => `r${i + 1}`),
    question,
    consent: readConsent(options),
    media_root: resolve(options.mediaRoot ?? fileRoot),
  };
}

/** What may change while a session goes on: all but the seed that sides were drawn by, and raters, who can only be more. */
function goneOnWith(before: LabelSettings, options: Settled): LabelSettings {
  const now = newSettings(options);
  if (before.seed !== now.seed) {
    throw new HpsError('CONFIG_INVALID', `the session was begun with seed ${before.seed}, not ${now.seed}`, {
      hint: 'Give the same `seed`, or another folder for a new session.',
      details: { seed: before.seed },
    });
  }
  const raters =
    now.raters && before.raters && now.raters.length < before.raters.length
      ? before.raters
      : (now.raters ?? before.raters);
  return {
    ...now,
    raters,
    media_root: options.pairs === undefined && options.mediaRoot === undefined ? before.media_root : now.media_root,
    consent: options.consent === undefined ? before.consent : now.consent,
    question: options.question ?? before.question,
  };
}

function readConsent({ consent }: Settled): LabelSettings['consent'] {
  if (consent === undefined) return null;
  const { bytes } = readWhole(consent, {
    limit: LIMITS.configBytes,
    what: 'a text to agree to',
    hint: 'Give a text file.',
  });
  return consentOf(Buffer.from(bytes).toString('utf8').trim());
}

/** How likely a pair was to be asked stays with it, whatever queue comes after. */
function withPropensities(pairs: readonly PairRow[], before: readonly PairRow[]): readonly PairRow[] {
  const known = new Map(before.map(({ id, propensity }) => [id, propensity]));
  return pairs.map((row) => ({ propensity: known.get(row.id), ...row }));
}

/** The pairs in the order of asking, and all of them with their propensities where a queue states those. */
async function ordered(pairs: readonly PairRow[], by: string | undefined, warn: (warning: string) => void) {
  if (by === undefined) return { order: pairs, rows: pairs };
  const queue = await readQueue(by);
  const rows = pairs.map((row) => {
    const propensity = queue.get(row.id) ?? null;
    return propensity === null ? row : { ...row, propensity };
  });
  const byId = new Map(rows.map((row) => [row.id, row]));
  const order = [...queue.keys()].flatMap((id) => byId.get(id) ?? []);
  if (order.length < queue.size)
    warn(`${queue.size - order.length} of ${queue.size} ids of the queue are of no pair here.`);
  if (order.length > 0) return { order, rows };
  throw new HpsError('DATA_INVALID', `${basename(by)}: names no pair of this session`, {
    hint: 'Give the queue that `hpsv3 select` made of these pairs.',
    details: { file: basename(by) },
  });
}

function adminDesk(session: Session, pairs: readonly PairRow[], raters: Raters, canInvite: boolean): AdminDesk {
  return {
    figures: async () => ({ ...(await sessionFigures(session)), canInvite, files: EXPORTS }),
    invite: () => {
      if (canInvite) return raters.invite('rater', null);
      throw new HpsError('USAGE', 'raters of this session are not invited', { hint: 'Start it with `invite`.' });
    },
    resume: async (rater) => {
      if (!session.isPaused(rater)) return false;
      const { seq } = session.ballots.by(rater).at(-1)!; // without votes nobody is paused
      await raters.resume(rater, seq);
      session.resume(rater, seq);
      return true;
    },
    download: async (name) => {
      if (!EXPORTS.includes(name as ExportName)) return null;
      const pieces: Uint8Array[] = [];
      const sink = { write: async (bytes: Uint8Array) => void pieces.push(bytes) };
      await writeExport(name as ExportName, judgedPairs(pairs, session.ballots), sink);
      return { type: EXPORT_TYPES[name as ExportName], body: Buffer.concat(pieces).toString('utf8') };
    },
  };
}
