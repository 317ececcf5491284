import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { basename, delimiter, join, resolve } from 'node:path';
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
    return {
      probe: async ({ input, output }) => {
        const pieces: Uint8Array[] = [];
        for await (const piece of outputOf(ffprobe, [...input, ...from, ...output], { clip, name, signal }))
          pieces.push(piece);
        return Buffer.concat(pieces).toString('latin1');
      },
      decode: ({ input, output }) =>
        outputOf(ffmpeg, ['-nostdin', ...input, ...from, ...output, 'pipe:1'], { clip, name, signal }),
      close: async () => {},
    };
  },
};

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

/** What a program writes to its standard output, while it runs. It is ended when the reader stops, or after the time limit. */
async function* outputOf(
  program: string,
  args: readonly string[],
  { clip, name, signal }: { clip: string; name: string; signal: AbortSignal | undefined },
): AsyncGenerator<Uint8Array> {
  signal?.throwIfAborted();
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: LIMITS.videoDecodeMs,
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
    yield* child.stdout;
    const failure = await ended;
    signal?.throwIfAborted();
    if (failure === null) return;
    const line = complaint.replaceAll(`file:${clip}`, name).replaceAll(clip, name).split('\n')[0].trim();
    const rule = `${basename(program)} cannot read it: ${line.slice(0, MAX_COMPLAINT) || failure}`;
    throw invalidMedia(name, rule, 'Check that the clip plays, and convert it to an MP4 of H.264.');
  } finally {
    signal?.removeEventListener('abort', stop);
    stop();
  }
}

const MAX_COMPLAINT = 300; // characters kept of what the program says
