import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { quantizeModel } from '../../../../src/core/lifecycle/quantize/quantize.js';
import { type BatchOptions, runBatch } from '../../../../src/core/lifecycle/score/batch.js';
import { VIDEO_BACKENDS } from '../../../../src/core/media/video/tools.js';
import { collect, HPSV3, PROJECT } from '../../../helpers/cli.js';
import { exportFile } from '../../../helpers/pico.js';
import { writePicture, writeRows, writeTone } from '../../../helpers/scoring.js';

// Clips: tests/golden/media/make_video.py
const CLIPS = ['index-last.mp4', 'plain.webm', 'live.webm'];
const CLIP_FOLDER = `${PROJECT}tests/golden/media/video/`;

async function decodesVideo(): Promise<boolean> {
  const tools = await Promise.all(VIDEO_BACKENDS.map((backend) => backend.open(`${CLIP_FOLDER}${CLIPS[1]}`, CLIPS[1])));
  await Promise.all(tools.map((each) => each?.close()));
  return tools.some((each) => each !== null);
}

const ALL = ['image', 'text', 'image-text', 'audio', 'video'] as const;

/** The modalities of which this machine can read media; clips need a decoder. */
export const MODALITIES = (await decodesVideo()) ? ALL : ALL.slice(0, -1);

export const DTYPES = ['fp16', 'static', 'dynamic'] as const;

/** A model of every modality, exported in half precision or quantized to 8 bits; nothing is judged. */
export async function modelsOf(folder: string, checkpoint: string, dtype: (typeof DTYPES)[number]): Promise<string[]> {
  const paths: string[] = [];
  for (const modality of MODALITIES) {
    const out = join(folder, `${modality}-${dtype}.onnx`);
    const model = dtype === 'fp16' ? out : join(folder, `${modality}-fp32-${dtype}.onnx`);
    await exportFile(model, { checkpoint, modality, mode: 'pair', dtype: dtype === 'fp16' ? 'fp16' : 'fp32' });
    if (dtype !== 'fp16') await quantize(model, out, dtype);
    paths.push(out);
  }
  return paths;
}

const quantize = (model: string, out: string, scheme: 'static' | 'dynamic') =>
  quantizeModel({
    model,
    out,
    scheme,
    ranges: 'minmax',
    gate: 'off',
    allowBatchDependence: true,
    force: true,
  });

/** So many pairs of each modality, in turn. */
export async function writeSamples(folder: string, count: number): Promise<string> {
  for (let i = 0; i < 8; i++) {
    await writePicture(folder, `${i}.png`, i);
    writeTone(folder, `${i}.wav`, { hertz: 200 + 90 * i, samples: 6000 + 700 * (i % 3) });
  }
  if (MODALITIES.includes('video')) for (const clip of CLIPS) copyFileSync(`${CLIP_FOLDER}${clip}`, join(folder, clip));
  const rows = Array.from({ length: count }, (_, i) => {
    const [left, right] = [`${i % 8}.png`, `${(3 * i + 1) % 8}.png`];
    const of: Record<(typeof ALL)[number], object> = {
      image: { left, right },
      text: { left: 'word '.repeat(1 + (i % 9)), right: `an answer ${'x'.repeat(4 * i)}` },
      'image-text': { left, right, context: 'a picture '.repeat(1 + (i % 4)) },
      audio: { left: `${i % 8}.wav`, right: `${(i + 3) % 8}.wav` },
      video: { left: CLIPS[i % 3], right: CLIPS[(i + 1) % 3] },
    };
    return MODALITIES.map((modality) => ({ id: `${modality} ${i}`, type: 'pair', modality, ...of[modality] }));
  });
  return writeRows(folder, 'rows.jsonl', rows.flat());
}

const streams = { stdin: new PassThrough(), stdout: new PassThrough() } as unknown as BatchOptions['streams'];

export const BATCH_SIZE = 4;

/** Scores and their manifest, as bytes; `threads` may be a processor to which the whole program is tied. */
export async function scored(
  models: readonly string[],
  input: string,
  { out, threads }: { readonly out: string; readonly threads: number | { readonly tiedTo: string } },
): Promise<string> {
  if (typeof threads === 'number') {
    const given = { models, input, out, threads, batchSize: BATCH_SIZE, resume: false, force: true, streams };
    const report = await runBatch(given);
    if (report.failed > 0) throw new Error(JSON.stringify(report.failedByCode));
  } else {
    const flags = models.flatMap((model) => ['--model', model]);
    const args = ['batch', ...flags, '--input', input, '--output', out, '--batch-size', `${BATCH_SIZE}`, '--force'];
    const tied = spawn('taskset', ['-c', threads.tiedTo, process.execPath, HPSV3, ...args]);
    const { code, stderr } = await collect(tied);
    if (code !== 0) throw new Error(stderr);
  }
  return readFileSync(out, 'latin1') + readFileSync(`${out}.manifest.json`, 'latin1');
}

/** A processor that this process may use; null where there is no `taskset`. */
export function oneProcessor(): string | null {
  const { status, stdout } = spawnSync('taskset', ['-cp', `${process.pid}`], { encoding: 'utf8' });
  return status === 0 ? (/: (\d+)/.exec(stdout)?.[1] ?? null) : null;
}
