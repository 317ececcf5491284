import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { basename, dirname, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { outputError } from '../../bytes/output-error.js';
import { type FailureData, failureData, fromFailureData, HpsError } from '../../errors.js';
import { LIMITS } from '../../limits.js';
import { Channel, lost } from './channel.js';
import type { RankIdentity } from './identity.js';
import type { RankPlace } from './place.js';

/** How the processes of a training find each other. */
export interface RankOptions extends RankPlace {
  /** What all of them know and nobody else; by default what rank 0 writes into the file that they meet at. */
  readonly secret?: string;
  /** Address or name of the network interface that connections come in by; by default the loopback interface, for one machine. */
  readonly interface?: string;
  /** Lets other kinds of processor and other numbers of threads take part: then nothing is promised of the last bits. */
  readonly allowMixed?: boolean;
  /** How long the others are waited for. Default `LIMITS.rankWaitMs`. */
  readonly waitMs?: number;
  /** Told where one of the others goes, while the work goes on. */
  readonly onLost?: (error: HpsError) => void;
}

export interface JoinOptions extends RankOptions {
  /** File that rank 0 writes where it can be reached; all processes see it. */
  readonly meeting: string;
  readonly identity: RankIdentity;
  readonly signal?: AbortSignal;
}

/** What may differ where a mix is allowed. */
const MIXABLE: ReadonlySet<string> = new Set(['processor', 'threads']);

/** The processes of one training, each connected to the one before and the one after. */
export class RankGroup {
  /** Aborted where one of the others is lost. */
  readonly signal: AbortSignal;
  private readonly controller = new AbortController();
  private done = false;
  previous: Channel | null = null;
  next: Channel | null = null;

  constructor(
    readonly rank: number,
    readonly size: number,
    private readonly told: ((error: HpsError) => void) | undefined,
  ) {
    this.signal = this.controller.signal;
  }

  /** What rank 0 has to say, to all. */
  async broadcast<T>(make: () => Promise<T> | T, { last = false } = {}): Promise<T> {
    const value = this.previous === null ? await make() : ((await this.previous.json()).value as T);
    if (last) this.done = true;
    await this.next?.sendJson({ value });
    return value;
  }

  /**
   * The end of the work: rank 0 gives its report, the others get it.
   * @param report - of rank 0
   */
  async conclude<T>(report?: T): Promise<T> {
    const made = () => report as T;
    return this.broadcast(made, { last: true });
  }

  readonly lose = (error: HpsError): void => {
    if (this.done || this.controller.signal.aborted) return;
    this.controller.abort(error);
    this.told?.(error);
    this.previous?.destroy();
    this.next?.destroy();
  };

  close(): void {
    const completed = this.done;
    this.done = true;
    for (const channel of [this.previous, this.next]) completed ? channel?.close() : channel?.destroy();
  }
}

/**
 * Waits until all processes are there, known by their secret and alike in what they are about to do.
 * @throws HpsError RANK_LOST for one that does not come or goes; RANKS_DISAGREE; ACCESS_DENIED for a wrong secret; USAGE for a second
 *   process of one rank
 */
export async function joinRanks(options: JoinOptions): Promise<RankGroup> {
  const { rank, size, onLost, waitMs = LIMITS.rankWaitMs } = options;
  const group = new RankGroup(rank, size, onLost);
  const late = AbortSignal.timeout(waitMs);
  const signal = AbortSignal.any([late, ...(options.signal ? [options.signal] : [])]);
  try {
    if (rank === 0) await lead(group, options, signal);
    else await follow(group, options, signal);
    return group;
  } catch (error) {
    group.close();
    options.signal?.throwIfAborted();
    if (!late.aborted || error instanceof HpsError) throw error;
    throw lost('rank 0', `did not take part within ${waitMs / 1000} s`);
  }
}

interface Joined {
  readonly channel: Channel;
  readonly address: string;
  readonly port: number;
  readonly nonce: string;
}

/** Rank 0: says where it is, and lets the others in. */
async function lead(group: RankGroup, options: JoinOptions, signal: AbortSignal): Promise<void> {
  const { size, meeting, job, identity, allowMixed = false } = options;
  const secret = options.secret ?? randomBytes(32).toString('hex');
  const address = listenAddress(options.interface);
  const joined = new Map<number, Joined>();
  const all = deferred<void>();
  const refusals = new Set<string>();
  const server = await listen(address, (socket) => {
    const fail = (error: HpsError): void => {
      refusals.add(error.message);
      if (error.code === 'RANKS_DISAGREE') all.reject(error);
    };
    letIn(socket, { size, secret, identity, allowMixed, joined, fail, onGone: all.reject }).then(
      () => joined.size === size - 1 && all.resolve(),
      () => socket.destroy(),
    );
  });
  const onAbort = (): void => {
    const missing = Array.from({ length: size - 1 }, (_, i) => i + 1).filter((rank) => !joined.has(rank));
    const why = refusals.size > 0 ? ` (${[...refusals].join('; ')})` : '';
    all.reject(lost(`rank ${missing.join(', ')}`, `did not come in time${why}`));
  };
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    announce(meeting, { job, address, port: portOf(server), ...(options.secret === undefined ? { secret } : {}) });
    await all.promise;
    const chain = randomBytes(16).toString('hex');
    for (const [rank, { channel, nonce }] of joined) {
      const before = joined.get(rank - 1);
      const previous = before && { address: before.address, port: before.port };
      await channel.sendJson({ welcome: mac(secret, 'welcome', nonce, chain), chain, previous });
      if (rank === 1) group.next = channel;
    }
    for (const [rank, { channel }] of joined) if (rank > 1) await channel.json(); // it has found the one before it
    watch(group);
    for (const [rank, { channel }] of joined) if (rank > 1) channel.close();
  } catch (error) {
    for (const { channel } of joined.values()) {
      if (error instanceof HpsError) await channel.sendJson({ error: failureData(error) }).catch(() => undefined);
      channel.close();
    }
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
    server.close();
    rmSync(meeting, { force: true });
  }
}

interface Door {
  readonly size: number;
  readonly secret: string;
  readonly identity: RankIdentity;
  readonly allowMixed: boolean;
  readonly joined: Map<number, Joined>;
  readonly fail: (error: HpsError) => void;
  readonly onGone: (error: HpsError) => void;
}

async function letIn(
  socket: Socket,
  { size, secret, identity, allowMixed, joined, fail, onGone }: Door,
): Promise<void> {
  const channel = new Channel(socket, 'a process', (error) => {
    if ([...joined.values()].some((each) => each.channel === channel)) onGone(error);
  });
  const nonce = randomBytes(16).toString('hex');
  await channel.sendJson({ nonce });
  const said = await channel.json();
  const refuse = async (error: HpsError): Promise<never> => {
    fail(error);
    await channel.sendJson({ error: failureData(error) });
    channel.close();
    throw error;
  };
  const { rank, nonce: own, port } = said;
  if (
    typeof rank !== 'number' ||
    typeof own !== 'string' ||
    !isMac(said.mac, mac(secret, 'join', nonce, own, String(rank)))
  ) {
    return refuse(
      new HpsError('ACCESS_DENIED', 'a process has another secret than rank 0', {
        hint: 'Set HPSV3_RANKS_SECRET alike for all processes, or for none.',
      }),
    );
  }
  channel.peer = `rank ${rank}`;
  if (joined.has(rank) || rank < 1 || rank >= size) {
    return refuse(
      new HpsError('USAGE', `rank ${rank} is there already, or is not one of ${size}`, {
        hint: 'Start each rank once.',
        details: { rank },
      }),
    );
  }
  const theirs = said.identity as Record<string, unknown>;
  const differing = Object.entries(identity)
    .filter(([what, value]) => theirs?.[what] !== value)
    .map(([what]) => what);
  if (said.size !== size) differing.push('number of processes');
  if (differing.some((what) => !(allowMixed && MIXABLE.has(what)))) {
    return refuse(
      new HpsError('RANKS_DISAGREE', `rank ${rank} differs from rank 0 in ${differing.join(', ')}`, {
        hint: differing.every((what) => MIXABLE.has(what))
          ? 'Use machines of one kind and the same `threads`, or set `allowMixed`: then the last bits may differ from those of one machine.'
          : 'Give all processes the same program, configuration, seed and files.',
        details: { rank, differing },
      }),
    );
  }
  const address = socket.remoteAddress ?? '127.0.0.1';
  joined.set(rank, { channel, nonce: own, address, port: typeof port === 'number' ? port : 0 });
}

/** Any other rank: finds rank 0, and the one before it. */
async function follow(group: RankGroup, options: JoinOptions, signal: AbortSignal): Promise<void> {
  const { rank, size, identity } = options;
  const found = deferred<Channel>();
  const isLast = rank === size - 1;
  const address = listenAddress(options.interface);
  let expected: string | undefined;
  const server = isLast
    ? null
    : await listen(address, (socket) => {
        const channel = new Channel(socket, `rank ${rank + 1}`, group.lose);
        channel.json().then(
          ({ chain }) =>
            expected !== undefined && isMac(chain, expected) ? found.resolve(channel) : channel.destroy(),
          () => undefined,
        );
      });
  const onAbort = (): void => found.reject(lost(`rank ${rank + 1}`, 'did not come in time'));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const { leader, secret } = await reach(options, signal);
    const nonce = randomBytes(16).toString('hex');
    const { nonce: theirs } = await leader.json();
    const port = server === null ? 0 : portOf(server);
    await leader.sendJson({
      rank,
      size,
      nonce,
      port,
      identity,
      mac: mac(secret, 'join', String(theirs), nonce, String(rank)),
    });
    const answer = await leader.json();
    if (answer.error) throw fromFailureData(answer.error as FailureData);
    const chain = String(answer.chain);
    if (!isMac(answer.welcome, mac(secret, 'welcome', nonce, chain))) {
      throw new HpsError('ACCESS_DENIED', 'who is where rank 0 should be does not know the secret', {
        hint: 'Set HPSV3_RANKS_SECRET alike for all processes.',
      });
    }
    expected = mac(secret, 'chain', chain, String(rank + 1));
    if (rank === 1) {
      leader.peer = 'rank 0';
      group.previous = leader;
    } else {
      const { address, port } = answer.previous as { address: string; port: number };
      group.previous = new Channel(await dial(address, port, signal), `rank ${rank - 1}`, group.lose);
      await group.previous.sendJson({ chain: mac(secret, 'chain', chain, String(rank)) });
    }
    if (!isLast) group.next = await found.promise;
    if (rank > 1) {
      await leader.sendJson({ ready: true });
      leader.close();
    }
    watch(group);
  } finally {
    signal.removeEventListener('abort', onAbort);
    server?.close();
  }
}

/** From now on a connection that ends ends the work. */
function watch(group: RankGroup): void {
  for (const channel of [group.previous, group.next]) channel?.onEnd(group.lose);
}

interface Meeting {
  readonly job: string;
  readonly address: string;
  readonly port: number;
  readonly secret?: string;
}

function announce(path: string, meeting: Meeting): void {
  try {
    mkdirSync(dirname(resolve(path)), { recursive: true });
    writeFileSync(`${path}.${process.pid}`, JSON.stringify(meeting), { mode: 0o600 });
    renameSync(`${path}.${process.pid}`, path);
  } catch (error) {
    throw outputError(basename(path), error);
  }
}

/** Tries until rank 0 is there: a file of an earlier start leads nowhere. */
async function reach(options: JoinOptions, signal: AbortSignal): Promise<{ leader: Channel; secret: string }> {
  for (;;) {
    signal.throwIfAborted();
    const meeting = readMeeting(options.meeting);
    if (meeting?.job === options.job) {
      const secret = options.secret ?? meeting.secret;
      if (secret === undefined) {
        throw new HpsError('ACCESS_DENIED', 'rank 0 has a secret that this process does not know', {
          hint: 'Set HPSV3_RANKS_SECRET alike for all processes, or for none.',
        });
      }
      const socket = await dial(meeting.address, meeting.port, signal).catch(() => null);
      if (socket !== null) return { leader: new Channel(socket, 'rank 0'), secret };
    }
    await delay(100, undefined, { signal });
  }
}

function readMeeting(path: string): Meeting | null {
  if (!existsSync(path)) return null;
  try {
    const meeting = JSON.parse(readFileSync(path, 'utf8')) as Meeting;
    return Number.isInteger(meeting.port) && typeof meeting.address === 'string' ? meeting : null;
  } catch {
    return null; // taken away, or being written on a file system that shows it so
  }
}

function dial(host: string, port: number, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, signal });
    socket.once('connect', () => resolve(socket));
    socket.once('error', reject);
  });
}

function listen(host: string, take: (socket: Socket) => void): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer(take);
    server.once('error', () =>
      reject(
        new HpsError('USAGE', `${host}: no address of this machine to listen at`, {
          hint: 'Give `interface` an address of this machine, or the name of a network interface.',
        }),
      ),
    );
    server.listen(0, host, () => resolve(server));
  });
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

/** @param given - an address, or the name of an interface */
function listenAddress(given = '127.0.0.1'): string {
  const named = networkInterfaces()[given];
  return (named?.find(({ family }) => family === 'IPv4') ?? named?.[0])?.address ?? given;
}

const mac = (secret: string, ...parts: readonly string[]): string =>
  createHmac('sha256', secret).update(parts.join('|')).digest('hex');

const isMac = (given: unknown, expected: string): boolean =>
  typeof given === 'string' &&
  given.length === expected.length &&
  timingSafeEqual(Buffer.from(given), Buffer.from(expected));

/** A promise that is settled from outside, and need not be awaited. */
function deferred<T>() {
  let resolve!: (value: T) => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<T>((give, fail) => {
    resolve = give;
    reject = fail;
  });
  promise.catch(() => undefined);
  return { promise, resolve, reject };
}
