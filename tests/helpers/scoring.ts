import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { initCheckpoint } from '../../src/core/lifecycle/init/init.js';
import { exportFile } from './pico.js';

/** The smallest model of every modality that has a tokenizer beside it. */
const TINY = {
  name: 'tiny',
  hidden_dim: 16,
  image_size: 32,
  resnet_layers: [1, 1, 1, 1],
  resnet_planes: 4,
  visual_blocks: 1,
  visual_heads: 2,
  vocab_size: 261,
  text_layers: 1,
  text_hidden: 16,
  text_heads: 2,
  text_intermediate: 32,
  text_positions: 64,
  n_fft: 400,
  hop: 160,
  n_mels: 16,
  audio_channels: [4, 6, 8],
  audio_blocks: 1,
  audio_heads: 2,
  video_frames: 4,
  video_size: 32,
  video_channels: [4, 6, 8],
  video_blocks: 1,
  video_heads: 2,
  fusion_latents: 2,
  fusion_layers: 1,
  fusion_heads: 2,
  quality_classes: 5,
  dropout: 0.1,
  modalities: ['image', 'text', 'audio', 'video'],
};

/** Writes a seeded random checkpoint with its tokenizer into a folder. */
export async function tinyCheckpoint(folder: string): Promise<string> {
  const out = join(folder, 'tiny.safetensors');
  await initCheckpoint({ config: { name: 'tiny', model: TINY }, seed: 1, out, force: true });
  return out;
}

/** Exports the tiny checkpoint; the path of the model. */
export async function tinyModel(
  folder: string,
  modality: 'image' | 'text' | 'image-text' | 'audio' | 'video',
  mode: 'item' | 'pair' = 'pair',
): Promise<string> {
  const out = join(folder, `${modality}-${mode}.onnx`);
  await exportFile(out, { checkpoint: await tinyCheckpoint(folder), modality, mode, force: true });
  return out;
}

/** A seeded picture of blocks, as a PNG. */
export async function writePicture(folder: string, name: string, seed: number): Promise<string> {
  const [width, height] = [40 + (seed % 5), 36];
  const pixels = Buffer.alloc(width * height * 3);
  for (let i = 0; i < pixels.length; i++) pixels[i] = (seed * 37 + ((i / 24) | 0) * (31 + seed)) & 255;
  await sharp(pixels, { raw: { width, height, channels: 3 } })
    .png()
    .toFile(join(folder, name));
  return name;
}

/** One second or so of a tone, as a 16-bit WAV of 16 kHz. */
export function writeTone(
  folder: string,
  name: string,
  { hertz, samples }: { hertz: number; samples: number },
): string {
  const wav = Buffer.alloc(44 + 2 * samples);
  wav.write('RIFF', 0);
  wav.writeUInt32LE(36 + 2 * samples, 4);
  wav.write('WAVEfmt ', 8);
  wav.writeUInt32LE(16, 16);
  wav.writeUInt16LE(1, 20); // PCM
  wav.writeUInt16LE(1, 22); // one channel
  wav.writeUInt32LE(16_000, 24);
  wav.writeUInt32LE(32_000, 28);
  wav.writeUInt16LE(2, 32);
  wav.writeUInt16LE(16, 34);
  wav.write('data', 36);
  wav.writeUInt32LE(2 * samples, 40);
  for (let i = 0; i < samples; i++) {
    wav.writeInt16LE(Math.round(12_000 * Math.sin((2 * Math.PI * hertz * i) / 16_000)), 44 + 2 * i);
  }
  writeFileSync(join(folder, name), wav);
  return name;
}

/** Rows as JSONL. */
export function writeRows(folder: string, name: string, rows: readonly (object | string)[]): string {
  const path = join(folder, name);
  writeFileSync(path, rows.map((row) => `${typeof row === 'string' ? row : JSON.stringify(row)}\n`).join(''));
  return path;
}
