import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { processStreams } from '../../../../src/core/cli/data-flags.js';
import { runBatch } from '../../../../src/core/lifecycle/score/batch.js';
import { runWorker, type WorkerOptions } from '../../../../src/core/lifecycle/worker/worker.js';
import { LIMITS } from '../../../../src/core/limits.js';
import { tinyModel, writePicture, writeRows } from '../../../helpers/scoring.js';
import { sharedFolder } from '../../../helpers/temp.js';

const folder = sharedFolder();
let texts = '';
let images = '';
beforeAll(async () => {
  texts = await tinyModel(folder, 'text');
  images = await tinyModel(folder, 'image');
}, 60_000);

/** A host that writes and reads when the test says so. */
class Host {
  readonly lines: string[] = [];
  private readonly stop = new AbortController();
  private readonly pieces: (Uint8Array | null)[] = [];
  private wake: () => void = () => undefined;
  private taken = 0;
  private readonly ended: ReturnType<typeof runWorker>;

  constructor(options: Partial<WorkerOptions> = {}, reads = true) {
    const stdout = {
      write: async (bytes: Uint8Array) => {
        this.lines.push(...Buffer.from(bytes).toString().split('\n').slice(0, -1));
        if (!reads && this.lines.length > 1) await new Promise(() => undefined);
      },
    };
    const { signal } = this.stop;
    const stdin = this.read();
    const given = { models: [texts], batchSize: 2, embed: false, device: 'cpu', ...options };
    this.ended = runWorker({ ...given, signal, stdin, stdout } as WorkerOptions);
    this.ended.catch(() => undefined);
  }

  write(...rows: readonly (object | string)[]): void {
    for (const row of rows) this.pieces.push(Buffer.from(typeof row === 'string' ? row : `${JSON.stringify(row)}\n`));
    this.wake();
  }

  end() {
    this.pieces.push(null);
    this.wake();
    return this.ended;
  }

  ask() {
    this.stop.abort(new Error('asked to stop'));
    return this.ended;
  }

  /** Pieces that were asked for. */
  get piecesTaken(): number {
    return this.taken;
  }

  /** The answers, once there are `count`. */
  async answers(count: number): Promise<Record<string, unknown>[]> {
    while (this.lines.length < count + 1) await new Promise((resolve) => setTimeout(resolve, 5));
    return this.lines.slice(1).map((line) => (line === '' ? { frame: true } : JSON.parse(line)));
  }

  private async *read(): AsyncGenerator<Uint8Array> {
    for (;;) {
      while (this.pieces.length === 0) await new Promise<void>((resolve) => (this.wake = resolve));
      const piece = this.pieces.shift()!;
      this.taken++;
      if (piece === null) return;
      yield piece;
    }
  }
}

const pair = (id: number) => ({ id: `p${id}`, type: 'pair', left: `row ${id} is here`, right: `and ${id} there` });

describe('a worker', () => {
  it('answers with the scores of batch, one line a row, in order, and echoes the end of a frame', async () => {
    const rows = Array.from({ length: 9 }, (_, i) => pair(i));
    const host = new Host();
    host.write(...rows.slice(0, 4), '\n', ...rows.slice(4));
    expect(await host.end()).toMatchObject({ frames: 1, rows: 9, failed: 0 });
    const answers = await host.answers(10);
    expect(answers[4]).toEqual({ frame: true });

    const out = join(folder, 'batch.jsonl');
    const input = writeRows(folder, 'rows.jsonl', rows);
    const streams = processStreams();
    await runBatch({ models: [texts], input, out, batchSize: 2, resume: false, force: true, streams });
    const scores = readFileSync(out, 'utf8').trimEnd().split('\n');
    const expected = scores.map((line) => ({ ...JSON.parse(line), row: undefined }));
    expect(answers.filter(({ frame }) => !frame)).toEqual(expected);
  });

  it('says first what it scores with', async () => {
    const host = new Host();
    await host.end();
    expect(JSON.parse(host.lines[0])).toMatchObject({
      ...{ ready: true, protocol: 1, answers: 'score', modality: 'text' },
      runtime: { device: 'cpu', threads: 1 },
    });
  });

  it('answers a host that waits for an answer before its next row', async () => {
    const host = new Host({ batchSize: 16 });
    for (let i = 0; i < 3; i++) {
      host.write(pair(i));
      expect((await host.answers(i + 1))[i]).toMatchObject({ id: `p${i}` });
    }
    await host.end();
  });

  it('answers a row that cannot be scored with its error, under its id where it has one', async () => {
    const host = new Host();
    host.write({ id: 7, type: 'pair', left: 'a' }, 'no json\n', `"${'x'.repeat(LIMITS.rowBytes + 10)}"\n`, pair(1));
    host.write({ id: 'i', type: 'image', image: 'a.png' });
    expect(await host.end()).toMatchObject({ rows: 5, failed: 4 });
    expect(await host.answers(5)).toMatchObject([
      { id: '7', error: { code: 'FIELD_MISSING', message: 'right is missing' } },
      { id: null, error: { code: 'INVALID_JSON' } },
      { id: null, error: { code: 'ROW_TOO_LARGE' } },
      { id: 'p1' },
      { id: 'i', error: { code: 'DATA_INVALID' } },
    ]);
  });

  it('takes media in the row, and gives them the scores of files', async () => {
    await writePicture(folder, 'a.png', 1);
    await writePicture(folder, 'b.png', 2);
    const [a, b] = ['a.png', 'b.png'].map((name) => readFileSync(join(folder, name)).toString('base64'));
    const host = new Host({ models: [images], mediaRoot: folder });
    const inline = { left: { image: { base64: a } }, right: { image: { base64: b } } };
    host.write({ id: '1', type: 'pair', left: 'a.png', right: 'b.png' }, { id: '2', type: 'pair', ...inline });
    host.write({ id: '3', type: 'image', image: `data:image/png;base64,${a}` });
    host.write({ id: '4', type: 'image', image: 'data:image/png,%89PNG' });
    host.write({ id: '5', type: 'image', image: { base64: 'AAA*' } });
    await host.end();
    const [byPath, byBytes, url, plain, broken] = await host.answers(5);
    expect(byBytes).toEqual({ ...byPath, id: '2' });
    expect(url).toMatchObject({ id: '3', calibrated: false });
    expect(plain).toMatchObject({ id: '4', error: { code: 'DATA_INVALID' } });
    expect(broken).toMatchObject({ error: { message: 'an inline item is not valid base64' } });
  });

  it('gives embeddings of items, and says of a pair that it has none', async () => {
    const host = new Host({ embed: true });
    host.write({ id: '1', type: 'text', text: 'a red fox' }, pair(2));
    await host.end();
    const [item, other] = await host.answers(2);
    expect((item.embedding as number[]).length).toBe(16);
    expect(other).toMatchObject({ id: 'p2', error: { code: 'DATA_INVALID' } });
  });

  it('reads no further ahead than its window where the host does not read', async () => {
    const host = new Host({ threads: 1 }, false);
    host.write(...Array.from({ length: 5000 }, (_, i) => pair(i)));
    await host.answers(1);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(host.piecesTaken).toBeLessThan(50);
  });

  it('ends a frame that it is asked to stop in', async () => {
    const host = new Host();
    host.write(pair(1), '\n', pair(2));
    await host.answers(3);
    const ended = host.ask();
    host.write(pair(3), '\n', pair(4), '\n');
    expect(await ended).toMatchObject({ rows: 3, frames: 2, failed: 0 });
  });

  it('answers what it has read and stops where there are no frames, or the host has gone silent', async () => {
    const unframed = new Host();
    unframed.write(pair(1));
    await unframed.answers(1);
    expect(await unframed.ask()).toMatchObject({ rows: 1 });
    const silent = new Host();
    silent.write('\n', pair(1));
    await silent.answers(2);
    expect(await silent.ask()).toMatchObject({ rows: 1, frames: 1 });
  });
});
