import { Worker } from 'node:worker_threads';

/** As source text, so that it runs the same from compiled files and from TypeScript under test. */
const SOURCE = `
'use strict';
const { createHash } = require('node:crypto');
const { parentPort } = require('node:worker_threads');

const sha256 = createHash('sha256');
parentPort.on('message', (piece) => {
  if (piece === null) return parentPort.postMessage(sha256.digest('hex'));
  sha256.update(piece);
  parentPort.postMessage(null);
});
`;

/** SHA-256 of a stream in a thread of its own, which is worth its start for long ones only. */
export class HashThread {
  private readonly worker = new Worker(SOURCE, { eval: true });
  private readonly failure: Promise<never>;
  /** Who waits for an answer, in the order of what they sent. */
  private readonly waiting: ((answer: string | null) => void)[] = [];

  constructor() {
    this.worker.on('message', (answer: string | null) => this.waiting.shift()!(answer));
    this.failure = new Promise((_, reject) => {
      this.worker.once('error', reject);
      this.worker.once('exit', () => reject(new Error('the hashing thread stopped early')));
    });
    this.failure.catch(() => undefined); // reported by the call that waits for an answer
  }

  /**
   * Takes the next piece, which may come while earlier ones are hashed; it must stay as it is until this resolves.
   * @param piece - in shared memory, or it is copied
   */
  async update(piece: Uint8Array): Promise<void> {
    await this.ask(piece);
  }

  /** The hash of all pieces, in lower-case hexadecimal. */
  async digest(): Promise<string> {
    return (await this.ask(null)) as string;
  }

  async close(): Promise<void> {
    await this.worker.terminate();
  }

  private ask(message: Uint8Array | null): Promise<string | null> {
    const answer = new Promise<string | null>((resolve) => this.waiting.push(resolve));
    this.worker.postMessage(message);
    return Promise.race([answer, this.failure]);
  }
}
