import { execFile, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { basename, delimiter, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { makeTemporaryFolder } from '../../bytes/temporary-folder.js';
import { LIMITS } from '../../limits.js';
import { invalidMedia } from '../refusal.js';
import type { VideoBackend } from './backend.js';

/** `ffmpeg` and `ffprobe` on the PATH, in processes of their own. */
export const systemFfmpeg: VideoBackend = {
  id: 'system-ffmpeg',
  async open(path, name, signal) {
    const ffmpeg = findProgram('ffmpeg');
    const ffprobe = findProgram('ffprobe');
    if (ffmpeg === null || ffprobe === null) return null;
    const clip = resolve(path);
    const from = ['-i', `file:${clip}`]; // with its scheme, no name is taken for an option or an address
    const setting = { clip, name, signal };
    return {
      streams: true,
      probe: ({ input, output, isLong }) => outputOf(ffprobe, [...input, ...from, ...output], { ...setting, isLong }),
      decode: ({ input, output, filter, isLong }) => {
        const run = (filters: readonly string[]) =>
          outputOf(ffmpeg, ['-nostdin', ...input, ...from, ...filters, ...output, 'pipe:1'], { ...setting, isLong });
        return filter === undefined ? run([]) : withFilterFile(ffmpeg, filter, run);
      },
      close: async () => {},
    };
  },
};

/** A command line holds 128 KiB at most, on Windows 32: filters for an hour of video take more. */
async function* withFilterFile(
  ffmpeg: string,
  filter: string,
  run: (filters: readonly string[]) => AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const folder = await makeTemporaryFolder('filter');
  try {
    const path = join(folder, 'filter');
    await writeFile(path, filter, { mode: 0o600 });
    yield* run([await filterFileOption(ffmpeg), path]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const options = new Map<string, Promise<string>>();

/** The option that reads filters from a file has another name since FFmpeg 7. */
function filterFileOption(ffmpeg: string): Promise<string> {
  const known =
    options.get(ffmpeg) ?? readVersion(ffmpeg).then((major) => (major < 7 ? '-filter_script:v' : '-/filter:v'));
  options.set(ffmpeg, known);
  return known;
}

/** The main version; a build between versions counts as the newest. */
async function readVersion(ffmpeg: string): Promise<number> {
  const { stdout } = await promisify(execFile)(ffmpeg, ['-version'], {
    timeout: LIMITS.videoDecodeMs,
    windowsHide: true,
  });
  return Number(/^ffmpeg version n?(\d+)\./.exec(stdout)?.[1] ?? Number.POSITIVE_INFINITY);
}

/** The program's path, looked up as a shell would, but never in the working folder. */
function findProgram(name: string): string | null {
  const file = process.platform === 'win32' ? `${name}.exe` : name;
  for (const folder of (process.env.PATH ?? '').split(delimiter).filter(Boolean)) {
    const path = resolve(join(folder, file));
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {} // not here
  }
  return null;
}

/** The part of FFmpeg that complains, with its address in memory, which is another in every run. */
const WHO_COMPLAINS = /\[[^\]@]+ @ (?:0x)?[0-9a-f]+\] /gi;

/** What a program writes to its standard output, while it runs. It is ended when the reader stops, or after the time limit. */
async function* outputOf(
  program: string,
  args: readonly string[],
  { clip, name, signal, isLong = false }: { clip: string; name: string; signal?: AbortSignal; isLong?: boolean },
): AsyncGenerator<Uint8Array> {
  signal?.throwIfAborted();
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: isLong ? 0 : LIMITS.videoDecodeMs,
    killSignal: 'SIGKILL',
    windowsHide: true,
  });
  const stop = (): void => void child.kill('SIGKILL');
  signal?.addEventListener('abort', stop);
  let complaint = '';
  child.stderr.on('data', (text: Buffer) => {
    if (complaint.length < MAX_COMPLAINT) complaint += text.toString('utf8');
  });
  const ended = new Promise<string | null>((resolveEnd) => {
    child.on('error', (error) => resolveEnd(error.message));
    child.on('close', (code, killedBy) => resolveEnd(code === 0 ? null : (killedBy ?? `exit code ${code}`)));
  });
  try {
    yield* isLong ? watched(child.stdout, stop) : child.stdout;
    const failure = await ended;
    signal?.throwIfAborted();
    if (failure === null) return;
    const named = complaint.replaceAll(`file:${clip}`, name).replaceAll(clip, name);
    const line = named.replaceAll(WHO_COMPLAINS, '').split('\n')[0].trim();
    const rule = `${basename(program)} cannot read it: ${line.slice(0, MAX_COMPLAINT) || failure}`;
    throw invalidMedia(name, rule, 'Check that the clip plays, and convert it to an MP4 of H.264.');
  } finally {
    signal?.removeEventListener('abort', stop);
    stop();
  }
}

/** The pieces of a stream; `stop` is called where the next one does not come in time. What the reader does meanwhile is not counted. */
async function* watched(stream: AsyncIterable<Uint8Array>, stop: () => void): AsyncGenerator<Uint8Array> {
  const pieces = stream[Symbol.asyncIterator]();
  for (;;) {
    const timer = setTimeout(stop, LIMITS.windowStallMs);
    const next = await pieces.next().finally(() => clearTimeout(timer));
    if (next.done) return;
    yield next.value;
  }
}

const MAX_COMPLAINT = 300; // characters kept of what the program says
