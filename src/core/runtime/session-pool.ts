import { HpsError } from '../errors.js';
import type { ThreadSession } from './child.js';
import type { Session } from './session.js';

type Feeds = Parameters<Session['run']>[0];
type Outputs = Awaited<ReturnType<Session['run']>>;

export interface SessionPoolOptions {
  /** Opens one more session of the same model, with the same options and on the same device as the first. */
  readonly open: () => Promise<ThreadSession>;
  /** Most sessions. */
  readonly most: number;
  /** Called once where one more session could not be opened: the pool stays as it is. */
  readonly onRefused: (error: HpsError, sessions: number) => void;
}

/** Runs handed to a session at a time, once all are open: one is computed, the next one is there when it ends. */
const RUNS_PER_SESSION = 2;

interface Waiting {
  readonly feeds: Feeds;
  resolve(outputs: Outputs): void;
  reject(error: unknown): void;
}

interface Member {
  readonly session: ThreadSession;
  underWay: number;
}

/**
 * Sessions of one model that run side by side. It begins with one, and opens others once runs have waited for as long as opening the
 * first one took: what a model is used little for costs the memory of one copy.
 */
export class SessionPool {
  readonly device: ThreadSession['device'];
  readonly inputs: ThreadSession['inputs'];
  readonly outputs: ThreadSession['outputs'];
  private readonly members: Member[];
  private readonly waiting: Waiting[] = [];
  private opening: Promise<void> | undefined;
  /** Milliseconds that runs had to wait for a session, since one was opened last. */
  private waitedMs = 0;
  /** While runs wait and another session may be opened: since when, and what opens it in time. */
  private patience: { readonly since: number; readonly timer: NodeJS.Timeout } | undefined;
  private readonly opensAfterMs: number;
  /** Most sessions; fewer from when one was refused. */
  private limit: number;
  private closed = false;

  constructor(
    first: ThreadSession,
    private readonly options: SessionPoolOptions,
  ) {
    this.device = first.device;
    this.inputs = first.inputs;
    this.outputs = first.outputs;
    this.members = [{ session: first, underWay: 0 }];
    this.opensAfterMs = first.loadMs;
    this.limit = options.most;
  }

  /** Sessions that are open now. */
  get sessions(): number {
    return this.members.length;
  }

  /** Sessions that may be open one day. */
  get most(): number {
    return this.options.most;
  }

  /** Runs that keep so many sessions busy. */
  get capacity(): number {
    return RUNS_PER_SESSION * this.most;
  }

  /** As `Session.run`, in whichever session is free first. */
  run(feeds: Feeds): Promise<Outputs> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ feeds, resolve, reject });
      this.pump();
    });
  }

  /** Ends every open session after the runs it was given; those that wait are rejected. */
  async release(): Promise<void> {
    this.closed = true;
    this.measureWaiting();
    for (const { reject } of this.waiting.splice(0)) reject(new HpsError('INTERRUPTED', 'the model was closed'));
    await Promise.all(this.members.map(({ session }) => session.release()));
  }

  /** Waits until no session is being opened any more: end what they are opened in first. */
  async settled(): Promise<void> {
    await this.opening;
  }

  private pump(): void {
    const ahead = this.members.length < this.limit ? 1 : RUNS_PER_SESSION;
    while (this.waiting.length > 0) {
      const [least] = this.members.toSorted((a, b) => a.underWay - b.underWay);
      if (least.underWay >= ahead) break;
      this.start(least, this.waiting.shift()!);
    }
    this.measureWaiting();
  }

  private start(member: Member, { feeds, resolve, reject }: Waiting): void {
    member.underWay++;
    member.session
      .run(feeds)
      .then(resolve, reject)
      .finally(() => {
        member.underWay--;
        this.pump();
      });
  }

  private measureWaiting(): void {
    const waits = this.waiting.length > 0 && this.members.length < this.limit && !this.opening && !this.closed;
    if (waits && !this.patience) {
      const timer = setTimeout(() => this.grow(), this.opensAfterMs - this.waitedMs);
      this.patience = { since: performance.now(), timer };
    } else if (!waits && this.patience) {
      clearTimeout(this.patience.timer);
      this.waitedMs += performance.now() - this.patience.since;
      this.patience = undefined;
    }
  }

  /** As many sessions more as there are, so that many are open soon. */
  private grow(): void {
    const more = Math.min(this.members.length, this.limit - this.members.length);
    this.waitedMs = 0;
    this.patience = undefined;
    this.opening = Promise.all(Array.from({ length: more }, () => this.add())).then(() => {
      this.opening = undefined;
      this.pump();
    });
  }

  private async add(): Promise<void> {
    try {
      this.members.push({ session: await this.options.open(), underWay: 0 });
    } catch (error) {
      if (!(error instanceof HpsError)) throw error;
      if (this.closed) return;
      if (this.limit === this.most) this.options.onRefused(error, this.members.length);
      this.limit = Math.min(this.limit, this.members.length);
    }
  }
}
