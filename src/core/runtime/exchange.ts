import { randomBytes } from 'node:crypto';
import { closeSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { bytesOf } from '../tensor/values.js';
import { type TensorValue, valueFromBytes } from './value.js';

/** A file system in memory. Elsewhere than on Linux there is none that everybody may write to, and values go in messages. */
const FOLDER = process.platform === 'linux' ? '/dev/shm' : null;
/** The descriptor of the exchange in the process that reads it: behind stdin, stdout, stderr and the channel of messages. */
export const EXCHANGE_FD = 4;
/** Smaller values go in the message itself. */
const SMALL_BYTES = 64 * 1024;
/** Far between, so that no set of values reaches into the next: only what is written takes memory. */
const SLOT_BYTES = 2 ** 36;

/** A value whose elements lie in the exchange. */
export interface StoredValue extends Omit<TensorValue, 'data'> {
  readonly at: number;
  readonly byteLength: number;
}

export type SentValues = ReadonlyMap<string, TensorValue | StoredValue>;

/**
 * A file in memory without a name, which another process has open too. Messages between processes are copied five times and
 * cut into small pieces, which takes longer than many a model does; what is written here is copied twice.
 */
export class Exchange {
  private readonly used = new Set<number>();
  private closed = false;

  private constructor(readonly fd: number) {}

  /** Null where there is no such file. */
  static open(): Exchange | null {
    if (FOLDER === null) return null;
    const path = join(FOLDER, `hpsv3-${randomBytes(8).toString('hex')}`);
    try {
      const fd = openSync(path, 'wx+', 0o600);
      unlinkSync(path);
      return new Exchange(fd);
    } catch {
      return null;
    }
  }

  /**
   * Writes the large ones among some values.
   * @returns what to put into the message, and what to call once they have been read
   */
  put(values: ReadonlyMap<string, TensorValue>): { readonly sent: SentValues; release(): void } {
    const slot = this.takeSlot();
    const release = () => void this.used.delete(slot);
    let at = slot * SLOT_BYTES;
    const sent = new Map<string, TensorValue | StoredValue>();
    for (const [name, value] of values) {
      const stored = this.closed || value.data.byteLength < SMALL_BYTES ? null : this.store(value, at);
      sent.set(name, stored ?? value);
      at += stored?.byteLength ?? 0;
    }
    return { sent, release };
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    closeSync(this.fd);
  }

  /** Null where the file system is full, as it soon is in a container. */
  private store({ dtype, shape, data }: TensorValue, at: number): StoredValue | null {
    const bytes = bytesOf(data);
    try {
      for (let done = 0; done < bytes.byteLength; )
        done += writeSync(this.fd, bytes, done, bytes.byteLength - done, at + done);
      return { dtype, shape, at, byteLength: bytes.byteLength };
    } catch {
      return null;
    }
  }

  private takeSlot(): number {
    let slot = 0;
    while (this.used.has(slot)) slot++;
    this.used.add(slot);
    return slot;
  }
}

/** The values that a message brought, each with memory of its own, in the process that has the exchange as `EXCHANGE_FD`. */
export const received = (sent: SentValues): Map<string, TensorValue> =>
  new Map(Array.from(sent, ([name, value]) => [name, 'data' in value ? own(value) : read(value)]));

/** Arrays in a message begin wherever it put them, in memory that other values share. */
const own = (value: TensorValue): TensorValue => ({ ...value, data: value.data.slice() });

function read({ dtype, shape, at, byteLength }: StoredValue): TensorValue {
  const bytes = new Uint8Array(byteLength);
  for (let done = 0; done < byteLength; ) {
    const count = readSync(EXCHANGE_FD, bytes, done, byteLength - done, at + done);
    if (count === 0) throw new RangeError(`${byteLength - done} bytes of a value are missing`);
    done += count;
  }
  return valueFromBytes(dtype, shape, bytes);
}
