import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { withTemporaryFolder } from '../bytes/temporary-folder.js';
import { HpsError } from '../errors.js';
import type { Pixels } from './image/pixels.js';

/** In the order they are tried: H.264 plays everywhere, MPEG-4 is in every ffmpeg. Qualities at which no loss is seen. */
const ENCODERS = [
  { name: 'libx264', quality: ['-crf', '12', '-preset', 'veryfast'] },
  { name: 'libopenh264', quality: ['-b:v', '4M'] },
  { name: 'mpeg4', quality: ['-q:v', '2'] },
] as const;

let listing: Promise<string> | undefined;

/** @throws HpsError BACKEND_UNAVAILABLE where ffmpeg is not on the PATH, or cannot write MP4 */
export async function requireVideoEncoder(): Promise<void> {
  await chooseEncoder();
}

async function chooseEncoder(): Promise<(typeof ENCODERS)[number]> {
  listing ??= runFfmpeg(['-v', 'error', '-encoders']).then((bytes) => bytes.toString('latin1'));
  const names = (await listing.catch(() => '')).split(/\s+/);
  const encoder = ENCODERS.find(({ name }) => names.includes(name));
  if (encoder) return encoder;
  throw new HpsError('BACKEND_UNAVAILABLE', 'clips cannot be written: no ffmpeg that encodes video is on the PATH', {
    hint: 'Install ffmpeg (Debian and Ubuntu: `apt install ffmpeg`), or leave video out.',
    details: { program: 'ffmpeg', encoders: ENCODERS.map(({ name }) => name) },
  });
}

/**
 * The frames as an MP4 file without sound. The bytes depend on the version of ffmpeg, and on nothing else.
 * @param frames - of one size, its sides even numbers
 * @throws HpsError BACKEND_UNAVAILABLE as `requireVideoEncoder`
 */
export async function encodeMp4(frames: readonly Pixels[], framesPerSecond: number): Promise<Uint8Array> {
  const { name, quality } = await chooseEncoder();
  const [{ width, height }] = frames;
  const input = ['-f', 'rawvideo', '-pix_fmt', 'rgb24', '-s', `${width}x${height}`, '-r', String(framesPerSecond)];
  const output = ['-c:v', name, ...quality, '-threads', '1', '-pix_fmt', 'yuv420p', '-an'];
  const reproducible = ['-map_metadata', '-1', '-fflags', '+bitexact', '-flags:v', '+bitexact'];
  // MP4 needs a file that can be gone back in.
  return withTemporaryFolder('clip', async (folder) => {
    const path = join(folder, 'clip.mp4');
    const raw = Buffer.concat(frames.map(({ data }) => data));
    await runFfmpeg(['-v', 'error', ...input, '-i', 'pipe:0', ...output, ...reproducible, '-y', `file:${path}`], raw);
    return readFile(path);
  });
}

/** What ffmpeg writes to standard output. */
function runFfmpeg(args: readonly string[], input?: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const child = spawn('ffmpeg', args, { stdio: ['pipe', 'pipe', 'pipe'] });
    const output: Buffer[] = [];
    let problem = '';
    child.stdout.on('data', (piece: Buffer) => output.push(piece));
    child.stderr.on('data', (piece: Buffer) => {
      problem = `${problem}${piece.toString('utf8')}`.slice(0, 1000);
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(Buffer.concat(output));
      else reject(new Error(`ffmpeg ended with ${code}: ${problem.trim()}`));
    });
    child.stdin.on('error', () => undefined); // ffmpeg ended early: its exit code says so
    child.stdin.end(input);
  });
}
