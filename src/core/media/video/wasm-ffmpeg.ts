import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { Worker } from 'node:worker_threads';
import { LIMITS } from '../../limits.js';
import { invalidMedia } from '../refusal.js';
import type { VideoBackend } from './backend.js';

/** The npm package `@ffmpeg/core` (WebAssembly), where it is installed: it is GPL, so hpsv3 does not bring it. */
export const wasmFfmpeg: VideoBackend = {
  id: 'ffmpeg-wasm',
  async open(path, name, signal) {
    const core = findPackage('@ffmpeg/core');
    if (core === null) return null;
    const thread = new FfmpegThread(core, path, name, signal);
    return {
      streams: false,
      async *probe({ input, output }) {
        yield await thread.run('ffprobe', [...input, '-i', 'file:clip', ...output, '-o', 'out']);
      },
      async *decode({ input, output }) {
        yield await thread.run('exec', ['-nostdin', ...input, '-i', 'file:clip', ...output, 'file:out']);
      },
      close: () => thread.close(),
    };
  },
};

function findPackage(name: string): string | null {
  try {
    return createRequire(import.meta.url).resolve(name);
  } catch {
    return null; // not installed
  }
}

/** Asks for one run; the answer is what it wrote, or null where it failed. */
interface Run {
  readonly program: 'ffprobe' | 'exec';
  readonly args: readonly string[];
}

/** One clip and FFmpeg in a thread of their own: its calls block, and it takes a thread to have a `self` that hosts do not see. */
class FfmpegThread {
  private readonly worker: Worker;
  private readonly timer: NodeJS.Timeout;
  private readonly stop = (): void => void this.worker.terminate();

  constructor(
    core: string,
    path: string,
    private readonly name: string,
    private readonly signal: AbortSignal | undefined,
  ) {
    signal?.throwIfAborted();
    this.worker = new Worker(THREAD_SOURCE, {
      eval: true,
      workerData: { core, path: resolve(path) },
      stdout: true,
      stderr: true,
    });
    this.timer = setTimeout(this.stop, LIMITS.videoDecodeMs);
    signal?.addEventListener('abort', this.stop);
  }

  async run(program: Run['program'], args: readonly string[]): Promise<Uint8Array> {
    const output = await new Promise<Uint8Array | null>((resolveRun) => {
      this.worker.once('message', resolveRun);
      this.worker.once('error', () => resolveRun(null));
      this.worker.once('exit', () => resolveRun(null));
      this.worker.postMessage({ program, args } satisfies Run);
    });
    this.signal?.throwIfAborted();
    if (output) return output;
    throw invalidMedia(
      this.name,
      'FFmpeg cannot read it',
      'Check that the clip plays, and convert it to an MP4 of H.264.',
    );
  }

  async close(): Promise<void> {
    clearTimeout(this.timer);
    this.signal?.removeEventListener('abort', this.stop);
    await this.worker.terminate();
  }
}

/** `ret` is 0 after a good `exec`; `ffprobe` leaves it at -1, so its output alone tells. */
const THREAD_SOURCE = `
const { readFileSync } = require('node:fs');
const { dirname, join } = require('node:path');
const { parentPort, workerData: { core, path } } = require('node:worker_threads');
globalThis.self = { location: { href: core } }; // the package takes every place for a browser's worker
const ready = (async () => {
  const ffmpeg = await require(core)({ wasmBinary: readFileSync(join(dirname(core), 'ffmpeg-core.wasm')) });
  ffmpeg.setLogger(() => {});
  ffmpeg.FS.writeFile('clip', readFileSync(path));
  return ffmpeg;
})();
parentPort.on('message', async ({ program, args }) => {
  const ffmpeg = await ready;
  ffmpeg[program](...args);
  const failed = program === 'exec' && ffmpeg.ret !== 0;
  const written = ffmpeg.FS.analyzePath('out').exists ? ffmpeg.FS.readFile('out') : null;
  if (written) ffmpeg.FS.unlink('out');
  ffmpeg.reset();
  parentPort.postMessage(failed ? null : written);
});
`;
