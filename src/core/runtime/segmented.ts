import { realpathSync } from 'node:fs';
import { basename, join } from 'node:path';
import { borrowWeights } from '../onnx/borrow.js';
import type { OnnxModel } from '../onnx/model.js';
import { openOnnx } from '../onnx/read.js';
import { planSegments, type Segment, segmentModel } from '../onnx/segments.js';
import { withTemporaryModel } from '../onnx/temporary-model.js';
import type { ModelProcess } from './child.js';
import { graphInputs, graphOutputs } from './graph-values.js';
import type { Session, SessionOptions, ValueInfo } from './session.js';
import type { TensorValue } from './value.js';

type Feeds = ReadonlyMap<string, TensorValue>;

/** Largest structure that is handed to a process; weights lie outside it. */
const STRUCTURE_BYTES = 64 * 1024 * 1024;

export interface SegmentedOptions extends Pick<SessionOptions, 'optimization' | 'threads' | 'config'> {
  /** Bytes of weights that are in memory at a time. */
  readonly segmentBytes: number;
}

interface Waiting {
  readonly feeds: Feeds;
  resolve(outputs: Map<string, TensorValue>): void;
  reject(error: unknown): void;
}

/**
 * A model that does not fit into memory, run in segments: each is loaded, run on all that waits, and let go. Runs that are asked for
 * together go through the segments together, so that the weights are read once for all of them.
 */
export class SegmentedSession implements Session {
  readonly together = true;
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  loadMs = 0;
  runMs = 0;
  private waiting: Waiting[] = [];
  private last: Promise<void> = Promise.resolve();
  private close = (): void => undefined;

  private constructor(
    private readonly model: OnnxModel,
    private readonly path: string,
    private readonly segments: readonly Segment[],
    private readonly host: ModelProcess,
    private readonly options: SegmentedOptions,
  ) {
    const name = basename(path);
    this.inputs = graphInputs(model, name);
    this.outputs = graphOutputs(model, name);
  }

  /**
   * @param path - the file that the model was read from, which stays open
   */
  static of(model: OnnxModel, path: string, host: ModelProcess, options: SegmentedOptions): SegmentedSession {
    return new SegmentedSession(model, path, planSegments(model, options.segmentBytes), host, options);
  }

  /** @throws HpsError as `openOnnx` */
  static open(path: string, host: ModelProcess, options: SegmentedOptions): SegmentedSession {
    const opened = openOnnx(path);
    const session = SegmentedSession.of(opened.model, path, host, options);
    session.close = () => opened.close();
    return session;
  }

  /** How many segments there are. */
  get count(): number {
    return this.segments.length;
  }

  run(feeds: Feeds): Promise<Map<string, TensorValue>> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ feeds, resolve, reject });
      if (this.waiting.length === 1) setImmediate(() => this.start());
    });
  }

  async release(): Promise<void> {
    await this.last;
    this.close();
  }

  private start(): void {
    this.last = this.last.then(async () => {
      const runs = this.waiting;
      this.waiting = [];
      if (runs.length === 0) return;
      try {
        const results = await this.pass(runs.map(({ feeds }) => feeds));
        for (const [i, { resolve }] of runs.entries()) resolve(results[i]);
      } catch (error) {
        for (const { reject } of runs) reject(error);
      }
    });
  }

  private async pass(runs: readonly Feeds[]): Promise<Map<string, TensorValue>[]> {
    const values = runs.map((feeds) => new Map(feeds));
    for (const [i, segment] of this.segments.entries()) {
      const later = new Set([
        ...this.segments.slice(i + 1).flatMap(({ inputs }) => inputs),
        ...this.outputs.map(({ name }) => name),
      ]);
      await this.withSegment(segment, values[0], async (session) => {
        for (const known of values) {
          const started = performance.now();
          const given = new Map(segment.inputs.map((name) => [name, known.get(name)!]));
          for (const [name, value] of await session.run(given)) known.set(name, value);
          this.runMs += performance.now() - started;
        }
      });
      for (const known of values) for (const name of known.keys()) if (!later.has(name)) known.delete(name);
    }
    return values.map((known) => new Map(this.outputs.map(({ name }) => [name, known.get(name)!])));
  }

  private async withSegment(
    segment: Segment,
    seen: ReadonlyMap<string, TensorValue>,
    use: (session: Session) => Promise<void>,
  ): Promise<void> {
    const { model, path: file } = this;
    const { segmentBytes: _, config, ...rest } = this.options;
    const part = segmentModel(model, segment, seen);
    const options = { ...rest, config: { ...UNPACKED, ...config } };
    const run = async (path: string, bytes?: Uint8Array): Promise<void> => {
      const session = await this.host.load(path, { ...options, bytes }, segment.weightBytes + (bytes?.byteLength ?? 0));
      this.loadMs += session.loadMs;
      try {
        await use(session);
      } finally {
        await session.release();
      }
    };
    const borrowed = await borrowWeights(part, file, STRUCTURE_BYTES);
    if (borrowed === null) return withTemporaryModel(part, (path) => run(path), basename(file));
    return run(join(borrowed.folder, basename(realpathSync(file))), borrowed.bytes);
  }
}

/** Weights that are used some times and let go are not worth a second copy in the order of the kernels. */
const UNPACKED = { 'session.disable_prepacking': '1' } as const;
