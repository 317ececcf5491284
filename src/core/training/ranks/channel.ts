import type { Socket } from 'node:net';
import { HpsError } from '../../errors.js';
import { LIMITS } from '../../limits.js';

/** Bytes that may wait to be read before the other side is made to wait. */
const AHEAD_BYTES = 8 * 2 ** 20;

/** A connection to another rank: JSON and floats, in order. What it cannot give any more it says to whoever reads or writes. */
export class Channel {
  private readonly pieces: Buffer[] = [];
  private held = 0;
  private wanted: { bytes: number; give: (bytes: Buffer) => void; fail: (error: Error) => void } | undefined;
  private ended: HpsError | undefined;

  /**
   * @param peer - what errors call the other side: `rank 1`
   * @param onLost - told once, where the other side goes
   */
  constructor(
    private readonly socket: Socket,
    public peer: string,
    private onLost: (error: HpsError) => void = () => undefined,
  ) {
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 1000); // a machine that is gone is noticed by the system, however busy this process is
    socket.on('data', (bytes: Buffer) => this.take(bytes));
    socket.on('error', () => undefined); // 'close' follows
    socket.on('close', () => this.lose());
  }

  /** @throws HpsError RANK_LOST */
  async json(): Promise<Record<string, unknown>> {
    const length = (await this.read(4)).readUInt32LE();
    if (length > LIMITS.rankMessageBytes) throw lost(this.peer, 'says what is no message');
    try {
      return JSON.parse((await this.read(length)).toString('utf8')) as Record<string, unknown>;
    } catch (error) {
      throw error instanceof HpsError ? error : lost(this.peer, 'says what is no message');
    }
  }

  sendJson(value: unknown): Promise<void> {
    const text = Buffer.from(JSON.stringify(value));
    const length = Buffer.alloc(4);
    length.writeUInt32LE(text.byteLength);
    return this.send(Buffer.concat([length, text]));
  }

  /** @throws HpsError RANK_LOST */
  async readFloats(into: Float32Array): Promise<void> {
    const bytes = await this.read(into.byteLength);
    new Uint8Array(into.buffer, into.byteOffset, into.byteLength).set(bytes);
  }

  sendFloats(values: Float32Array): Promise<void> {
    // A copy: the values may change before they have left.
    return this.send(Buffer.from(new Uint8Array(values.buffer, values.byteOffset, values.byteLength)));
  }

  /** Calls this instead where the other side goes, also if it has gone. */
  onEnd(onLost: (error: HpsError) => void): void {
    this.onLost = onLost;
    if (this.ended) onLost(this.ended);
  }

  close(): void {
    this.ended ??= lost(this.peer, 'is not needed any more');
    this.socket.end();
    this.socket.unref();
  }

  destroy(): void {
    this.ended ??= lost(this.peer, 'was given up');
    this.socket.destroy();
  }

  private async send(bytes: Buffer): Promise<void> {
    if (this.ended) throw this.ended;
    if (this.socket.write(bytes)) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.socket.off('drain', done);
        this.socket.off('close', done);
        resolve();
      };
      this.socket.on('drain', done);
      this.socket.on('close', done);
    });
    if (this.ended) throw this.ended;
  }

  private read(bytes: number): Promise<Buffer> {
    return new Promise((give, fail) => {
      this.wanted = { bytes, give, fail };
      this.serve();
    });
  }

  private take(bytes: Buffer): void {
    this.pieces.push(bytes);
    this.held += bytes.byteLength;
    this.serve();
    if (this.held > AHEAD_BYTES && !this.wanted) this.socket.pause();
  }

  private serve(): void {
    const { wanted } = this;
    if (wanted === undefined) return;
    if (this.held < wanted.bytes) {
      if (this.ended) {
        this.wanted = undefined;
        wanted.fail(this.ended);
      } else this.socket.resume();
      return;
    }
    const all = this.pieces.length === 1 ? this.pieces[0] : Buffer.concat(this.pieces);
    this.pieces.length = 0;
    if (all.byteLength > wanted.bytes) this.pieces.push(all.subarray(wanted.bytes));
    this.held = all.byteLength - wanted.bytes;
    this.wanted = undefined;
    wanted.give(all.subarray(0, wanted.bytes));
  }

  private lose(): void {
    if (!this.ended) {
      this.ended = lost(this.peer, 'has ended before the work was done');
      this.onLost(this.ended);
    }
    this.serve();
  }
}

export const lost = (peer: string, rule: string): HpsError =>
  new HpsError('RANK_LOST', `${peer} ${rule}`, {
    hint: 'Look at what that process says. The saved state stays: start all of them again, with `resume`.',
    details: { peer },
  });
