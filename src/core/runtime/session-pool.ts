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

/** Runs handed to a session at a time: one is computed, the next one is there when it ends. */
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
 * Sessions of one model that run side by side. It begins with one, and opens others while runs keep waiting: what a model is used
 * little for costs the memory of one copy.
 */
export class SessionPool {
  readonly device: ThreadSession['device'];
  readonly inputs: ThreadSession['inputs'];
  readonly outputs: ThreadSession['outputs'];
  private readonly members: Member[];
  private readonly waiting: Waiting[] = [];
  private opening: Promise<void> | undefined;
  /** Ends of runs that found another one waiting, since a session was opened last. */
  private pressure = 0;
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
    for (const { reject } of this.waiting.splice(0)) reject(new HpsError('INTERRUPTED', 'the model was closed'));
    await Promise.all(this.members.map(({ session }) => session.release()));
  }

  /** Waits until no session is being opened any more: end what they are opened in first. */
  async settled(): Promise<void> {
    await this.opening;
  }

  private pump(): void {
    while (this.waiting.length > 0) {
      const [least] = this.members.toSorted((a, b) => a.underWay - b.underWay);
      if (least.underWay >= RUNS_PER_SESSION) return;
      this.start(least, this.waiting.shift()!);
    }
  }

  private start(member: Member, { feeds, resolve, reject }: Waiting): void {
    member.underWay++;
    member.session
      .run(feeds)
      .then(resolve, reject)
      .finally(() => {
        member.underWay--;
        if (member.underWay > 0) this.pressure++;
        this.grow();
        this.pump();
      });
  }

  /** As many sessions more as there are, so that many are open soon. A pair or two, whose items wait for each other once, open none. */
  private grow(): void {
    const { members, limit } = this;
    if (this.closed || this.opening || members.length >= limit || this.pressure <= members.length) return;
    const more = Math.min(members.length, limit - members.length);
    this.opening = Promise.all(Array.from({ length: more }, () => this.add())).then(() => {
      this.opening = undefined;
      this.pressure = 0;
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
