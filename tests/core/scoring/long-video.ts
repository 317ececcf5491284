import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Random } from '../../../src/core/bytes/random.js';
import type { Span } from '../../../src/core/media/windows.js';
import type { HPSv3Scorer } from '../../../src/core/scoring/scorer.js';
import { drawFootage, FRAMES_PER_SECOND } from '../../../src/core/synthesis/video/footage.js';
import { VIDEO_PERTURBATIONS } from '../../../src/core/synthesis/video/perturbations.js';

/** Programs that tests of long clips make and cut them with. */
export const hasFfmpeg =
  spawnSync('ffmpeg', ['-version']).status === 0 && spawnSync('ffprobe', ['-version']).status === 0;

const LOSSLESS = ['-c:v', 'libx264', '-preset', 'ultrafast', '-qp', '0'];

const SIZE = 96;
const SCENES = 6;

/**
 * A clip of so many seconds: a few scenes over and over, one stretch of which is damaged as badly as `synth` damages.
 * @returns when the damage begins and ends, in seconds
 */
export async function writeLongClip(
  path: string,
  seconds: number,
  damagedAt: number,
): Promise<readonly [number, number]> {
  const random = new Random('long clip');
  const scenes = Array.from({ length: SCENES }, () => drawFootage(random, SIZE));
  const damage = VIDEO_PERTURBATIONS.find(({ id }) => id === DAMAGE)!;
  const spoilt = await Promise.all(scenes.map((scene) => damage.apply(scene, 5, new Random('damage'))));
  const input = [
    '-f',
    'rawvideo',
    '-pix_fmt',
    'rgb24',
    '-s',
    `${SIZE}x${SIZE}`,
    '-r',
    `${FRAMES_PER_SECOND}`,
    '-i',
    'pipe:0',
  ];
  const output = [...LOSSLESS, '-pix_fmt', 'yuv444p', '-g', '48', '-y', path];
  const child = spawn('ffmpeg', ['-v', 'error', ...input, ...output], { stdio: ['pipe', 'ignore', 'inherit'] });
  const length = scenes[0].length / FRAMES_PER_SECOND;
  for (let at = 0; at < seconds; at += length) {
    const isDamaged = at >= damagedAt && at < damagedAt + DAMAGED_SECONDS;
    const scene = (isDamaged ? spoilt : scenes)[(at / length) % SCENES];
    for (const { data } of scene) if (!child.stdin.write(data)) await once(child.stdin, 'drain');
  }
  child.stdin.end();
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`ffmpeg ended with ${code}`);
  return [damagedAt, damagedAt + DAMAGED_SECONDS];
}

const DAMAGE = 'blur';
const DAMAGED_SECONDS = 8;

/** Writes a part of a clip without loss. */
export function cutOut(clip: string, cut: string, { start, end }: Span): void {
  const part = ['-ss', `${start}`, '-t', `${end - start}`];
  execFileSync('ffmpeg', ['-v', 'error', '-y', '-i', clip, ...part, ...LOSSLESS, cut]);
}

/** What a scorer says of parts of a clip, cut out without loss. */
export async function scoresOfCuts(
  scorer: HPSv3Scorer,
  clip: string,
  folder: string,
  spans: readonly Span[],
): Promise<number[]> {
  const logits: number[] = [];
  for (const [i, { start, end }] of spans.entries()) {
    const cut = join(folder, `cut${i}.mp4`);
    cutOut(clip, cut, { start, end });
    logits.push((await scorer.score({ video: cut })).logit);
  }
  return logits;
}
